"""Pages renewed while their studies run: it is looked every few seconds whether more is stored."""

import time

from generators.foundation.options import note
from reports.pages.writing import Writing

LOOK_EVERY_SECONDS = 2.0
REFRESH_SECONDS = 5
"""After which a browser that shows a page reads it again."""


def watch(writing: Writing) -> None:
    """Write again, and tell of it, whenever more is stored; until every study was judged, or Ctrl-C."""
    seen: dict[str, int] = {}
    try:
        while not writing.ended:
            try:
                files = [path for source in writing.sources for path in source.files()]
                now = {str(path): path.stat().st_mtime_ns for path in files}
                if now != seen:
                    said = writing.write(REFRESH_SECONDS)[1]
                    note(f"{said[-2]}, written anew: {writing.place}; Ctrl-C ends it")
                    seen = now
            except FileNotFoundError:  # shards are taken away when the study ends: the next look tells
                pass
            time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        note("no longer watched; what is written stays as it is stored now")
