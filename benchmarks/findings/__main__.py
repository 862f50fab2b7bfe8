"""Prints the page."""

import sys

from benchmarks.findings.page import findings
from generators.foundation.errors import UserError

try:
    sys.stdout.write(findings())
except UserError as error:
    print(f"findings: {error}", file=sys.stderr)
    sys.exit(2)
