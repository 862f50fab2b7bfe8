"""Samples drawn in separate processes."""

import os
import subprocess
import sys

from tests.generators.corpora import ROOT

SCRIPT = """
import hashlib, sys
import numpy as np
{imports}
task = {task}
digest = hashlib.sha256("|".join((task.name, *task.vocabulary)).encode())
for split in task.splits:
    batch = task.batch(split, np.arange(50))
    for array in (batch.tokens, batch.loss, batch.scored, *batch.labels.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


def assert_equal_in_every_process(task: str, imports: str, argument: str) -> None:
    """Asserts that processes with different hash seeds and thread counts draw the same bytes.

    Args:
        task: the expression that builds the task; `argument` is its `sys.argv[1]`.
        imports: the import statement that the expression needs.
    """
    digests = []
    for variables in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "RAYON_NUM_THREADS": "1"}):
        command = [sys.executable, "-c", SCRIPT.format(imports=imports, task=task), argument]
        done = subprocess.run(command, env={**os.environ, **variables}, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout.strip())
    assert len(digests[0]) == 64
    assert digests[0] == digests[1]
