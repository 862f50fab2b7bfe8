"""The results of a stored study as a notebook reads them."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import lab
import studies
from generators import UserError
from studies.ledger.archive import unpack
from tests.reports.stored_study import STUDY_FILE, TITLE

ARCHIVE = Path(__file__).parents[3] / "reports" / "published" / "controls" / "star-quick-cpu.tar.xz"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the published runs of star-quick, which are judged by shares and by steps."""
    folder = tmp_path_factory.mktemp("published")
    unpack(ARCHIVE, folder)
    return folder


@pytest.fixture(scope="module")
def loaded(home: Path) -> studies.JudgedStudy:
    return studies.load("star-quick", home)


@pytest.fixture
def not_run(tmp_path: Path) -> studies.JudgedStudy:
    """A study with markup in every text that never ran."""
    (tmp_path / "small.toml").write_text(STUDY_FILE)
    return studies.load(studies.declare(tmp_path / "small.toml"), tmp_path)


def test_a_permutation_test_of_scipy_on_the_scores_gives_the_p_value_of_the_verdict(
    loaded: studies.JudgedStudy,
) -> None:
    verdict = loaded.verdicts.set_index("claim").loc["heads_are_sooner"]
    scores = loaded.scores("heads_are_sooner")
    treatment, control = (scores[cell].to_numpy() for cell in (verdict["treatment"], verdict["control"]))
    test = stats.permutation_test(
        (treatment, control), lambda a, b: np.mean(a) - np.mean(b), n_resamples=np.inf, alternative="two-sided"
    )
    assert test.pvalue == verdict["p"] == 2 / 924
    assert test.statistic == verdict["effect"]
    assert (verdict["verdict"], verdict["measure"], verdict["seeds"]) == ("supported", "steps_to_solve", 6)


def test_the_exact_test_of_two_shares_is_that_of_scipy(loaded: studies.JudgedStudy) -> None:
    verdict = loaded.verdicts.set_index("claim").loc["heads_solve_it"]
    solved = loaded.scores("heads_solve_it").sum()
    test = stats.barnard_exact([solved, 6 - solved], alternative="greater")
    assert 2 * test.pvalue == pytest.approx(verdict["p"])


def test_scores_are_negated_where_less_is_better(loaded: studies.JudgedStudy) -> None:
    curves = loaded.curves[loaded.curves["cell"] == "objective=two_heads"]
    solved = curves[(curves["metric"] == "exact") & (curves["value"] >= 0.95)].groupby("seed")["step"].min()
    scores = loaded.scores("heads_are_sooner")["objective=two_heads"]
    assert (scores <= -solved).all()
    assert (loaded.scores("heads_are_sooner")["objective=next_token"] == -2000).all()


def test_a_misspelt_claim_is_answered_with_the_nearest(loaded: studies.JudgedStudy) -> None:
    with pytest.raises(UserError, match=r"claim 'heads_solve' of study star-quick: .*the nearest is heads_solve_it"):
        loaded.scores("heads_solve")


def test_a_misspelt_study_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"study 'star-quik': never ran under .*; the nearest is star-quick"):
        studies.load("star-quik", tmp_path)
    with pytest.raises(UserError, match=r"study 'contorls': never ran under .*; the nearest is controls"):
        studies.load("contorls", tmp_path)
    with pytest.raises(
        UserError, match=r"study 'star-quick' never ran under .*; run it first: lab study run star-quick"
    ):
        studies.load("star-quick", tmp_path)


def test_a_study_that_is_not_judged_yet_can_be_loaded(not_run: studies.JudgedStudy) -> None:
    assert list(not_run.verdicts["verdict"]) == ["not tested", "not tested"]
    assert not_run.verdicts["p"].isna().all()
    with pytest.raises(UserError, match="claim 'helps' of study small was not tested: too few runs"):
        not_run.scores("helps")


def test_the_home_is_that_of_the_command_line_by_default(
    home: Path, loaded: studies.JudgedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(home))
    assert studies.load("star-quick").verdicts.equals(loaded.verdicts)


def test_notebooks_show_studies_and_verdicts_escaped(not_run: studies.JudgedStudy) -> None:
    pages = [value._repr_html_() for value in (not_run, not_run.study, not_run.judgements[0])]
    assert all("<script" not in page and "&lt;script&gt;" in page for page in pages)
    assert TITLE.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in pages[0]


def test_a_study_and_its_verdicts_are_one_line_of_text(loaded: studies.JudgedStudy) -> None:
    assert repr(loaded) == (
        "<results of study star-quick at scale cpu: 12 of 12 runs ended; "
        "heads_solve_it supported, heads_are_sooner supported>"
    )
    assert repr(loaded.study) == "<study star-quick at scale cpu: 2 cells, 6 seeds, 2 claims, at most 12 runs>"
    assert repr(loaded.judgements[0]).startswith("<claim heads_solve_it, SUPPORTED: More runs")


def test_a_claim_that_does_not_exist_is_answered_with_the_nearest(loaded: studies.JudgedStudy) -> None:
    for claim in ("nope", 3):
        with pytest.raises(UserError, match="no such claim; the nearest is heads_"):
            loaded.scores(claim)  # type: ignore[arg-type]


def test_a_run_of_an_archive_has_no_weights_and_its_error_says_how_to_train_it_again(home: Path) -> None:
    run = next((home / "runs").iterdir()).name
    with pytest.raises(UserError, match=f"archives hold none; to train it again, delete .*{run} and run its study"):
        lab.load_run(run, home)
