"""A page shows what is missing: runs that failed or have not ended, thin evidence, excluded cells."""

import shutil
from pathlib import Path

from reports.drawing.layout import FactorLayout, drawn_cells
from reports.frames.wording import answer, cautions, shortcut_comparison
from reports.pages.study import render_study
from studies.declared.loading import declare
from studies.ledger.records import VerdictsRecord
from studies.reading.judged import read_judged
from studies.reading.results import read_results
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import STUDY_FILE, Outcome, StoredStudy, StudyStore, usual_outcome


def text_of(stored: StoredStudy) -> str:
    return PageReader(render_study(read_judged(stored.home, stored.study))).text


def cautions_of(stored: StoredStudy) -> list[str]:
    return cautions(read_results(stored.home, stored.study))


def test_a_half_done_study_says_how_far_it_is(broken_store: StoredStudy) -> None:
    text = text_of(broken_store)
    assert "So far, both claims are not tested." in text
    assert "The study is unfinished: 21 of 28 runs ended, 2 running or waiting." in text
    assert "2 runs failed and do not count: width=8 n=2, seed 3 (the loss was not a finite number" in text
    assert "width=16 n=1, trial 0 (MemoryError: out of memory)" in text
    assert "so far between 1 and 2 have ended" in text
    row = text[text.index("Score by cell") :]
    assert "4 of 5" in row
    assert "diverged" in row
    assert "unfinished" in row


def test_a_judged_study_with_an_arm_that_diverged_is_finished_and_its_claim_not_tested(store: StudyStore) -> None:
    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        if cell != "width=8 n=2":
            return usual_outcome(cell, phase, number)
        return "the loss was not a finite number by step 10" if phase == "tune" else None

    stored = store(outcomes)
    assert "So far, " in text_of(stored)
    stored.folder.write_verdicts(VerdictsRecord(study="small", scale="cpu", verdicts=[]))
    text = text_of(stored)
    assert "Of 2 claims, 1 is supported and 1 is not tested." in text
    assert "No trial of width=8 n=2 has a score, so no setting was chosen and no seed was run there." in text
    assert "× NOT TESTED <script>" in text
    assert "no score width=8 n=2" in text
    assert "helps not tested difference" in text
    for wrong in ("INCONCLUSIVE", "inconclusive", "unfinished: ", "will change", "no score yet"):
        assert wrong not in text


def test_a_study_with_no_run_ended_still_has_a_page(store: StudyStore) -> None:
    text = text_of(store(lambda cell, phase, number: None))
    assert "No run has ended yet, so there is no answer yet." in text
    assert "No confirming run has ended yet; there is nothing to draw." in text
    assert "0 of 28 runs ended" in text
    assert "nan" not in text


def test_runs_whose_folders_are_gone_keep_their_scores_and_are_counted(store: StudyStore) -> None:
    stored = store()
    for cell in stored.cells:
        shutil.rmtree(stored.home / "runs" / cell.runs[2].identity)
    results = read_results(stored.home, stored.study)
    assert cautions(results)[0].startswith("The files of 4 runs with a score are gone")
    assert answer(results, stored.judgements) == "Both claims are supported."
    assert results.runs["score"].notna().all()
    assert results.runs["train_seconds"].isna().sum() == 4


def test_thin_evidence_is_named_only_where_it_is_thin(store: StudyStore, usual_store: StoredStudy) -> None:
    assert cautions_of(store(scale="smoke")) == [
        "Scale smoke only shows that the study runs. Its numbers mean nothing.",
        "Each cell has 2 seeds; a verdict needs at least 5.",
    ]
    text = text_of(usual_store)
    assert "5 seeds per cell detect only effects larger than the scatter between seeds." in text
    assert "mean nothing" not in text


def test_a_trial_that_no_seed_reproduces_may_be_luck(store: StudyStore) -> None:
    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        if phase == "tune":  # elsewhere trials score like the first seed
            return 0.1 if cell == "width=8 n=2" else usual_outcome(cell, "confirm", 0)
        return usual_outcome(cell, phase, number)

    (caution,) = [caution for caution in cautions_of(store(outcomes)) if "by luck" in caution]
    assert "In width=8 n=2, the chosen trial scored" in caution


def test_arms_that_do_not_exceed_the_shortcut_are_named(store: StudyStore, usual_store: StoredStudy) -> None:
    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        low = cell == "width=8 n=1" or cell.startswith("width=16")
        return 0.1 + 0.01 * number if low else usual_outcome(cell, phase, number)

    stored = store(outcomes)
    results = read_results(stored.home, stored.study)
    first, second = (shortcut_comparison(results, judgement) for judgement in stored.judgements)
    assert first == "name_before scores 0.300; width=8 n=1 does not exceed it"
    assert second.endswith("0.300; neither arm exceeds it, so their difference says nothing about the skill")
    assert "name_before scores 0.300; both arms exceed it" in text_of(usual_store)


def test_cells_left_out_are_listed_with_the_reason(store: StudyStore) -> None:
    rule = '\n[[exclude]]\nwhere = { "model.width" = 32, "objective.n" = 2 }\nreason = "too slow"\n'
    text = STUDY_FILE.replace('"model.width" = [8, 16]', '"model.width" = [8, 16, 32]')
    text = text.replace('where = { "model.width" = "last" }', 'where = { "model.width" = 16 }')
    stored = store(lambda cell, phase, number: None, text=text.replace("\n[tuning]", f"{rule}\n[tuning]"))
    assert "1 cell left out: too slow width=32 n=2" in text_of(stored)


def test_figures_of_a_large_study_show_the_cells_that_claims_compare(tmp_path: Path) -> None:
    levels = [round(0.01 * level, 2) for level in range(40)]
    text = STUDY_FILE.replace('"model.width" = [8, 16]', f'"training.weight_decay" = {levels}')
    text = text.replace("layers = 3", "layers = 3\nwidth = 8").replace("model.width", "training.weight_decay")
    (tmp_path / "large.toml").write_text(text)
    study = declare(str(tmp_path / "large.toml"), "cpu", [])
    assert len(study.cells) == 80
    labels = ["weight_decay=0.0 n=1", "weight_decay=0.0 n=2", "weight_decay=0.39 n=1", "weight_decay=0.39 n=2"]
    assert [cell.label for cell in drawn_cells(study)] == labels
    assert FactorLayout.of(study).levels["training.weight_decay"] == [0.0, 0.39]
