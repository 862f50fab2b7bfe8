"""The GPU script: a part that crashes, hangs or writes half a line costs the others nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.plan import LOG, RESULTS, SUMMARY, read_rows
from benchmarks.gpu.runner import ROOT, Part, run_parts, seconds_of
from benchmarks.gpu.summary import summary

BODIES = {
    "good_part": "    plan.write(size=1, rate=1234.5, wide=True)\n    plan.write_detail(size=2)\n    print('measured')\n",
    "crashing_part": "    plan.write(size=3)\n    import os\n    os.abort()\n",
    "failing_part": "    plan.write(size=4)\n    raise SystemExit(3)\n",
    "hanging_part": (
        "    import subprocess, sys, time\n    plan.write(size=5)\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    plan.write(child=child.pid)\n"
        "    (plan.folder / 'results.jsonl').open('a').write('{\"part\": \"hang')\n    time.sleep(600)\n"
    ),
}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    for name, body in BODIES.items():
        (tmp_path / f"{name}.py").write_text(f"def measure(plan):\n{body}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return [Part(name, name, 6) for name in ("hanging_part", "crashing_part", "failing_part", "good_part")]


def running(process: int) -> bool:
    """Returns whether a process exists and is not a zombie."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_parts_that_end_badly_keep_their_rows_and_cost_the_others_nothing(parts: list[Part], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    lines: list[str] = []
    endings = run_parts(parts, folder, "cpu", True, 60, lines.append)
    assert [ending.status for ending in endings] == ["timed out", "failed", "failed", "ok"]
    assert [ending.rows for ending in endings] == [2, 1, 1, 2]
    assert len(lines) == 4
    rows = read_rows(folder)
    assert [row["size"] for row in rows if "size" in row] == [5, 3, 4, 1, 2]
    (child,) = (row["child"] for row in rows if "child" in row)
    assert not running(child)
    assert "measured" in (folder / LOG).read_text()
    text = summary({"card": "none"}, endings, folder)
    assert "| size | rate | wide |\n|---|---|---|\n| 1 | 1,234 | yes |" in text
    assert "| hanging_part | timed out |" in text
    assert "| 2 |\n" not in text.partition("## good_part")[2]


def test_a_part_gets_its_own_limit_and_an_elastic_one_what_is_left_over() -> None:
    first, last = Part("first", "m", 100, elastic=True), Part("last", "m", 50)
    assert seconds_of(first, [last], 150) == 100
    assert seconds_of(first, [last], 200) == 150
    assert seconds_of(first, [last], 120) == 100
    assert seconds_of(last, [], 20) == 20
    assert seconds_of(last, [], 300) == 50


def test_a_part_without_time_is_not_started(parts: list[Part], tmp_path: Path) -> None:
    (ending,) = run_parts(parts[-1:], tmp_path, "cpu", True, 1)
    assert (ending.status, ending.rows) == ("not run", 0)


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    ended = script("--out", str(tmp_path), "--parts", "step,speed")
    assert ended.returncode == 2
    assert "no part is called speed" in ended.stderr


@pytest.mark.slow
def test_every_part_runs_on_a_cpu(tmp_path: Path) -> None:
    ended = script("--out", str(tmp_path), "--device", "cpu", "--quick")
    assert ended.returncode == 0, (tmp_path / LOG).read_text()[-3000:]
    assert {path.name for path in tmp_path.iterdir()} == {RESULTS, LOG, SUMMARY}
    rows = [json.loads(line) for line in (tmp_path / RESULTS).read_text().splitlines()]
    parts = {"tests", "ceilings", "step", "memory", "small", "decoding", "study"}
    assert {row["part"] for row in rows} == parts
    for part in parts:
        assert f"| {part} | ok |" in ended.stdout
