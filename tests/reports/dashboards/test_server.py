"""lab dashboard serves on loopback only, for reading only, and changes nothing stored."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.doctor.extras import install_command
from tests.conftest import Lab
from tests.reports.stored_study import StoredStudy, all_files

pytest.importorskip("optuna_dashboard")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["induction-quick"], "study 'induction-quick' never ran under"),
        (["small", "--scale", "gpu"], "study 'small' never ran at scale gpu"),
        (["--scale", "gpu"], "no study ran at scale gpu"),
    ],
)
def test_a_study_that_never_ran_is_refused(
    usual_store: StoredStudy, lab: Lab, arguments: list[str], reason: str
) -> None:
    output = lab("dashboard", *arguments, "--home", usual_store.home)
    assert output.returncode == 2
    assert reason in output.stderr


def test_a_port_in_use_and_a_missing_package_are_refused_in_a_sentence(
    usual_store: StoredStudy, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        output = lab("dashboard", "--port", port, "--home", usual_store.home)
    assert output.returncode == 2
    assert f"--port {port}: is not available (Address already in use)" in output.stderr
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    output = lab("dashboard", "--home", usual_store.home)
    assert output.returncode == 2
    assert f"needs optuna-dashboard: {install_command('optuna-dashboard')}" in output.stderr


def request(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers={"Host": f"{host}:{port}", "Accept-Encoding": "identity"})
    response = connection.getresponse()
    return response.status, response.read().decode()


def listening_addresses(pid: int) -> set[str]:
    """Returns the addresses a process listens on, from the kernel's tables of IPv4 and IPv6."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists()}
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_only_reading_on_loopback_and_ends_cleanly(broken_store: StoredStudy, ending: int) -> None:
    before = all_files(broken_store.home)
    command = [sys.executable, "-m", "lab", "dashboard", "--port", "0", "--json", "--home", str(broken_store.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            value: dict[str, Any] = json.loads(process.stdout.readline())
            port = int(value["url"].rpartition(":")[2].strip("/"))
            tuning, confirming = "small, scale cpu, tuning runs", "small, scale cpu, confirming runs"
            assert value["studies"] == {tuning: 8, confirming: 15}
            assert request(port, "/")[0] == 302
            assert "optuna" in request(port, "/dashboard")[1].lower()
            summary, other = json.loads(request(port, "/api/studies")[1])["study_summaries"]
            assert {summary["study_name"], other["study_name"]} == {tuning, confirming}
            detail = json.loads(request(port, f"/api/studies/{summary['study_id']}")[1])
            assert len(detail["trials"]) == value["studies"][summary["study_name"]]
            assert detail["has_intermediate_values"]
            status, report = request(port, "/reports/small/cpu")
            assert status == 200
            assert report.startswith("<!DOCTYPE html>")
            assert request(port, "/reports/small/gpu")[0] == 404
            assert request(port, f"/api/studies/{summary['study_id']}", "DELETE")[0] == 405
            assert request(port, "/api/studies", host="elsewhere.example")[0] == 403
            assert listening_addresses(process.pid) == {"0100007F"}
            process.send_signal(ending)
            assert process.wait(timeout=60) == 0
            assert "Traceback" not in process.communicate()[1]
        finally:
            process.kill()
    assert all_files(broken_store.home) == before
