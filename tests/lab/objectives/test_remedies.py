"""The remedy that an error names is not in place yet, and following it works."""

import pytest

from generators.foundation.errors import UserError
from lab.run.finetuning import meta_network
from tests.conftest import Spec

FREE = {"objective__match": "none"}


@pytest.mark.parametrize(
    ("settings", "remedy", "followed"),
    [
        ({"model__layers": 1, "objective__match": "none"}, "give at least 2 layers", {"model__layers": 2}),
        ({"model__layers": 1}, "give at least 3 layers", {"model__layers": 3}),
        ({"model__layers": 1, "objective__n": 1}, "give at least 2 layers", {"model__layers": 2}),
        ({"model__layers": 2}, 'give a smaller n, match = "none" or at least 3 layers', {"objective__match": "none"}),
        ({"model__layers": 2}, 'give a smaller n, match = "none" or at least 3 layers', {"objective__n": 1}),
        ({**FREE, "task__length_tokens": 20, "objective__n": 20}, "have 20; give a smaller n", {"objective__n": 19}),
        ({"objective__stride": 31}, "samples have 32; give a smaller n or stride", {"objective__stride": 30}),
        (
            {"objective__n": 3, "objective__curriculum": "forward", "objective__stage_steps": 6},
            "give fewer stage_steps or more steps",
            {"objective__stage_steps": 5},
        ),
        (
            {**FREE, "objective__n": 13, "objective__curriculum": "forward", "objective__stage_steps": 1},
            "give a smaller n or more steps",
            {"objective__n": 12},
        ),
    ],
)
def test_an_error_advises_what_was_not_done_yet(
    tiny: Spec, settings: dict[str, object], remedy: str, followed: dict[str, object]
) -> None:
    with pytest.raises(UserError) as refusal:
        meta_network(tiny(**settings))
    assert str(refusal.value).endswith(remedy)
    meta_network(tiny(**settings | followed))
