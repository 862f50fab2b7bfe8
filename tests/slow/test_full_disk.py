"""Runs tests/slow/full_disk.py where this process may mount a file system."""

import subprocess

import pytest

from tests.slow.full_disk import disk, full_disk


@pytest.mark.slow
def test_a_run_on_a_full_disk_loses_nothing() -> None:
    try:
        with disk():
            pass
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system cannot be mounted here")
    full_disk()
