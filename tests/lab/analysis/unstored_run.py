"""An untrained run that is not stored, for tests of analyses that read neither a run's folder nor its step."""

from types import SimpleNamespace
from typing import cast

from lab.run.assembly import assemble
from lab.run.spec import RunSpec
from lab.run.stored_run import StoredRun


def unstored_run(spec: RunSpec) -> StoredRun:
    return cast(StoredRun, SimpleNamespace(spec=spec, parts=assemble(spec)))
