"""The callback for the progress of a run."""

from collections.abc import Callable

Progress = Callable[[int], None]
"""Called with the step after each evaluation."""


def no_progress(step: int) -> None:
    """Reports nothing."""
