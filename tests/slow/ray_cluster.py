"""Runs a study on a Ray cluster of two nodes and kills one; the runs must have the bytes that one process gives.

    unshare --net --pid --fork --kill-child --mount-proc python -m tests.slow.ray_cluster STUDY.toml

Needs the extra `ray` and the right to create a network namespace: Ray listens on every address of a machine, and the
namespace has only 127.0.0.1. Everything that was started ends with the namespace. A wrong token and a wrong port must
give a one-sentence error and exit code 2 within a bounded time.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.slow.killing import COMPARED, ROOT, children

ADDRESS = "127.0.0.1:6379"
RAY = Path(sys.executable).with_name("ray")
NODE = ["--num-cpus=1", "--node-ip-address=127.0.0.1", "--disable-usage-stats", "--object-store-memory=100000000"]


def node(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [str(RAY), "start", "--block", *NODE, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def lab(*arguments: object, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lab", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def expect_refusal(sentence: str, *arguments: object, environment: dict[str, str]) -> None:
    before = time.monotonic()
    process = lab(*arguments, environment=environment)
    _, errors = process.communicate(timeout=180)
    print(f"exit {process.returncode} after {time.monotonic() - before:.0f} s: {errors.strip()}", flush=True)
    assert process.returncode == 2, errors
    assert sentence in errors
    assert errors.strip().count("\n") == 0


def wait_for_nodes(count: int, environment: dict[str, str]) -> None:
    look = "import ray; ray.init(address='127.0.0.1:6379', log_to_driver=False); print(len(ray.nodes()))"
    for _ in range(20):
        command = [sys.executable, "-c", look]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if done.stdout.strip() == str(count):
            return
        time.sleep(2)
    raise AssertionError(f"the cluster does not start: {done.stderr}")


def main(study: Path) -> None:
    """Starts the cluster, runs the study on it, and compares all bytes."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        here = lab("study", "run", study, "--executor", "here", "--home", place / "here", environment=environment)
        _, errors = here.communicate()
        assert here.returncode == 0, errors
        started = [node("--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={name}/ray", environment=environment)]  # fmt: skip
        try:
            wait_for_nodes(1, environment)
            started.append(node(f"--address={ADDRESS}", environment=environment))
            wait_for_nodes(2, environment)
            on_ray = ["study", "run", study, "--executor", "ray", "--home", place / "ray", "--address"]
            wrong = {**environment, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            expect_refusal("no Ray cluster accepts the connection", *on_ray, ADDRESS, environment=wrong)
            expect_refusal("no Ray cluster accepts the connection", *on_ray, "127.0.0.1:6380", environment=environment)
            process = lab(*on_ray, ADDRESS, environment=environment)
            while len(list((place / "ray").glob("runs/*/result.json"))) < 6:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.2)
            for child in children(started[1].pid):  # the node's own processes; its workers end with them
                os.kill(child, signal.SIGKILL)
            print(f"killed the second node after {len(list((place / 'ray').glob('runs/*/result.json')))} runs")
            _, errors = process.communicate(timeout=600)
            print(errors)
            assert process.returncode == 0, errors
            for run in (place / "here" / "runs").iterdir():
                for file in COMPARED:
                    assert (run / file).read_bytes() == (place / "ray" / "runs" / run.name / file).read_bytes()
            folder = f"studies/{study.stem}/cpu"
            for file in ("ledger.json", "verdicts.json"):
                assert (place / "here" / folder / file).read_bytes() == (place / "ray" / folder / file).read_bytes()
            print(f"{len(list((place / 'here' / 'runs').iterdir()))} runs, ledger and verdicts: all bytes equal")
        finally:
            for ray_node in reversed(started):
                for child in children(ray_node.pid):
                    os.kill(child, signal.SIGTERM)
                ray_node.terminate()
                ray_node.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
