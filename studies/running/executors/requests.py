"""Requests of runs, and which of them one worker trains as a stack."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from lab.run.spec import RunSpec
from lab.run.stacking.problem import stack_key, stack_row
from studies.running.executors.executor import Analyses, RunRequest

Waiting = TypeVar("Waiting")


def request_of(spec: RunSpec, analyses: Analyses) -> RunRequest:
    """Returns the request to train a run and to take analyses of it."""
    return RunRequest(spec.tree(), analyses, stack_key(spec))


def row_of(request: RunRequest) -> int:
    """Returns the row that a run has in a stack."""
    return stack_row(int(request.tree["seed"]), int(request.tree["training"].get("stack", 1)))


def pop_stack(waiting: deque[Waiting], get: Callable[[Waiting], RunRequest]) -> list[Waiting]:
    """Removes the first waiting run and returns it, with the next ones that can be trained as one stack with it.

    Args:
        waiting: at least one run.
        get: returns the request of a waiting run.
    """
    first = get(waiting[0])
    by_row = {row_of(first): waiting[0]}
    for item in waiting:
        if first.stack and get(item).stack == first.stack:
            by_row.setdefault(row_of(get(item)), item)
    taken = list(by_row.values())
    left = [item for item in waiting if all(item is not other for other in taken)]
    waiting.clear()
    waiting.extend(left)
    return taken


def count_stacks(requests: Iterable[RunRequest]) -> int:
    """Returns the number of workers that can be busy at the same time with some runs."""
    alone, rows = 0, defaultdict[str, Counter[int]](Counter)
    for request in requests:
        if request.stack:
            rows[request.stack][row_of(request)] += 1
        else:
            alone += 1
    return alone + sum(max(counts.values()) for counts in rows.values())
