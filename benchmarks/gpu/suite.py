"""The part `tests`: the tests that need a GPU, on the device of this script."""

import os
import sys
import tempfile
import threading
import time

import pytest

from benchmarks.gpu.plan import Plan
from benchmarks.gpu.runner import ROOT

WORKERS = 12
MARGIN_SECONDS = 3.0
QUICK = "a_killed_run or greedy or gradients_of_the_three_losses"
"""A selection that takes seconds on a CPU; the others are collected."""
LAST_LINE_LENGTH = 300
MARK = "pytest.mark.gpu"


class Reporter:
    """Writes a row per test when it ends, so that a limit costs only the tests that have not ended."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcomes: dict[str, str] = {}
        self.errors = 0
        self.left_out = 0
        self.begin = time.perf_counter()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes a file that cannot be collected."""
        if report.failed:
            self.errors += 1
            self.plan.write(test=report.nodeid, outcome="not collected", last_line=last_line(report.longreprtext))

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Counts the tests for a GPU that were collected and not selected."""
        self.left_out += sum(item.get_closest_marker("gpu") is not None for item in items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes the outcome of a test, which is that of its call unless its setup or teardown fails."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
            row = {"test": report.nodeid, "outcome": report.outcome}
            if report.failed:
                self.plan.write(**row, last_line=last_line(report.longreprtext))
            else:
                self.plan.write_detail(**row, seconds=round(report.duration, 2))

    def write_counts(self, complete: bool) -> None:
        """Writes the number of tests with each outcome so far."""
        outcomes = list(self.outcomes.values())
        counts = {name: outcomes.count(name) for name in ("passed", "failed", "skipped")}
        seconds = time.perf_counter() - self.begin
        counts |= {"not_selected": self.left_out, "not_collected": self.errors}
        self.plan.write(tests=len(outcomes), **counts, seconds=seconds, complete=complete)


def last_line(text: str) -> str:
    """Returns the last line of an error that says something: pytest marks those of the exception with E."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith("E ")]
    return (marked or lines or [""])[-1].strip()[:LAST_LINE_LENGTH]


def gpu_files() -> list[str]:
    """Returns the test files that have tests for a GPU; collecting the others takes longer than these tests."""
    return [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if MARK in path.read_text("utf-8")]


def measure(plan: Plan) -> None:
    """Runs the tests and writes their outcomes."""
    os.environ["LAB_TEST_DEVICE"] = plan.device
    processes = str(WORKERS if plan.on_gpu else 0)
    command = [
        "-m",
        "gpu",
        "-n",
        processes,
        "-q",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        *gpu_files(),
    ]
    if plan.quick:
        command += ["-k", QUICK]
    reporter = Reporter(plan)
    timer = threading.Timer(max(0.0, plan.seconds_left() - MARGIN_SECONDS), reporter.write_counts, [False])
    timer.daemon = True
    timer.start()
    with tempfile.TemporaryDirectory() as folder:  # otherwise pytest ends by deleting what earlier sessions left behind
        code = pytest.main([*command, "--basetemp", folder], plugins=[reporter])
    timer.cancel()
    reporter.write_counts(True)
    sys.exit(int(code))
