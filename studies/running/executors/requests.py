"""Requests of runs, and which of them one worker trains as a stack."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from lab.run.spec import RunSpec
from lab.run.stacking.problem import stack_key
from studies.running.executors.executor import Analyses, RunRequest

Waiting = TypeVar("Waiting")


def request_of(spec: RunSpec, analyses: Analyses) -> RunRequest:
    """Returns the request to train a run and to take analyses of it."""
    return RunRequest(spec.tree(), analyses, stack_key(spec))


def stack_size(request: RunRequest) -> int:
    """Returns the number of runs that may be trained together with a run, including that run."""
    return int(request.tree["training"].get("stack", 1)) if request.stack else 1


def pop_stack(waiting: deque[Waiting], get: Callable[[Waiting], RunRequest]) -> list[Waiting]:
    """Removes the first waiting run and returns it, with the next ones that can be trained as one stack with it.

    Args:
        waiting: at least one run.
        get: returns the request of a waiting run.
    """
    first = get(waiting[0])
    alike = [item for item in waiting if first.stack and get(item).stack == first.stack]
    taken = alike[: stack_size(first)] or [waiting[0]]
    left = [item for item in waiting if all(item is not other for other in taken)]
    waiting.clear()
    waiting.extend(left)
    return taken


def count_stacks(requests: Iterable[RunRequest]) -> int:
    """Returns the number of workers that can be busy at the same time with some runs."""
    counts = Counter((request.stack, stack_size(request)) for request in requests)
    return sum(-(-count // size) for (_, size), count in counts.items())
