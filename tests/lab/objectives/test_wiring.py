"""The inputs of the heads, by hand from appendix B, and the page that is generated from them."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from lab.objectives.wiring import Wiring, diagram, page
from lab.run.assembly import assemble
from tests.conftest import Spec

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(
    ("topology", "paths"),
    [
        ("parallel", [[1], [2], [3], [4]]),
        ("causal", [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]),
        ("anticausal", [[4, 3, 2, 1], [4, 3, 2], [4, 3], [4]]),
    ],
)
def test_paths_from_the_trunk_are_those_of_appendix_b(topology: str, paths: list[list[int]]) -> None:
    wiring = Wiring(4, topology)  # type: ignore[arg-type]
    assert [wiring.path(head) for head in (1, 2, 3, 4)] == paths
    assert [wiring.has_children(head) for head in (1, 2, 3, 4)] == [
        any(head in path[:-1] for path in paths) for head in (1, 2, 3, 4)
    ]


def test_a_diagram_names_every_step_of_the_path() -> None:
    assert diagram("transformer", "causal", "shared", [1, 2]) == [
        "z → block 1 → U → t+1",
        "z → block 1 → block 2 → U → t+2",
    ]
    assert diagram("linear", "anticausal", "replicated", [1, 2])[0] == "z → linear 2 → linear 1 → U1 → t+1"
    assert diagram("none", "parallel", "replicated", [1, 4])[1] == "z → U2 → t+4"


def test_the_page_in_the_docs_is_the_one_the_code_makes() -> None:
    assert (DOCS / "heads.md").read_text() == page(), "make docs writes it again"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"head": "none", "n": 2}, "all heads would predict the same"),
        ({"head": "none", "topology": "causal", "unembedding": "replicated"}, "there are no layers to chain"),
        ({"n": 4}, "leave no trunk"),
        ({"n": 3, "stride": 20}, "looks 41 tokens ahead, but samples have 32"),
        ({"n": 2, "weights": [1.0]}, "weights has 1 numbers for n = 2 heads"),
        ({"n": 2, "weights": [0.0, 0.0]}, "and one of them more"),
        ({"n": 2, "curriculum": "forward"}, "give both or neither"),
        ({"n": 2, "stage_steps": 3}, "give both or neither"),
        ({"n": 33}, "less than or equal to 32"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(tiny: Spec, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UserError, match="objective") as error:
        assemble(tiny(**{f"objective__{key}": value for key, value in changes.items()}))
    assert reason in str(error.value)
    assert len(str(error.value).splitlines()) == 1
