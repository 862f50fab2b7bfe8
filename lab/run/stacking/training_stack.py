"""The training loop of several runs as one stack, each with the files that it would have alone.

A stack has K rows, as `training.stack` says, whatever the number of runs that it is given, and the seed of a run
determines its row, because on a GPU the sums of a stacked product are rounded differently in different rows. A run thus
has the same bytes whichever runs are trained beside it. A row without a run computes along with the weights and data of
another.
All rows are at the same step. A run that resumes from a later step than others waits until they have reached it; a run
that has ended is left in its row, and nothing of it is read any more.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from torch import Tensor

from generators.foundation.errors import UserError, WorkFailed
from generators.foundation.randomness import Integers
from generators.foundation.settings import Tree
from generators.task import Batch
from lab.run.callbacks.metrics import OnMetrics
from lab.run.callbacks.progress import Progress
from lab.run.loop.opened_run import OpenedRun
from lab.run.loop.progress import Diverged, RunProgress, Scores
from lab.run.loop.training_run import LossMeans
from lab.run.stacking.batch_stack import BatchStack
from lab.run.stacking.network_stack import NetworkStack
from lab.run.stacking.problem import stack_row
from lab.run.stacking.stacked_step import RowState, StackedStep, compiler_of
from lab.run.store import METRICS
from lab.run.training_data import drawn_batches

Ended = Tree | UserError | WorkFailed
"""The result of a run, or the reason why it has none."""
Drawn = Iterator[tuple[int, Integers, Batch]]


class StackedRun(RunProgress):
    """A run of a stack.

    Attributes:
        outcome: the result, or the reason why there is none, once the run has ended.
    """

    optimiser: RowState

    def __init__(self, opened: OpenedRun, row: int, step: StackedStep, on_metrics: OnMetrics | None = None) -> None:
        super().__init__(opened.spec, opened.folder, opened.parts, RowState(step.optimiser, row), on_metrics)
        self.opened, self.row = opened, row
        self.outcome: Ended | None = None

    def attempt(self, work: Callable[[], object]) -> None:
        """Does work that may end this run alone."""
        try:
            work()
        except Diverged as error:
            self.attempt(partial(self.close, {"status": "diverged", "steps": error.step, "reason": str(error)}))
        except (UserError, WorkFailed) as error:
            self.outcome = error

    def begin(self) -> None:
        """Resumes from the last checkpoint, if there is one."""
        self.resume()
        self.report.pass_on(self.folder.lines(METRICS))

    def end(self, last: Scores, best: Scores) -> None:
        """Writes the result, with the metrics of both checkpoints on the test splits."""
        self.close(self.conclude(last, best))

    def close(self, result: Tree) -> None:
        """Writes the result of the run."""
        self.outcome = self.opened.close(result)

    def set_clock(self, seconds: float) -> None:
        """Makes the next lap last these seconds, in addition to what this run does until then."""
        self.clock = time.perf_counter() - seconds


class TrainingStack:
    """Runs that differ in seed and learning rate alone, while they are trained together.

    Args:
        runs: no two of which have the same row.
    """

    def __init__(self, runs: Sequence[OpenedRun], on_metrics: OnMetrics | None = None) -> None:
        first = runs[0]
        self.training, self.device = first.spec.training, first.parts.device
        self.networks = NetworkStack(first.parts.network, self.training.stack, compiler_of(self.training))
        self.step = StackedStep(self.networks, self.training)
        rows = [stack_row(opened.spec.seed, self.training.stack) for opened in runs]
        self.runs = [StackedRun(opened, row, self.step, on_metrics) for opened, row in zip(runs, rows, strict=True)]
        assert len(set(rows)) == len(rows)
        self.losses = LossMeans()
        self.data: dict[int, Drawn] = {}
        """Row -> the training batches of its run, from the current step on."""

    @property
    def live(self) -> list[StackedRun]:
        """The runs that have not ended."""
        return [run for run in self.runs if run.outcome is None]

    def train(self, progress: Progress) -> list[Ended]:
        """Trains all runs to their ends and returns the outcome of each."""
        for run in self.runs:
            run.attempt(run.begin)
        while self.live:
            step = min(run.step for run in self.live)
            active = [run for run in self.live if run.step == step]
            if ended := [run for run in active if run.should_stop() or step == self.training.steps]:
                self.join(active)
                self.finish(ended)
                continue
            self.join(active)
            self.train_to_evaluation(active, step)
            progress(active[0].step)
        outcomes = [run.outcome for run in self.runs]
        return [outcome for outcome in outcomes if outcome is not None]

    def join(self, active: Sequence[StackedRun]) -> None:
        """Gives every row weights, optimiser state and data, if a run is not in the stack yet."""
        if all(run.optimiser.loaded is None for run in active):
            return
        rows = {run.row: run for run in active}
        sources = [rows.get(row, active[0]) for row in range(self.networks.size)]
        states = [dict(source.optimiser.checkpoint_tensors()) for source in sources]
        self.networks.fill([source.network for source in sources])
        self.networks.attach({row: run.network for row, run in rows.items()})
        self.step.optimiser.load(*states)
        self.step.trainings = [source.spec.training for source in sources]
        for run in active:
            if run.optimiser.loaded is not None:
                run.optimiser.loaded = None
                self.data[run.row] = drawn_batches(run.parts.task, run.spec, run.step)

    def train_to_evaluation(self, active: Sequence[StackedRun], step: int) -> None:
        """Takes the steps up to the next evaluation, evaluates the runs and writes their checkpoints."""
        begin = time.perf_counter()
        while step == active[0].step or not active[0].is_evaluated_at(step):
            drawn = {run.row: next(self.data[run.row]) for run in active}
            _, indices, first = drawn[active[0].row]
            batches = [drawn[row][2] if row in drawn else first for row in range(self.networks.size)]
            self.losses.add(self.step.take(BatchStack.of(batches, self.device, indices, step), step))
            step += 1
        self.networks.attach({run.row: run.network for run in active})
        losses = self.losses.pop()
        trained = time.perf_counter()
        self.step.release_outputs()
        metrics = self.networks.scores(active[0].validation)
        evaluated = time.perf_counter()
        for run in active:
            run.step = step
            run.set_clock((evaluated - trained) / len(active))
            own = {name: means[run.row] for name, means in losses.items()}
            run.attempt(partial(run.record, own, metrics[run.row], (trained - begin) / len(active)))

    def finish(self, ended: Sequence[StackedRun]) -> None:
        """Scores the last and the best checkpoints of runs on the test splits and writes their results."""
        begin = time.perf_counter()
        tests = ended[0].tests()
        last = {split: self.networks.scores(test) for split, test in tests.items()}
        best = last
        if earlier := [run for run in ended if run.best_step < run.step]:
            weights = {name: stacked.detach().clone() for name, stacked in self.networks.named.items()}
            for run in earlier:
                run.attempt(partial(copy_best, run, weights))
            best = {split: self.networks.scores(test, weights) for split, test in tests.items()}
        seconds = (time.perf_counter() - begin) / len(ended)
        for run in ended:
            if run.outcome is None:
                run.set_clock(seconds)
                run.attempt(partial(run.end, of_row(last, run.row), of_row(best, run.row)))


def with_rows_of_their_own(runs: Iterable[OpenedRun]) -> list[list[OpenedRun]]:
    """Divides runs into as few groups as possible in which each run has a row of its own."""
    groups: list[dict[int, OpenedRun]] = []
    for run in runs:
        row = stack_row(run.spec.seed, run.spec.training.stack)
        if (group := next((group for group in groups if row not in group), None)) is None:
            groups.append(group := {})
        group[row] = run
    return [list(group.values()) for group in groups]


def copy_best(run: StackedRun, weights: dict[str, Tensor]) -> None:
    """Copies the weights of the best checkpoint of a run to its row."""
    for name, value in run.read_best_weights().items():
        weights[name][run.row] = value


def of_row(scores: dict[str, list[dict[str, float]]], row: int) -> Scores:
    """Returns the scores of one run."""
    return {split: rows[row] for split, rows in scores.items()}
