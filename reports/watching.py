"""A page renewed while its study runs: it is looked every few seconds whether more is stored."""

import time
from collections.abc import Callable

from generators.options import note
from reports.dashboard import StudySource
from studies.ledger import VERDICTS

LOOK_EVERY_SECONDS = 2.0
REFRESH_SECONDS = 5
"""After which a browser that shows the page reads it again."""


def watch(source: StudySource, renew: Callable[[], str]) -> None:
    """Renew the page, and tell of it, whenever more is stored; until the study was judged, or Ctrl-C.

    Args:
        renew: writes the page; says in a sentence how far the study is.
    """
    seen: dict[str, int] = {}
    try:
        while not (source.folder / VERDICTS).exists():
            try:
                now = {str(path): path.stat().st_mtime_ns for path in source.files()}
                if now != seen:
                    note(renew())
                    seen = now
            except OSError:  # shards are taken away when the study ends: the next look tells
                pass
            time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        note("no longer watched; the page stays as it is stored now")
