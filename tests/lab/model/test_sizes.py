"""Named sizes have the parameters that their names promise."""

import json
from pathlib import Path

import pytest

from lab.model.config import SIZES, DataShape
from lab.model.table import build_trunk
from lab.model.trunks.llama import LlamaConfig
from lab.model.weights import count_parameters
from tests.conftest import Lab


@pytest.mark.parametrize(("name", "millions"), [("1M", 1), ("3M", 3), ("10M", 10), ("30M", 30), ("100M", 100), ("300M", 300), ("1B", 1000)])  # fmt: skip
def test_the_dry_run_of_a_paper_size_counts_12_d2_l_for_n_1_and_n_4(
    lab: Lab, tmp_path: Path, name: str, millions: int
) -> None:
    """The paper counts non-embedding parameters as 12 D^2 L; its names are up to 6% off that (3M: 3.15, 10M: 10.6)."""
    shape = SIZES[name]
    assert LlamaConfig(size=name).shape == shape
    path = tmp_path / "spec.toml"
    path.write_text(
        f'task.kind = "induction"\nmodel.size = "{name}"\nobjective.kind = "multi_token"\n[training]\n'
        "steps = 1\nbatch_size = 1\nlearning_rate = 1e-3\nevaluate_every_steps = 1\n"
    )
    non_embedding = {}
    for n in (1, 4) if shape.layers > 4 else (1, 3):
        counts = json.loads(lab("train", path, "--dry-run", "--json", "--set", f"objective.n={n}").stdout)
        non_embedding[n] = counts["non_embedding"]
        assert sum(counts["parameters"].values()) > non_embedding[n]
        assert counts["parameters"]["trunk"] == pytest.approx(12 * shape.width**2 * (shape.layers - n), rel=0.03)
    assert len(set(non_embedding.values())) == 1
    assert non_embedding[1] == pytest.approx(12 * shape.width**2 * shape.layers, rel=0.03)
    assert non_embedding[1] == pytest.approx(millions * 1e6, rel=0.07)


def test_small_sizes_are_near_their_names() -> None:
    for name, thousands in (("30k", 30), ("100k", 100), ("300k", 300)):
        trunk = build_trunk(LlamaConfig(size=name), SIZES[name].layers, DataShape(vocabulary=2, length=4))
        assert count_parameters(trunk.layers) == pytest.approx(thousands * 1e3, rel=0.05)
