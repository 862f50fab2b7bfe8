"""A broken executor ends its command with one sentence: no traceback, no endless loop, no run lost without a word."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generators.foundation.errors import WorkFailed
from generators.foundation.outside import PartFailed
from lab.run.spec import RunSpec
from studies.declared.study import Study
from studies.ledger.folder import StudyFolder
from studies.running.executors.executor import Analyses, Outcome
from studies.running.executors.here import InProcess
from studies.running.executors.table import ExecutorChoice
from studies.running.sweep import Sweep
from tests.conftest import Lab
from tests.fake_package import Install
from tests.small_study import write_small_study
from tests.stub_training import stub_attempt


class Stubs(InProcess[Any]):
    """Stores runs without training them."""

    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        if self.pending:
            key, request = self.waiting.popleft()
            yield key, stub_attempt(request, self.home)


class RaisesInSubmit(Stubs):
    def submit(self, key: Any, spec: RunSpec, analyses: Analyses = ()) -> None:
        raise OSError("no room")


class RaisesAtOnce(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        raise OSError("no route")


class RaisesLater(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        yield from super().outcomes()
        raise SystemExit(0)


class YieldsNone(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        yield None  # type: ignore[misc]


class ReturnsNone(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        return None  # type: ignore[return-value]


class YieldsAnotherKey(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        for _, outcome in super().outcomes():
            yield "elsewhere", outcome


class YieldsTwice(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        for pair in super().outcomes():
            yield from (pair, pair)


class YieldsNoOutcome(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        for key, _ in super().outcomes():
            yield key, "done"


class YieldsAnEmptyOutcome(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        for key, _ in super().outcomes():
            yield key, Outcome(None)


class EndsWithRunsPending(Stubs):
    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        yield from ()


class LosesItsRuns(Stubs):
    """Says that nothing is pending after the first run."""

    @property
    def pending(self) -> bool:
        return not list(self.home.glob("runs/*")) and super().pending


BROKEN: dict[type[Stubs], str] = {
    RaisesInSubmit: "failed with OSError: no room (test_checked_executor.py, line ",
    RaisesAtOnce: "failed with OSError: no route (test_checked_executor.py, line ",
    RaisesLater: "failed with SystemExit: 0 (test_checked_executor.py, line ",
    YieldsNone: "yields None, which is not the key of a run and its Outcome",
    ReturnsNone: "failed with TypeError: 'NoneType' object is not iterable",
    YieldsAnotherKey: "yields the key 'elsewhere', under which no run is pending",
    YieldsTwice: "under which no run is pending",
    YieldsNoOutcome: "'done', which is no Outcome",
    YieldsAnEmptyOutcome: "which has neither a result nor the text of a failure",
    EndsWithRunsPending: "yields no outcome, though 4 runs are pending",
    LosesItsRuns: "yields no outcome, though 4 runs are pending",
}


@pytest.fixture(autouse=True)
def no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_an_executor_that_breaks_its_interface_is_named_and_what_ended_is_kept(
    kind: type[Stubs], small: Study, tmp_path: Path
) -> None:
    with pytest.raises(PartFailed) as raised:
        Sweep(small, tmp_path, lambda event: None).run(kind(tmp_path))
    sentence = str(raised.value)
    assert sentence.startswith(f"executor {kind.__name__} of tests.studies.running.executors.test_checked_executor ")
    assert BROKEN[kind] in sentence
    assert sentence.endswith("; runs that ended are kept, and the same command continues from here")
    folder = StudyFolder(tmp_path, small.name, small.scale)
    assert folder.read_cells()
    assert not folder.has_verdicts
    stored = len(list(tmp_path.glob("runs/*/result.json")))
    goes_on = Sweep(small, tmp_path, lambda event: None)
    assert len(goes_on.run(Stubs(tmp_path))) == 2
    assert goes_on.trained == 28 - stored


class RaisesInStop(Stubs):
    def stop(self) -> None:
        raise OSError("no such host")

    def outcomes(self) -> Iterator[tuple[Any, Any]]:
        signal.raise_signal(signal.SIGINT)
        yield from super().outcomes()


def test_an_executor_that_cannot_be_stopped_is_named_once_the_handler_is_left(small: Study, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(
            PartFailed, match=r"RaisesInStop of .* failed with OSError: no such host .*; runs that ended"
        ):
            Sweep(small, tmp_path, lambda event: None).run(RaisesInStop(tmp_path))
    finally:
        signal.signal(signal.SIGINT, before)


class RaisesAtExit(Stubs):
    def __exit__(self, *error: object) -> None:
        raise OSError("no such job")


def test_an_executor_that_cannot_end_its_workers_does_not_cost_the_verdicts(
    small: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(Sweep(small, tmp_path, lambda event: None).run(RaisesAtExit(tmp_path))) == 2
    assert "failed with OSError: no such job" in capsys.readouterr().err


MODULE = """
from generators import Settings
from studies import InProcess, Outcome

class Mine(InProcess):
    {body}
"""
CREATIONS: dict[str, str] = {
    "@classmethod\n    def create(cls, settings, context): raise KeyError('queue')": "failed with KeyError: 'queue' ({name}.py, line 7)",
    "@classmethod\n    def create(cls, settings, context): return None": "creates None, which is no Executor",
    "count = 'many'": "has count = 'many', which is no number of runs at a time",
    "count = 0": "has count = 0, which is no number of runs at a time",
}


@pytest.mark.parametrize("body", CREATIONS)
def test_an_executor_that_cannot_be_created_is_named(body: str, install: Install, small: Study, tmp_path: Path) -> None:
    name = f"outside_creation_{list(CREATIONS).index(body)}"
    install(name, f"[mtp_lab.executors]\nmine = {name}:Mine", MODULE.format(body=body))
    with pytest.raises(WorkFailed) as raised:
        ExecutorChoice("mine", tmp_path).create(small)
    assert str(raised.value) == f"executor mine of {name} 1.2 {CREATIONS[body].format(name=name)}"


INVENTED = """def outcomes(self):
        key, request = self.waiting.popleft()
        yield key, Outcome({"status": "complete", "scores": {"best": {"validation": {"accuracy": 1.0}}}})
"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (INVENTED, " has no result of that run; runs that ended are kept"),
        (
            "def outcomes(self): raise ValueError('queue')",
            "failed with ValueError: queue (outside_command_1.py, line 6)",
        ),
    ],
)
def test_the_command_exits_with_1_and_one_sentence(
    body: str, reason: str, install: Install, lab: Lab, tmp_path: Path
) -> None:
    name = f"outside_command_{int(body != INVENTED)}"
    install(name, f"[mtp_lab.executors]\nmine = {name}:Mine", MODULE.format(body=body))
    study = write_small_study(tmp_path)
    done = lab("study", "run", study, "--scale", "smoke", "--executor", "mine", "--home", tmp_path / "home")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"lab: executor Mine of {name} 1.2 ")
    assert reason in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_search_ends_with_the_sentence_too(install: Install, lab: Lab, tmp_path: Path) -> None:
    body = "def outcomes(self): return iter(())"
    install("outside_search", "[mtp_lab.executors]\nmine = outside_search:Mine", MODULE.format(body=body))
    done = lab("study", "search", "best-n", "--scale", "smoke", "--executor", "mine", "--home", tmp_path)
    assert done.returncode == 1
    assert "executor Mine of outside_search 1.2 yields no outcome, though" in done.stderr
