"""Small corpora and the tasks built on them."""

from pathlib import Path

import numpy as np
import pytest

from generators.task import Batch
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
from generators.tasks.text import Text
from tests.generators.corpora import (
    ANDERSEN,
    TALES,
    build_text,
    invented_tales,
    tales_config,
    write_tales,
    write_text_folder,
)


@pytest.fixture(scope="session")
def tales_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a file of 30 invented tales."""
    return write_tales(tmp_path_factory.mktemp("tales") / "tales.txt", invented_tales())


andersen = pytest.param(
    "andersen",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(not ANDERSEN.exists(), reason="Andersen's tales are not available next to this checkout"),
    ],
)


@pytest.fixture(scope="session", params=["invented", "written", andersen])
def tales_task(request: pytest.FixtureRequest, tales_file: str) -> InductionCorpus:
    """The task of invented tales, of the tales in this folder of tests, and of Andersen's."""
    configs = {
        "invented": tales_config(tales_file),
        "written": tales_config(str(TALES), vocabulary_tokens=600, length_tokens=128),
        "andersen": InductionCorpusConfig(corpus=str(ANDERSEN)),
    }
    return InductionCorpus(configs[request.param])


@pytest.fixture(scope="session", params=["validation", "test"])
def held_out(request: pytest.FixtureRequest, tales_task: InductionCorpus) -> Batch:
    """A whole held-out split of `tales_task`."""
    return tales_task.batch(request.param, np.arange(tales_task.splits[request.param] or 0))


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 tales and 10 short notes."""
    return write_text_folder(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session", params=["bytes", "bpe", "stdlib"])
def text_task(request: pytest.FixtureRequest, text_folder: Path) -> Text:
    return build_text(text_folder, request.param)


@pytest.fixture(scope="session", params=["bytes", "bpe"])
def folder_task(request: pytest.FixtureRequest, text_folder: Path) -> Text:
    """The task of `text_folder`."""
    return build_text(text_folder, request.param)
