"""Python processes that import nothing from the current folder by accident."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SAFE_PATH = "PYTHONSAFEPATH"
SAFE_PATH_FLAG = "-P"
"""The flag of Python with the meaning of PYTHONSAFEPATH."""


@contextmanager
def safe_path() -> Iterator[None]:
    """Makes Python processes that start in the block leave the current folder out of their path.

    Python puts it first in `python -c`, which is how worker processes start, so a file called `socket.py` there would
    make them fail. PYTHONPATH and the folders of this process's own path still apply to them.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before
