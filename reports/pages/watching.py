"""Writes pages again while their studies run, whenever new results are stored."""

import time

from generators.foundation.options import note
from reports.pages.writing import ReportWriter

CHECK_EVERY_SECONDS = 2.0
REFRESH_SECONDS = 5
"""Interval after which a browser that shows a watched page loads it again."""


def watch(writer: ReportWriter) -> None:
    """Writes pages whenever new results are stored, until every study is judged or Ctrl-C is pressed."""
    last_seen: dict[str, int] = {}
    try:
        while not writer.ended:
            try:
                files = [path for folder in writer.folders for path in folder.files()]
                times = {str(path): path.stat().st_mtime_ns for path in files}
                if times != last_seen:
                    lines = writer.write(REFRESH_SECONDS)[1]
                    note(f"{lines[-2]}, updated: {writer.target}; Ctrl-C ends watching")
                    last_seen = times
            except FileNotFoundError:  # a study deletes its shards when it ends; the next check sees it whole
                pass
            time.sleep(CHECK_EVERY_SECONDS)
    except KeyboardInterrupt:
        note("watching ended; the page shows what is stored now")
