"""A study's page shows its verdicts, escapes all text, and is self-contained."""

import json
import os
import re
import subprocess
import sys
from html import escape
from pathlib import Path

import numpy as np
import pytest

from reports.exhibits.study.learning_seconds import LearningSeconds
from reports.frames.summaries import scores
from reports.frames.wording import answer
from reports.pages.claim_cards import claim_cards
from reports.pages.study import render_study
from studies.declared.measures import measure_of
from studies.reading.judged import read_judged
from tests.reports.pages.page_reader import PageReader
from tests.reports.stored_study import (
    STUDY_FILE,
    TITLE,
    Outcome,
    StoredStudy,
    StudyStore,
    usual_outcome,
    usual_score,
)


def page_of(stored: StoredStudy) -> str:
    return render_study(read_judged(stored.home, stored.study))


@pytest.fixture(scope="module")
def page(usual_store: StoredStudy) -> str:
    return page_of(usual_store)


def test_scores_and_cards_link_to_the_definitions_of_their_metrics_on_the_page(page: str) -> None:
    links = re.findall(r'href="#(metric-[a-z0-9-]+)"', page)
    assert set(links) >= {"metric-accuracy"}
    definitions = dict(re.findall(r'<p id="(metric-[a-z0-9-]+)">(.*?)</p>', page))
    assert set(links) <= set(definitions)
    assert "exact match of greedy decoding" in definitions["metric-exact"]


def test_verdicts_come_first(usual_store: StoredStudy, page: str) -> None:
    judgements = usual_store.judgements
    assert [judgement.verdict for judgement in judgements] == ["supported", "supported"]
    text = PageReader(page).text
    assert text.index("Both claims are supported.") < text.index("SUPPORTED") < text.index("The score is")
    for judgement in judgements:
        contrast, claim = judgement.contrast, judgement.claim
        assert contrast is not None
        card = text[text.index(f"SUPPORTED {claim.text}") :][:900].replace("-", "\N{MINUS SIGN}")
        for part in (f"{contrast.difference:+.3f}", f"{contrast.high:+.3f}", claim.paper, judgement.reason):
            assert part.replace("-", "\N{MINUS SIGN}") in card


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        (0.36, "Of 2 claims, 1 is supported and 1 is inconclusive."),
        (0.1, "Of 2 claims, 1 is supported and 1 is contradicted."),
    ],
)
def test_the_answer_counts_verdicts_of_each_kind(store: StudyStore, score: float, sentence: str) -> None:
    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        return score + 0.01 * number if cell == "width=8 n=2" else usual_outcome(cell, phase, number)

    stored = store(outcomes)
    judged = read_judged(stored.home, stored.study)
    assert answer(judged.results, judged.judgements) == sentence


def test_no_text_of_a_study_becomes_markup(broken_store: StoredStudy) -> None:
    page = page_of(broken_store)
    names = PageReader(page).tag_names
    assert names.count("script") == names.count("style") == 1
    assert not {"img", "iframe", "link", "object", "embed"} & set(names)
    declaration = broken_store.study.declaration
    for text in (TITLE, declaration.question, declaration.paper, declaration.caveat, declaration.claims[0].text):
        assert escape(text, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")
    assert "step 10 &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    for tag, attributes in PageReader(page).tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert "default-src 'none'" in page


@pytest.mark.slow
def test_another_process_and_another_path_give_the_same_bytes(
    usual_store: StoredStudy, tmp_path: Path, page: str
) -> None:
    (tmp_path / "elsewhere").symlink_to(usual_store.home)
    out = ["--home", str(tmp_path / "elsewhere"), "--out", str(tmp_path / "page.html")]
    command = [sys.executable, "-m", "lab", "report", "small", *out]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert (tmp_path / "page.html").read_text() == page
    for path in (usual_store.home, usual_store.home.parent, Path.home(), Path.cwd()):
        assert str(path) not in page


def test_every_run_that_counts_is_named(usual_store: StoredStudy, page: str) -> None:
    for phase in ("tune", "confirm"):
        assert all(run.identity in page for _, run in usual_store.runs(phase))


def test_budget_parameters_and_machine_are_shown(usual_store: StoredStudy, page: str) -> None:
    text = PageReader(page).text
    assert "Every cell had the same tuning budget, 2 trials." in text
    assert "training.learning_rate from 0.001 to 0.1 on a log scale" in text
    assert "embedding trunk head 1 head 2 norm unembedding non-embedding all" in text
    folder = usual_store.home / "runs" / usual_store.run("width=8 n=1", 0).identity
    parts = json.loads((folder / "result.json").read_text())["parameters"]
    inside = sum(count for part, count in parts.items() if "embedding" not in part)
    counts = [*(parts.get(part) for part in ("embedding", "trunk", "head 1", "head 2", "norm", "unembedding"))]
    row = " ".join("–" if count is None else f"{count:,}" for count in (*counts, inside, sum(parts.values())))
    assert f"8 1 {row} 8 2" in text
    environment = json.loads((folder / "environment.json").read_text())
    assert f"torch {environment['torch']} 28" in text
    assert "lab study run small.toml --scale cpu lab claims small.toml" in text


def test_ids_within_the_page_are_unique(page: str) -> None:
    ids = [attributes["id"] for _, attributes in PageReader(page).tags if attributes.get("id")]
    assert len(ids) == len(set(ids)) > 50


def test_every_figure_has_the_command_that_draws_it_and_its_data(page: str) -> None:
    command = "To draw it again: <code>lab report small --scale cpu</code>"
    assert page.count(command) == PageReader(page).tag_names.count("figure") == 6


def test_a_study_without_a_shortcut_or_a_second_factor_has_a_page(store: StudyStore) -> None:
    text = STUDY_FILE.replace('shortcut = "name_before"\n', "").replace('"model.width" = [8, 16]\n', "")
    text = re.sub(r"where = .*\n", "", text).replace("layers = 3", "layers = 3\nwidth = 8")
    stored = store(lambda cell, phase, number: 0.5 + 0.01 * number, text=text)
    shown = PageReader(page_of(stored)).text
    assert "name_before" not in shown
    assert "1 is inconclusive" in shown


LESS_LOSS = """
[[claims]]
name = "less_loss"
text = "Two lose less."
paper = "0"
kind = "difference"
factor = "objective.n"
treatment = 2
control = 1
where = { "model.width" = "first" }
metric = "loss_1"
"""


def test_a_claim_about_a_loss_is_sign_flipped_and_says_so(store: StudyStore) -> None:
    stored = store(text=STUDY_FILE.replace("\n[scales.cpu]", f"{LESS_LOSS}\n[scales.cpu]"))
    (judgement,) = [judgement for judgement in stored.judgements if judgement.claim.name == "less_loss"]
    losses = {n: -np.log([usual_score(f"width=8 n={n}", seed) for seed in range(5)]) for n in (1, 2)}
    gain = losses[1].mean() - losses[2].mean()
    text = PageReader(page_of(stored)).text
    assert judgement.contrast is not None
    assert judgement.contrast.difference == pytest.approx(gain)
    card = text[text.index("SUPPORTED Two lose less.") :][:500]
    assert f"Measured difference +{gain:.3f}" in card
    assert "Mean loss_1 on test (lower is better; effects are sign-flipped)" in card
    assert f"{losses[2].mean():.3f} width=8 n=2 {losses[1].mean():.3f} width=8 n=1" in card
    assert "name_before scores" not in card
    assert "effect on loss_1 on test, sign flipped" in text
    assert "effect on accuracy on test" in text
    row = text[text.index("Effects seed by seed") :]
    assert f"less loss 0 {losses[2][0]:.4g} {losses[1][0]:.4g} +{losses[1][0] - losses[2][0]:.4g}" in row


def test_every_kind_of_claim_has_its_card_and_its_row_in_the_figure(store: StudyStore) -> None:
    kinds = {
        "gains": 'kind = "interaction"\nfactor = "objective.n"\ntreatment = 2\ncontrol = 1\nover = "model.width"\nbetween = ["first", "last"]',
        "rises": 'kind = "trend"\nfactor = "model.width"\nmargin = 0.2\nwhere = { "objective.n" = 1 }',
        "best": 'kind = "best"\nfactor = "model.width"\nbest = [16]\nwhere = { "objective.n" = 2 }',
    }  # fmt: skip
    claims = "".join(
        f'\n[[claims]]\nname = "{name}"\ntext = "It {name}."\npaper = "0"\n{keys}\n' for name, keys in kinds.items()
    )
    stored = store(text=STUDY_FILE.replace("\n[scales.cpu]", f"{claims}\n[scales.cpu]"))
    judged = read_judged(stored.home, stored.study)
    text = PageReader(render_study(judged)).text
    for words in (
        "Measured difference of gains +0.450",
        "Measured slope per level +0.550",
        "margin 0.2",
        "Measured lead of the best +0.100",
        "gain at width=8 minus gain at width=16",
        "slope per level, from width=8 n=1 to width=16 n=1",
    ):
        assert words in text, words
    for name in kinds:
        assert f"SUPPORTED It {name}." in text
    equal_seconds = {row[0].text for row in LearningSeconds(judged).summary().rows}
    assert not equal_seconds & set(kinds), "more than two arms have no single difference"


def test_the_interval_of_mean_steps_ends_at_the_steps_that_runs_have(store: StudyStore) -> None:
    """One of five runs solves the task, at step 15; Student's t interval of the mean, 19, would end at 21.8."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        return 0.8 if phase == "confirm" and number == 0 else 0.4

    text = STUDY_FILE.replace("seeds = 5\n", "seeds = 5\nsolved_at = 0.39\n", 1)
    text = text.replace('name = "helps"\n', 'name = "helps"\nmetric = "steps_to_solve"\n', 1)
    text = text.replace("evaluate_every_steps = 10", "evaluate_every_steps = 5", 1)
    stored = store(outcomes, text=text)
    results = read_judged(stored.home, stored.study).results
    cell = scores(results, measure_of(stored.study.declaration, stored.study.declaration.claims[0]))["width=8 n=2"]
    assert cell.low < cell.mean < cell.high <= 20.0


def test_the_means_on_a_card_are_those_of_the_seeds_that_decided_the_claim(store: StudyStore) -> None:
    """Runs of later seeds, which another claim may need, score 0.1 whatever the arm."""

    def outcomes(cell: str, phase: str, number: int) -> Outcome:
        return 0.1 if phase == "confirm" and number >= 5 else usual_outcome(cell, phase, number)

    stored = store(outcomes, text=STUDY_FILE.replace("seeds = 5\n", "seeds = 8\nlooks = [5, 8]\n", 1))
    judged = read_judged(stored.home, stored.study)
    helps = judged.judgements[0]
    assert list(helps.by_seed) == list(range(5))
    card = claim_cards(judged)[0]
    assert card.arms == [("width=8 n=2", "0.820"), ("width=8 n=1", "0.370")]
    assert card.effect == "+0.450"
    assert "both arms exceed it" in card.shortcut
