"""The digests in a result tell apart what a seed decides, and are those of the run's very beginning."""

from pathlib import Path

import pytest
import torch

from lab.run.assembly import assemble
from lab.run.spec import RunSpec
from lab.run.store import RunFolder
from lab.run.training import train
from tests.conftest import Spec
from tests.lab.killed_runs import train_until_killed

DIGESTS = {"initial_weights", "first_batch"}


def digests_of(spec: RunSpec, home: Path) -> dict[str, str]:
    digests: dict[str, str] = train(spec, home)["seed_digests"]
    assert digests.keys() == DIGESTS
    return digests


def equal_digests(first: RunSpec, second: RunSpec, home: Path) -> set[str]:
    """Returns the names of the digests that two runs share."""
    return set(dict(digests_of(first, home).items() & digests_of(second, home).items()))


def test_seeds_share_no_digest(tiny: Spec, tmp_path: Path) -> None:
    assert equal_digests(tiny(), tiny(seed=1), tmp_path) == set()


def test_settings_of_training_change_no_digest(tiny: Spec, tmp_path: Path) -> None:
    changed = tiny(training__learning_rate=0.02, training__steps=8, training__weight_decay=0.5)
    assert equal_digests(tiny(), changed, tmp_path) == DIGESTS


def test_another_network_has_other_weights_and_the_same_first_batch(tiny: Spec, tmp_path: Path) -> None:
    assert equal_digests(tiny(), tiny(model__width=8), tmp_path) == {"first_batch"}


def test_other_data_give_another_first_batch_and_the_same_weights(tiny: Spec, tmp_path: Path) -> None:
    assert equal_digests(tiny(), tiny(task__training_samples=8), tmp_path) == {"initial_weights"}


def test_the_digest_of_the_weights_sees_one_changed_bit(
    tiny: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nudged(spec: RunSpec, source: str) -> object:
        parts = assemble(spec, source)
        with torch.no_grad():
            last = list(parts.network.parameters())[-1]
            last.view(-1)[-1] = torch.nextafter(last.view(-1)[-1], torch.tensor(torch.inf))
        return parts

    plain = digests_of(tiny(), tmp_path / "plain")
    monkeypatch.setattr("lab.run.training.assemble", nudged)
    changed = digests_of(tiny(), tmp_path / "changed")
    assert plain["initial_weights"] != changed["initial_weights"]
    assert plain["first_batch"] == changed["first_batch"]


@pytest.mark.parametrize("step", [0, 10])
def test_a_resumed_finetuning_run_has_the_digests_of_an_undisturbed_one(tiny: Spec, tmp_path: Path, step: int) -> None:
    spec = tiny(start={"objective": {"kind": "multi_token", "n": 1}})
    train_until_killed(spec, tmp_path / "killed", "take_step", step)
    assert digests_of(spec, tmp_path / "killed") == digests_of(spec, tmp_path / "whole")


def test_a_diverged_run_has_digests_too(tiny: Spec, tmp_path: Path) -> None:
    spec = tiny(training__learning_rate=1e30, training__clip_norm=1e30)
    assert digests_of(spec, tmp_path) == digests_of(tiny(), tmp_path)
    assert train(spec, tmp_path)["status"] == "diverged"


def test_a_complete_run_without_digests_is_read_as_it_is(tiny: Spec, complete_folder: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "home", tiny().identity)
    assert folder.path == complete_folder
    result = folder.result()
    assert result is not None
    del result["seed_digests"]
    folder.write_result(result)
    assert train(tiny(), tmp_path / "home") == result
