"""The page says what the verdicts say, lets no text through as markup, and needs nothing but itself."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lab.run.spec import parse_spec
from reports.drawing.layout import Layout, drawn_cells
from reports.exhibits.tables import time_table
from reports.frames import formatting as words
from reports.frames.results import Results, read_results
from reports.pages.study import commands, render, toml
from studies.declared.loading import load
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.scores import confirmed, scores_for
from tests.reports.conftest import DECLARED, TITLE, Outcome, Store, Stored, usual
from tests.studies.conftest import cells_of

VOID = {"meta", "link", "br", "img", "input", "hr"}


def results_of(stored: Stored) -> Results:
    return read_results(stored.home, stored.study)


def judgements_of(stored: Stored) -> list[Judgement]:
    return judge(stored.study, confirmed(cells_of(stored.home, stored.study)))


def page_of(stored: Stored) -> str:
    return render(results_of(stored), judgements_of(stored), stored.home)


@pytest.fixture(scope="module")
def page(usual_store: Stored) -> str:
    return page_of(usual_store)


@pytest.fixture(scope="module")
def broken_page(broken_store: Stored) -> str:
    return page_of(broken_store)


class Reader(HTMLParser):
    """Tags in balance, names, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_verdicts_stand_first_as_they_were_judged(usual_store: Stored, page: str) -> None:
    judgements = judgements_of(usual_store)
    assert [one.verdict for one in judgements] == ["supported", "supported"]
    text = Reader(page).text
    assert text.index("Both claims are supported.") < text.index("SUPPORTED") < text.index("The score is")
    for one in judgements:
        assert one.contrast is not None
        card = text[text.index(f"SUPPORTED {one.claim.text}") :]
        for part in (f"{one.contrast.difference:+.3f}", f"{one.contrast.high:+.3f}", one.claim.paper, one.reason):
            assert part.replace("-", "\N{MINUS SIGN}") in card.replace("-", "\N{MINUS SIGN}")[:900]


@pytest.mark.parametrize(
    ("n2", "said"),
    [
        (0.36, "Of 2 claims, 1 is supported and 1 is inconclusive."),
        (0.1, "Of 2 claims, 1 is supported and 1 is contradicted."),
    ],
)
def test_other_verdicts_are_said_as_plainly(store: Store, n2: float, said: str) -> None:
    def told(cell: str, phase: str, number: int) -> Outcome:
        return n2 + 0.01 * number if cell == "width=8 n=2" else usual(cell, phase, number)

    stored = store(told)
    assert words.answer(results_of(stored), judgements_of(stored)) == said


def test_no_text_of_a_study_becomes_markup(broken_store: Stored, broken_page: str) -> None:
    page = broken_page
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert [tag for tag, _ in reader.tags].count("style") == 1
    assert not {"img", "iframe", "link", "object", "embed"} & {tag for tag, _ in reader.tags}
    declaration = broken_store.study.declaration
    for text in (TITLE, declaration.question, declaration.paper, declaration.caveat, declaration.claims[0].text):
        assert escape(text, quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")
    assert "step 10 &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    reader = Reader(page)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_another_process_and_another_place_give_the_same_bytes(usual_store: Stored, tmp_path: Path, page: str) -> None:
    (tmp_path / "elsewhere").symlink_to(usual_store.home)
    out = ["--home", str(tmp_path / "elsewhere"), "--out", str(tmp_path / "page.html")]
    command = [sys.executable, "-m", "lab", "report", "small", *out]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert (tmp_path / "page.html").read_text() == page
    for place in (usual_store.home, usual_store.home.parent, Path.home(), Path.cwd()):
        assert str(place) not in page


def test_paths_in_settings_and_failures_do_not_show_the_machine(store: Store) -> None:
    def told(cell: str, phase: str, number: int) -> Outcome:
        failed = cell == "width=8 n=1" and phase == "confirm" and number == 0
        return "OSError: /home/someone/data/tales.txt is gone" if failed else usual(cell, phase, number)

    stored = store(told, sets=("task.name_parts=5",))
    (caution, *_) = words.cautions(results_of(stored), stored.home)
    assert "seed 0 (OSError: tales.txt is gone)" in caution
    assert commands(stored.study, stored.home)[0] == "lab study run small.toml --scale cpu --set task.name_parts=5"
    assert words.portable(f"{stored.home}/runs/ab", stored.home) == "runs/ab"
    assert words.portable("task.corpus=/data/x/tales.txt", stored.home) == "task.corpus=tales.txt"
    assert words.portable("1/2 and figures 3/4 of a/b/c", stored.home) == "1/2 and figures 3/4 of a/b/c"
    assert toml({"corpus": "/data/x/tales.txt"}, stored.home) == 'corpus = "tales.txt"'


def test_a_half_done_study_says_so_and_how_far_it_is(broken_page: str) -> None:
    text = Reader(broken_page).text
    assert "So far, both claims are not tested." in text
    assert "The study is unfinished: 21 of 28 runs ended, 2 begun or waiting." in text
    assert "2 runs failed and count for nothing: width=8 n=2, seed 3 (the loss was not a finite number" in text
    assert "width=16 n=1, trial 0 (MemoryError: out of memory)" in text
    assert "so far between 1 and 2 have ended" in text
    row = text[text.index("Score by cell") :]
    assert "4 of 5" in row
    assert "diverged" in row
    assert "unfinished" in row


def test_a_study_with_no_run_ended_still_has_a_page(store: Store) -> None:
    text = Reader(page_of(store(lambda cell, phase, number: None))).text
    assert "No run has ended yet, so there is no answer yet." in text
    assert "0 of 28 runs ended" in text
    assert "nan" not in text


def test_runs_whose_folders_are_gone_keep_their_scores_and_are_missed(store: Store) -> None:
    stored = store()
    for cell in cells_of(stored.home, stored.study):
        shutil.rmtree(stored.home / "runs" / cell.runs[2].identity)
    results = results_of(stored)
    (caution, *_) = words.cautions(results, stored.home)
    assert caution.startswith("4 runs with a score cannot be read any more")
    assert words.answer(results, judgements_of(stored)) == "Both claims are supported."
    assert results.runs["score"].notna().all()
    assert results.runs["train_seconds"].isna().sum() == 4


def test_thin_evidence_is_named_at_the_smoke_scale_and_not_in_a_finished_study(store: Store, page: str) -> None:
    stored = store(scale="smoke")
    assert words.cautions(results_of(stored), stored.home) == [
        "Scale smoke only shows that the study runs. Its numbers mean nothing.",
        "2 seeds a cell. A verdict needs at least 5.",
    ]
    assert "5 seeds a cell: only an effect larger than what seeds scatter by is found." in Reader(page).text
    assert "mean nothing" not in Reader(page).text


def test_a_trial_that_no_seed_comes_near_is_said_to_be_luck(store: Store) -> None:
    def told(cell: str, phase: str, number: int) -> Outcome:
        if phase == "tune":  # elsewhere as the first seed
            return 0.1 if cell == "width=8 n=2" else usual(cell, "confirm", 0)
        return usual(cell, phase, number)

    said = [caution for caution in words.cautions(results_of(store(told)), Path()) if "by luck" in caution]
    assert len(said) == 1
    assert "In width=8 n=2 the chosen trial scored" in said[0]


def test_an_arm_that_does_not_beat_the_shortcut_is_said_to_be_so(store: Store, page: str) -> None:
    def told(cell: str, phase: str, number: int) -> Outcome:
        return (
            0.1 + 0.01 * number if cell == "width=8 n=1" or cell.startswith("width=16") else usual(cell, phase, number)
        )

    stored = store(told)
    one, both = (words.beside_shortcut(results_of(stored), judgement) for judgement in judgements_of(stored))
    assert one == "name_before scores 0.300; width=8 n=1 is not above it"
    assert both == "name_before scores 0.300; neither arm is above it, so their difference is not of the skill"
    assert "name_before scores 0.300; both arms are above it" in Reader(page).text


def test_the_spec_shown_of_each_cell_is_the_run_that_was_stored(usual_store: Stored, page: str) -> None:
    shown = re.findall(r"<summary>[^<]*: run ([0-9a-f]{16})</summary>\s*<pre[^>]*>(.*?)</pre>", page, flags=re.DOTALL)
    assert len(shown) == 4
    for run, text in shown:
        spec = parse_spec(tomllib.loads(unescape(text)), "the page")
        assert spec.identity == run
        assert (usual_store.home / "runs" / run).is_dir()


def test_toml_keeps_every_kind_of_value() -> None:
    tree = {
        "a": 1,
        "b": 1e-05,
        "c": 'x "y" \\ <é>',
        "d": True,
        "e": [1, 2],
        "f": {"g": None, "h": {"i": 2.5}},
        "j": None,
    }
    kept = {"a": 1, "b": 1e-05, "c": 'x "y" \\ <é>', "d": True, "e": [1, 2], "f": {"h": {"i": 2.5}}}
    assert tomllib.loads(toml(tree, Path("home"))) == kept


def test_every_run_that_counts_is_named_on_the_page(usual_store: Stored, page: str) -> None:
    for cell in cells_of(usual_store.home, usual_store.study):
        for entry in cell.runs:
            assert entry.identity in page


def test_budget_parameters_and_machine_are_told(usual_store: Stored, page: str) -> None:
    text = Reader(page).text
    assert "Every cell had the same tuning budget, 2 trials." in text
    assert "training.learning_rate from 0.001 to 0.1 on a log scale" in text
    assert re.search(r"embedding trunk head 1 head 2 norm unembedding non-embedding all", text)
    assert "8 1 10 1,000 100 – 8 10 1,108 1,128" in text
    run = next((usual_store.home / "runs").iterdir())
    environment = json.loads((run / "environment.json").read_text())
    assert f"torch {environment['torch']} 28" in text
    assert "lab study run small.toml --scale cpu lab claims small.toml" in text


def test_a_study_without_a_shortcut_or_a_second_factor_has_a_page(store: Store) -> None:
    declared = DECLARED.replace('shortcut = "name_before"\n', "").replace('"model.width" = [8, 16]\n', "")
    declared = declared.replace('where = { "model.width" = "first" }', "").replace(
        'where = { "model.width" = "last" }', ""
    )
    declared = declared.replace("layers = 3", "layers = 3\nwidth = 8")
    text = Reader(page_of(store(lambda cell, phase, number: 0.5 + 0.01 * number, declared=declared))).text
    assert "name_before" not in text
    assert "1 is inconclusive" in text


def test_names_within_the_page_are_unique(page: str) -> None:
    names = [attributes["id"] for _, attributes in Reader(page).tags if attributes.get("id")]
    assert len(names) == len(set(names)) > 50


def test_a_claim_about_another_measure_is_shown_in_that_measure_and_its_direction(store: Store) -> None:
    claim = """
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
    stored = store(declared=DECLARED.replace("\n[scales.cpu]", f"{claim}\n[scales.cpu]"))
    (one,) = [one for one in judgements_of_measures(stored) if one.claim.name == "less_loss"]
    losses = {n: -np.log([float(usual(f"width=8 n={n}", "confirm", seed) or 0) for seed in range(5)]) for n in (1, 2)}
    page = render(results_of(stored), judgements_of_measures(stored), stored.home)
    text = Reader(page).text
    assert one.contrast is not None
    assert one.contrast.difference == pytest.approx(losses[1].mean() - losses[2].mean())
    card = text[text.index("SUPPORTED Two lose less.") :][:500]
    assert f"Measured difference +{losses[1].mean() - losses[2].mean():.3f}" in card
    assert "Mean loss_1 on test (lower is better; effects are sign-flipped, so positive means better)" in card
    assert f"{losses[2].mean():.3f} width=8 n=2 {losses[1].mean():.3f} width=8 n=1" in card
    assert "name_before scores" not in card
    assert "effect on loss_1 on test, less being better" in text
    assert "effect on accuracy on test" in text
    row = text[text.index("Effects, seed by seed") :]
    assert f"less loss 0 {losses[2][0]:.4g} {losses[1][0]:.4g} +{losses[1][0] - losses[2][0]:.4g}" in row


def judgements_of_measures(stored: Stored) -> list[Judgement]:
    return judge(stored.study, scores_for(stored.study, cells_of(stored.home, stored.study)))


def test_cells_left_out_are_listed_with_the_reason(store: Store) -> None:
    rule = '\n[[exclude]]\nwhere = { "model.width" = 32, "objective.n" = 2 }\nreason = "too slow"\n'
    declared = DECLARED.replace('"model.width" = [8, 16]', '"model.width" = [8, 16, 32]')
    declared = declared.replace('where = { "model.width" = "last" }', 'where = { "model.width" = 16 }')
    stored = store(lambda cell, phase, number: None, declared=declared.replace("\n[tuning]", f"{rule}\n[tuning]"))
    assert "1 cell left out: too slow width=32 n=2" in Reader(page_of(stored)).text


def test_every_figure_has_the_command_that_draws_it_and_its_data(page: str) -> None:
    tags = [tag for tag, _ in Reader(page).tags]
    assert page.count("Drawn again by <code>lab report small --scale cpu</code>") == tags.count("figure") - 1
    # the two figures of learning curves share one table


def test_of_a_large_study_the_figures_show_the_cells_that_claims_are_about(tmp_path: Path) -> None:
    levels = [round(0.01 * level, 2) for level in range(40)]
    declared = DECLARED.replace('"model.width" = [8, 16]', f'"training.weight_decay" = {levels}')
    declared = declared.replace("layers = 3", "layers = 3\nwidth = 8").replace("model.width", "training.weight_decay")
    (tmp_path / "large.toml").write_text(declared)
    study = load(str(tmp_path / "large.toml"), "cpu", [])
    assert len(study.cells) == 80
    labels = ["weight_decay=0.0 n=1", "weight_decay=0.0 n=2", "weight_decay=0.39 n=1", "weight_decay=0.39 n=2"]
    assert [cell.label for cell in drawn_cells(study)] == labels
    assert Layout.of(study).levels["training.weight_decay"] == [0.0, 0.39]


def test_every_kind_of_claim_has_its_card_its_row_and_its_place_in_the_figure(store: Store) -> None:
    kinds = {
        "gains": 'kind = "interaction"\nfactor = "objective.n"\ntreatment = 2\ncontrol = 1\nover = "model.width"\nbetween = ["first", "last"]',
        "rises": 'kind = "trend"\nfactor = "model.width"\nmargin = 0.2\nwhere = { "objective.n" = 1 }',
        "best": 'kind = "best"\nfactor = "model.width"\nbest = [16]\nwhere = { "objective.n" = 2 }',
    }  # fmt: skip
    claims = "".join(
        f'\n[[claims]]\nname = "{name}"\ntext = "It {name}."\npaper = "0"\n{keys}\n' for name, keys in kinds.items()
    )
    stored = store(declared=DECLARED.replace("\n[scales.cpu]", f"{claims}\n[scales.cpu]"))
    page = render(results_of(stored), judgements_of(stored), stored.home)
    text = Reader(page).text
    for said in (
        "Measured difference of gains +0.450",
        "Measured slope per level +0.550",
        "margin 0.2",
        "Measured lead of the best +0.100",
        "gain at width=first minus gain at width=last",
        "slope per level, from width=8 n=1 to width=16 n=1",
    ):
        assert said in text, said
    for name in kinds:
        assert f"SUPPORTED It {name}." in text
    equal_seconds = {row[0].text for row in time_table(results_of(stored), judgements_of(stored)).rows}
    assert not equal_seconds & set(kinds), "of more than two arms there is no one difference"
