"""A stored run in a notebook: what it predicts, its hidden states and its metrics."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from generators.foundation.errors import UserError, WorkFailed, check_argument
from generators.foundation.randomness import Integers
from lab.analysis.lookahead import residual_streams
from lab.decoding.decoder import decode
from lab.home import home_folder
from lab.html import html_rows
from lab.objectives.checks.llama_path import require_layer_by_layer
from lab.reading.prompts import Prompts, prompt_tokens
from lab.run.callbacks.metrics import OnMetrics
from lab.run.callbacks.progress import Progress, no_progress
from lab.run.spec import RunSpec, parse_spec, read_spec
from lab.run.store import METRICS
from lab.run.stored_run import StoredRun
from lab.run.training import train as train_run

OldRun = Literal["refuse", "keep", "retrain"]
"""What `train` does with a stored run that was made by other code than the installed code."""


class LoadedRun(StoredRun):
    """A `StoredRun` for interactive use, with its predictions, hidden states and metrics; `load_run` and `train` return
    it.
    """

    def __repr__(self) -> str:
        return f"<run {self.folder.identity}, {self.checkpoint} checkpoint at step {self.step}: {self.spec.title}>"

    def _repr_html_(self) -> str:
        shown = {
            split: ", ".join(f"{name} {value:z.4f}" for name, value in scores.items() if "/" not in name)
            for split, scores in self.scores.items()
        }
        title = f"run {self.folder.identity}, {self.checkpoint} checkpoint at step {self.step}"
        return html_rows(title, {**self.spec.summary, **shown})

    @overload
    def predict(self, prompts: str, count: int | None = None) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, prompts: Sequence[str] | Integers, count: int | None = None) -> list[str]: ...

    def predict(self, prompts: Prompts, count: int | None = None) -> str | list[str]:
        """Continues prompts greedily.

        Args:
            prompts: a text in the tokens of the task, such as "3 1 2 |"; several of them; or tokens int64 [B, P].
            count: the tokens to predict; by default as many as a sample has after the prompt.

        Returns:
            The continuation as text; a list of them unless `prompts` is a single text.

        Raises:
            UserError: a prompt has a word that is no token of the task (the message gives the nearest), it is too long,
                or the network cannot be decoded with a key-value cache.
        """
        tokens = prompt_tokens(self.task, prompts)
        most = self.task.length - max(map(len, tokens), default=1)
        check_argument(
            "count",
            count,
            valid=count is None or (isinstance(count, Integral) and 0 < count <= most),
            should_be=f"a whole number from 1 to {most}, the tokens of a sample after these prompts",
        )
        texts = [""] * len(tokens)
        for length in {len(prompt) for prompt in tokens}:
            rows = [row for row, prompt in enumerate(tokens) if len(prompt) == length]
            prompts_BxP, lengths = np.stack([tokens[row] for row in rows]), np.full(len(rows), length)
            decoded = decode(self.network, prompts_BxP, lengths, count or self.task.length - length)
            for row, continuation in zip(rows, decoded.tokens, strict=True):
                texts[row] = self.task.text(continuation)
        return texts[0] if isinstance(prompts, str) else texts

    def hidden_states(self, prompts: Prompts) -> dict[str, Tensor]:
        """Returns the residual stream after the embedding and after each layer, without a norm.

        Args:
            prompts: as for `predict`, all of the same length P.

        Returns:
            "embedding", "layer 1", "layer 2", ... of the trunk, and "head 1" if the head of the next token has layers
            of its own -> float32 [B, P, D] on the CPU, for B prompts of P tokens and a network of width D.

        Raises:
            UserError: as for `predict`; or the prompts differ in length, or the network is not a stack of layers.
        """
        tokens = prompt_tokens(self.task, prompts)
        if len({len(prompt) for prompt in tokens}) != 1:
            lengths = ", ".join(str(length) for length in sorted({len(prompt) for prompt in tokens}))
            raise UserError(f"prompts of {lengths or 'no'} tokens: hidden states need prompts of one length")
        tokens_BxP = np.stack(tokens)
        require_layer_by_layer(self.network, tokens_BxP, "hidden_states")
        streams = residual_streams(self.network, torch.from_numpy(tokens_BxP).to(self.device))
        return {place: x_BxPxD.float().cpu() for place, x_BxPxD in streams}

    @property
    def metrics(self) -> pd.DataFrame:
        """One row for each number logged during training: step, split, metric, value. The split is `train` for losses
        averaged since the last evaluation, and for the learning rate; otherwise `validation`.
        """
        rows = [
            (line["step"], line["split"], metric, value)
            for line in self.folder.lines(METRICS)
            for metric, value in line.items()
            if metric not in ("step", "split")
        ]
        return pd.DataFrame(rows, columns=["step", "split", "metric", "value"])


def load_run(name: str, home: Path | str | None = None, checkpoint: str | int = "best") -> LoadedRun:
    """Returns a stored run with the weights of one of its checkpoints.

    Args:
        name: the identity of the run, or enough of its first digits to name one run.
        home: the folder that holds `runs`; by default LAB_HOME or `experiments`, as on the command line.
        checkpoint: "best", "last", or a step whose weights `training.keep_every_steps` kept.

    Raises:
        UserError: no such run or checkpoint exists, or a file of it is damaged.
    """
    check_argument("name", name, valid=isinstance(name, str), should_be="the identity of a run, as text")
    return LoadedRun(home_folder(home), name, str(checkpoint))


def train(
    spec: RunSpec | Mapping[str, Any] | Path | str,
    home: Path | str | None = None,
    progress: Progress = no_progress,
    other_code: OldRun = "refuse",
    on_metrics: OnMetrics | None = None,
) -> LoadedRun:
    """Trains a run, resumes it, or reads it if it is complete.

    Args:
        spec: a spec; or its tables task, model, objective, training, and seed, as a dictionary or in a TOML file.
        home: the folder for runs; by default LAB_HOME or `experiments`, as on the command line.
        progress: called with the step after each evaluation.
        other_code: what to do with a stored run that was made by other code than the installed code: "refuse" raises an
            error, "keep" reads it, and "retrain" trains it again.
        on_metrics: called as `on_metrics(step, split, metrics)` with each line of the run's log, as soon as its
            checkpoint is on disk. The lines that are stored already come first, so that a run that is resumed or
            complete is passed whole. The run does not depend on it.

    Returns:
        The run with the weights of its best checkpoint.

    Raises:
        UserError: an argument or a setting is wrong; or another process trains the run.
        WorkFailed: the run diverged, disk or memory is full, or `on_metrics` raised an error, which the message quotes;
            the next call continues from the last checkpoint.
    """
    is_spec = isinstance(spec, RunSpec | Mapping | Path | str)
    check_argument("spec", spec, valid=is_spec, should_be="a dictionary of a run's tables, a RunSpec or a file's path")
    *others, last = get_args(OldRun)
    known = f"{', '.join(others)} or {last}"
    check_argument("other_code", other_code, valid=other_code in get_args(OldRun), should_be=known)
    check_argument("progress", progress, valid=callable(progress), should_be="a function of the step")
    is_function = on_metrics is None or callable(on_metrics)
    check_argument("on_metrics", on_metrics, valid=is_function, should_be="a function of step, split and metrics")
    source = str(spec) if isinstance(spec, str | Path) else "spec"
    if isinstance(spec, str | Path):
        spec = read_spec(spec)
    elif not isinstance(spec, RunSpec):
        spec = parse_spec(dict(spec))
    folder = home_folder(home)
    result = train_run(spec, folder, progress, source=source, other_code=other_code, on_metrics=on_metrics)
    if result["status"] != "complete":
        raise WorkFailed(f"run {spec.identity} {result['status']}: {result['reason']}")
    return load_run(spec.identity, folder)
