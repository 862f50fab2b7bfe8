"""Prints the page."""

import sys

from benchmarks.findings.page import findings

sys.stdout.write(findings())
