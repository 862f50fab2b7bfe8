"""The training loop of one run."""

from torch import Tensor

from generators.foundation.settings import Tree
from lab.model.batches import TensorBatch
from lab.run.assembly import RunParts
from lab.run.callbacks.metrics import OnMetrics
from lab.run.callbacks.progress import Progress
from lab.run.loop.progress import RunProgress, Scores
from lab.run.spec import RunSpec
from lab.run.step import OptimiserStep
from lab.run.store import METRICS, RunFolder
from lab.run.training_data import training_batches


class LossMeans:
    """The mean of each loss over the steps since the last evaluation; of a stack, for each of its K runs [K]."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[Tensor, int]] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """Adds the losses of a step."""
        for name, value in values.items():
            if name in self.sums:
                total, steps = self.sums[name]
                self.sums[name] = total + value, steps + 1
            else:
                self.sums[name] = value, 1

    def pop(self) -> dict[str, list[float]]:
        """Returns the mean of each loss, one for each run, and begins anew."""
        means = {
            name: [value / steps for value in total.reshape(-1).tolist()] for name, (total, steps) in self.sums.items()
        }
        self.sums.clear()
        return means


class TrainingRun(RunProgress):
    """A run while it is trained by itself."""

    def __init__(self, spec: RunSpec, folder: RunFolder, parts: RunParts, on_metrics: OnMetrics | None = None) -> None:
        self.optimiser_step = OptimiserStep(parts.network, spec.training)
        super().__init__(spec, folder, parts, self.optimiser_step.optimiser, on_metrics)
        self.losses = LossMeans()

    def train(self, progress: Progress) -> Tree:
        """Resumes from the last checkpoint, trains to the end and returns the result."""
        self.resume()
        self.clock += self.report.pass_on(self.folder.lines(METRICS))
        for batch in training_batches(self.parts.task, self.spec, self.parts.device, self.step):
            if self.should_stop():
                break
            self.take_step(batch)
            self.step += 1
            if self.is_evaluated_at(self.step):
                self.evaluate()
                progress(self.step)
        return self.finish()

    def take_step(self, batch: TensorBatch) -> None:
        """Takes one optimiser step and adds its losses to their means."""
        self.losses.add(self.optimiser_step.take(batch, self.step))

    def evaluate(self) -> None:
        """Logs the mean training losses since the last evaluation and the validation metrics; writes a checkpoint.

        Raises:
            Diverged: one of them is not a finite number.
        """
        training = {name: mean for name, (mean,) in self.losses.pop().items()}
        train_seconds = self.lap()
        self.optimiser_step.release_outputs()
        self.record(training, self.validation(self.network), train_seconds)

    def finish(self) -> Tree:
        """Scores the last and the best checkpoint on the test splits and returns the result of the run.

        Raises:
            Diverged: a metric is not a finite number.
        """
        last = best = self.test_scores()
        if self.best_step < self.step:
            self.network.load_state_dict(self.read_best_weights())
            best = self.test_scores()
        return self.conclude(last, best)

    def test_scores(self) -> Scores:
        """Returns the metrics of the current weights on the splits that training does not use."""
        self.optimiser_step.release_outputs()
        return {split: test(self.network) for split, test in self.tests().items()}
