"""A collection runs its studies one by one, as each would run by itself, and leaves out those that lack a setting."""

import json
from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.catalog import COLLECTIONS, STUDIES
from studies.declared.collection import load_collection
from studies.declared.loading import read_study_file
from studies.ledger.collection_members import expand_collections
from tests.conftest import Lab
from tests.studies.conftest import Edit

COLLECTION = """
title = "All"
question = "Do they?"

[[chapters]]
title = "One"
text = "far better"
studies = [{ study = "small" }, { study = "tales", needs = ["task.corpus"] }]

[[chapters]]
title = "Two"
text = "the same again"
studies = [{ study = "small" }, { study = "other" }]
"""


@pytest.fixture
def files(study_file: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes a catalog of two studies, and a collection `all` of these and a third that needs a corpus."""
    small = study_file()
    (tmp_path / "other.toml").write_text(small.read_text().replace("Does it?", "Does the other?"))
    (tmp_path / "collections").mkdir()
    (tmp_path / "collections" / "all.toml").write_text(COLLECTION)
    monkeypatch.setattr(COLLECTIONS, "folder", tmp_path / "collections")
    monkeypatch.setattr(STUDIES, "folder", tmp_path)
    return tmp_path


def test_a_collection_runs_each_study_once_and_trains_nothing_twice(files: Path, lab: Lab) -> None:
    run = ("study", "run", "all", "--scale", "smoke", "--executor", "here", "--home", files / "home", "--json")
    first, second = (json.loads(lab(*run).stdout) for _ in range(2))
    assert list(first["studies"]) == ["small", "other"]
    assert first["studies"]["small"]["trained"] == 12
    assert first["studies"]["other"]["trained"] == 0, "it shares its runs with the study before it"
    assert all(not study["trained"] for study in second["studies"].values())
    assert first["left_out"] == {"tales": ["task.corpus"]}
    by_itself = json.loads(lab("claims", "small", "--home", files / "home", "--json").stdout)
    assert first["studies"]["small"]["verdicts"] == by_itself["small"]["verdicts"]


def test_status_and_claims_accept_the_name_of_a_collection(files: Path, lab: Lab) -> None:
    home = files / "home"
    lab("study", "run", "other", "--scale", "smoke", "--executor", "here", "--home", home)
    status = json.loads(lab("study", "status", "all", "--home", home, "--json").stdout)
    assert status == {
        "small": None,
        "tales": None,
        "other": {"scale": "smoke", "runs": 12, "ended": 12, "finished": True, "old_runs": 0},
    }
    assert list(json.loads(lab("claims", "all", "--home", home, "--json").stdout)) == ["other"]
    assert expand_collections(["all", "other"], "smoke", home) == ["other"]
    with pytest.raises(UserError, match=r"no study of all ran at scale gpu .* start with: lab study run all"):
        expand_collections(["all"], "gpu", home)


def test_a_study_that_fails_leaves_the_others_to_run(files: Path, lab: Lab) -> None:
    other = files / "other.toml"
    other.write_text(other.read_text().replace("learning_rate = 0.01", "learning_rate = 0.02"))
    folder = files / "home" / "studies" / "small" / "smoke"
    folder.mkdir(parents=True)
    (folder / "looks.json").write_text("{")
    run = lab("study", "run", "all", "--scale", "smoke", "--executor", "here", "--home", files / "home")
    assert run.returncode == 1
    assert "1 of 2 studies failed: small: " in run.stderr
    assert (files / "home" / "studies" / "other" / "smoke" / "verdicts.json").exists()


def test_an_unknown_executor_is_reported_once_for_all_studies(files: Path, lab: Lab) -> None:
    run = lab("study", "run", "all", "--scale", "smoke", "--executor", "bogus", "--home", files / "home")
    assert run.returncode == 2
    assert run.stderr.count("no such executor") == 1


def test_only_settings_that_a_study_cannot_run_without_can_be_set(files: Path, lab: Lab) -> None:
    collection = load_collection("all")
    assert collection.assigned(["task.corpus=tales.txt"])["tales"] == ["task.corpus=tales.txt"]
    assert collection.assigned(["task.corpus=tales.txt"])["small"] == []
    with pytest.raises(UserError, match=r"--set objective.n=3: .* have different settings.*: task.corpus"):
        collection.assigned(["objective.n=3"])
    shard = lab("study", "run", "all", "--shard", "1/2", "--home", files / "home")
    assert shard.returncode == 2
    assert "--shard 1/2" in shard.stderr


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="collection 'papers': not in the catalog; the nearest is paper"):
        load_collection("papers")


def test_every_study_of_the_catalog_is_in_one_collection_the_controls_in_theirs() -> None:
    members = {name: {member.study for member in load_collection(name).members} for name in ("paper", "controls")}
    assert not members["paper"] & members["controls"]
    assert members["paper"] | members["controls"] == set(STUDIES.names)
    for name in STUDIES.names:
        study = read_study_file(STUDIES.path(name))
        assert {"smoke", "cpu"} <= set(study.scales), name
        assert (study.control is not None) == (name in members["controls"]), name
