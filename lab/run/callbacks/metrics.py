"""Lines of a run's log, passed to a callback while the run is trained."""

import time
from collections.abc import Callable, Iterable

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.outside import BREAKAGE, failure_of
from generators.foundation.settings import Tree

OnMetrics = Callable[[int, str, dict[str, float]], None]
"""Called with the step, the split and the metrics of each line of a run's log, in order.

The split is "train" for losses averaged since the last evaluation, and for the learning rate; otherwise "validation". A
line is passed once the checkpoint of its evaluation is on disk.
"""


class LineReport:
    """Passes lines to a callback; without a callback it does nothing."""

    def __init__(self, callback: OnMetrics | None) -> None:
        self.callback = callback

    def pass_on(self, lines: Iterable[Tree]) -> float:
        """Passes lines, as `metrics.jsonl` has them, and returns the seconds that the callback took.

        Raises:
            PartFailed: the callback raised anything but a UserError, a WorkFailed or Ctrl-C.
        """
        begin = time.perf_counter()
        if self.callback is None:
            return 0.0
        for line in lines:
            metrics = {name: value for name, value in line.items() if name not in ("step", "split")}
            try:
                self.callback(line["step"], line["split"], metrics)
            except (UserError, WorkFailed):
                raise
            except BREAKAGE as error:
                raise failure_of(f"on_metrics, called at step {line['step']},", error) from error
        return time.perf_counter() - begin
