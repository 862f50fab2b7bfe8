"""Fixtures of the corpus tests."""

import numpy as np
import pytest

from generators.task import Batch
from generators.tasks.induction_corpus import InductionCorpus, InductionCorpusConfig
from tests.generators.tales import ANDERSEN, invented, small, written


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("corpus") / "tales.txt", invented())


@pytest.fixture(scope="module", params=["invented", "andersen"])
def task(request: pytest.FixtureRequest, corpus: str) -> InductionCorpus:
    if request.param == "invented":
        return InductionCorpus(small(corpus))
    if not ANDERSEN.exists():
        pytest.skip("the tales of Andersen are not beside this checkout")
    return InductionCorpus(InductionCorpusConfig(corpus=str(ANDERSEN)))


@pytest.fixture(scope="module", params=["validation", "test"])
def held_out(request: pytest.FixtureRequest, task: InductionCorpus) -> Batch:
    return task.batch(request.param, np.arange(task.splits[request.param] or 0))
