"""The kind of model is a factor like any other, by its name or as tables of different settings."""

import pytest

from generators.foundation.errors import UserError
from studies.declared.loading import declare
from tests.studies.conftest import Edit

KINDS = ('"model.width" = [8, 16]', '"model.kind" = ["llama", "gpt", "gru"]')
SIZE = ("[base.model]\nattention_heads = 1\nlayers = 3\n", '[base.model]\nsize = "30k"\n')
CLAIMS = (('"model.width" = "first"', '"model.kind" = "first"'), ('"model.width" = 16', '"model.kind" = "gru"'))
TABLES = (
    ("[base.model]\nattention_heads = 1\nlayers = 3\n", ""),
    ('"model.width" = [8, 16]\n"objective.n" = [1, 2]\n', 'model = ["llama", "gru"]\n"objective.n" = [1, 2]\n\n[levels.model]\nllama = { width = 8, layers = 3, attention_heads = 1 }\ngru = { kind = "gru", width = 12, layers = 4 }\n'),
    ('"model.width" = "first"', 'model = "first"'), ('"model.width" = 16', 'model = "gru"'),
)  # fmt: skip


def test_kinds_with_common_settings_are_levels_by_name(study_file: Edit) -> None:
    study = declare(str(study_file(KINDS, SIZE, *CLAIMS)), "cpu", [])
    specs = [study.spec(cell, study.middle, 0) for cell in study.cells]
    assert [spec.model.kind for spec in specs] == ["llama", "llama", "gpt", "gpt", "gru", "gru"]
    assert study.cells[-1].label == "kind=gru n=2"
    assert len({spec.identity for spec in specs}) == 6


def test_kinds_with_settings_of_their_own_are_tables(study_file: Edit) -> None:
    study = declare(str(study_file(*TABLES)), "cpu", [])
    models = [study.spec(cell, study.middle, 0).model for cell in study.cells]
    assert [(model.kind, model.shape.width, model.shape.layers) for model in models[::2]] == [
        ("llama", 8, 3),
        ("gru", 12, 4),
    ]


def test_a_setting_that_a_kind_does_not_have_is_refused(study_file: Edit) -> None:
    shared = ("[base.model]\n", "[base.model]\nwidth = 8\n")
    with pytest.raises(UserError, match=r"model\.attention_heads = 1: no such key"):
        declare(str(study_file(KINDS, shared, *CLAIMS)), "cpu", [])
