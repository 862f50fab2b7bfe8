"""A run in a notebook: training from a dictionary or a file, predictions, hidden states and metrics."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import lab
from generators import UserError, WorkFailed
from tests.conftest import logits_of, tiny_tree


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> lab.LoadedRun:
    return lab.train(tiny_tree(), tmp_path_factory.mktemp("home"))


def test_a_run_is_trained_from_a_file_and_loaded_by_a_prefix_in_the_home_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    (tmp_path / "run.toml").write_text(
        "\n".join(
            f"[{table}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
            for table, settings in tiny_tree(training__steps=4).items()
        )
    )
    trained = lab.train(tmp_path / "run.toml")
    assert trained.spec == lab.parse_spec(tiny_tree(training__steps=4))
    assert lab.load_run(trained.folder.identity[:5]).scores == trained.scores


def test_a_run_that_diverges_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkFailed, match="diverged: the loss was not a finite number"):
        lab.train(tiny_tree(training__learning_rate=1e30, training__clip_norm=1e30), tmp_path)


def test_predictions_are_the_likeliest_tokens_until_the_end_of_the_sample(run: lab.LoadedRun) -> None:
    samples = run.task.batch("test", range(3)).tokens
    texts = [run.task.text(tokens[:20]) for tokens in samples]
    continuations = run.predict([texts[0], *texts[1:]])
    words = continuations[0].split()
    assert len(words) == run.task.length - 20
    with torch.no_grad():
        for continuation, tokens in zip(continuations, samples, strict=True):
            likeliest = logits_of(run.network, torch.from_numpy(tokens[None, :20]))[0, -1].argmax()
            assert continuation.split()[0] == run.task.vocabulary[int(likeliest)]
    assert run.predict(texts[0], 2) == " ".join(words[:2])
    assert run.predict(samples[:, :20]) == continuations


def test_prompts_of_different_lengths_are_continued_as_alone(run: lab.LoadedRun) -> None:
    tokens = run.task.batch("test", [0]).tokens[0]
    short, long = run.task.text(tokens[:5]), run.task.text(tokens[:9])
    assert run.predict([short, long, short]) == [run.predict(short), run.predict(long), run.predict(short)]


def test_the_hidden_states_of_the_last_layer_give_the_predictions(run: lab.LoadedRun) -> None:
    tokens = run.task.batch("test", range(3)).tokens[:, :10]
    states = run.hidden_states(tokens)
    assert list(states) == ["embedding", "layer 1", "layer 2", "head 1"]
    assert all(state.shape == (3, 10, 16) for state in states.values())
    path = run.network.next_token_path()
    with torch.no_grad():
        logits = path.unembedding(path.norm(states["head 1"]))
        assert torch.allclose(logits, logits_of(run.network, torch.from_numpy(np.ascontiguousarray(tokens))), atol=1e-4)


def test_hidden_states_need_prompts_of_one_length(run: lab.LoadedRun) -> None:
    tokens = run.task.batch("test", [0]).tokens[0]
    with pytest.raises(UserError, match="prompts of 2, 3 tokens: hidden states need prompts of one length"):
        run.hidden_states([run.task.text(tokens[:3]), run.task.text(tokens[:2])])


def test_metrics_hold_every_number_that_was_logged(run: lab.LoadedRun) -> None:
    metrics = run.metrics
    assert list(metrics.columns) == ["step", "split", "metric", "value"]
    best = metrics[(metrics["step"] == run.step) & (metrics["split"] == "validation")]
    assert dict(zip(best["metric"], best["value"], strict=True)) == run.scores["validation"]
    assert set(metrics["step"]) == {4, 8, 12}


def test_notebooks_show_a_run_and_its_spec(run: lab.LoadedRun) -> None:
    assert repr(run) == (
        f"<run {run.folder.identity}, best checkpoint at step {run.step}: multi_token on induction, 12 steps, seed 0>"
    )
    assert str(run.spec) == f"<spec of run {run.folder.identity}: multi_token on induction, 12 steps, seed 0>"
    assert "characters = 3" in run._repr_html_()


def test_wrong_arguments_are_refused_by_name_before_anything_runs(run: lab.LoadedRun) -> None:
    prompt, home = run.task.text(run.task.batch("test", [0]).tokens[0, :5]), run.folder.home
    most = run.task.length - 5
    spec = tiny_tree()
    calls: dict[str, Callable[[], object]] = {
        "name = 12: should be the identity of a run, as text": lambda: lab.load_run(12, home),  # type: ignore[arg-type]
        "checkpoint first of run ": lambda: lab.load_run(run.folder.identity, home, "first"),
        "spec = 12: should be a dictionary of a run's tables": lambda: lab.train(12, home),  # type: ignore[arg-type]
        'other_code = "Refuse": should be refuse, keep or retrain': lambda: lab.train(spec, home, other_code="Refuse"),  # type: ignore[arg-type]
        "on_metrics = 3: should be a function of step": lambda: lab.train(spec, home, on_metrics=3),  # type: ignore[arg-type]
        "progress = 3: should be a function of the step": lambda: lab.train(spec, home, 3),  # type: ignore[arg-type]
        f'count = "x": should be a whole number from 1 to {most},': lambda: run.predict(prompt, "x"),  # type: ignore[call-overload]
        f"count = 2.5: should be a whole number from 1 to {most},": lambda: run.predict(prompt, 2.5),  # type: ignore[call-overload]
        f"count = {most + 1}: should be a whole number from 1 to {most},": lambda: run.predict(prompt, most + 1),
    }
    for sentence, call in calls.items():
        with pytest.raises(UserError) as refused:
            call()
        assert str(refused.value).startswith(sentence)
