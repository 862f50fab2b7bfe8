"""Training imports nothing that it does not use: torch's compiler alone would take longer than a short run."""

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import tiny_tree


def test_an_eager_run_imports_neither_the_compiler_nor_what_studies_and_pages_need(tmp_path: Path) -> None:
    code = (
        "import json, sys; from lab.run.spec import parse_spec; from lab.run.training import train; "
        f"train(parse_spec(json.loads(sys.argv[1])), {str(tmp_path)!r}); "
        "print([name for name in ('torch._dynamo', 'optuna', 'pandas', 'seaborn', 'transformers') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, json.dumps(tiny_tree())], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
