"""Held-out samples, token by token: the head that drafted each decoded token, and the loss of each head at it.

Both parts show the first samples of the test split:

    draft    greedy self-speculative decoding with all heads of the run (paper, section 3.2). Each token is listed with
             the forward pass that produced it, the head that drafted it (1 is the next-token head, which needs no
             verification) and, if a draft was rejected at its position, the head that made the draft.
    loss     the cross-entropy in nats of head 1 and of the head after it at each token. On tasks with labelled choice
             points it adds the weight of each choice: how often the heads, from positions before the choice, predict
             the choice or a token that it decides (paper, section 5.1 and figure 9; see `choice_weight`).

This analysis estimates nothing; the others measure what it shows.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from generators.foundation.randomness import Integers
from generators.protocols import ChoicePointTask
from generators.task import Batch, Task
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.choice_gradients import token_losses
from lab.analysis.estimators.choice_weight import count_predictions, prediction_heads
from lab.decoding.decoder import Decoded, decode
from lab.decoding.prompts import prompts_of
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

PROMPTS = 16
"""Prompts that are decoded; the first of them are shown."""
DRAFT_SAMPLES, DECODED_TOKENS, PROMPT_TOKENS = 3, 40, 16
"""Samples of the draft part, and their tokens: decoded, and in the prompt before them."""
LOSS_SAMPLES, LOSS_TOKENS, TOKENS_BEFORE_TARGETS = 2, 64, 16
"""Samples of the loss part, and their tokens: all, and before the first target."""
HEADS_SHOWN = 2
DIGITS = 4
BLANK = "␣"


class SamplesAnalysis(Analysis):
    """Shows held-out samples token by token."""

    name = "samples"
    summary = "held-out samples, token by token: accepted drafts, losses of heads"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "tokens_per_forward": MeasureInfo(
            "more", "tokens", "tokens accepted per forward pass over 16 prompts, with all heads as drafters"
        )
    }
    column_units: ClassVar[Mapping[str, str]] = {"loss_*": "nats", "weight": "predictions"}

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Shows drafts if the objective predicts more than one token, and always losses.

        Measures: `tokens_per_forward` over `PROMPTS` prompts; 1 without drafts.
        """
        task, network = run.parts.task, run.parts.network
        size = task.splits[task.test_split] or PROMPTS
        batch = task.batch(task.test_split, np.arange(min(PROMPTS, size))).trimmed()
        decoded = decode_with_drafts(network, batch)
        rows = [] if decoded is None else draft_rows(task, batch, decoded)
        rows += loss_rows(task, network, batch.take(np.arange(min(LOSS_SAMPLES, len(batch)))), run.parts.device)
        rate = 1.0 if decoded is None else decoded.tokens_per_forward
        return self.result(Findings(rows, {"tokens_per_forward": rate}, terminal_lines(rows, rate)))


def decode_with_drafts(network: Objective, batch: Batch) -> Decoded | None:
    """Continues the prompts of a batch with every head that drafts; None if head 1 alone can decode."""
    prompts, lengths, room = prompts_of(batch)
    if network.drafts == 1 or room < 1:
        return None
    return decode(network, prompts, lengths, min(room, DECODED_TOKENS), network.drafts)


def draft_rows(task: Task, batch: Batch, decoded: Decoded) -> list[Row]:
    """Returns a row for each token around the end of a prompt, up to the last target of the sample.

    Columns:
        head: the head that drafted the token; 0 for tokens of the prompt.
        forward: the number of the forward pass that produced it, from 1. refused: the head whose draft for its place
        was rejected, or None.
    """
    prompts, lengths, _ = prompts_of(batch)
    rows: list[Row] = []
    for sample, length in enumerate(lengths[:DRAFT_SAMPLES].tolist()):
        end = 1 + int(np.flatnonzero(batch.loss[sample]).max(initial=length))
        tokens = decoded.tokens[sample, : max(1, end - length)]
        drafts = decoded.drafts[sample, : len(tokens)]
        accepted, rejected = drafts == 1, drafts == 0
        head = np.where(accepted.any(axis=1), 2 + accepted.argmax(axis=1), 1)
        forward = np.cumsum(head == 1)
        first = max(0, length - PROMPT_TOKENS)
        texts = token_texts(task, np.concatenate((prompts[sample, first:length], tokens)))
        for place, text in enumerate(texts, start=first):
            row: Row = {"part": "draft", "sample": sample, "place": place, "text": text, "head": 0}
            at = place - length
            if at >= 0:
                row |= {"head": int(head[at]), "forward": int(forward[at])}
                row["refused"] = 2 + int(rejected[at].argmax()) if rejected[at].any() else None
            rows.append(row)
    return rows


def loss_rows(task: Task, network: Objective, batch: Batch, device: torch.device) -> list[Row]:
    """Returns a row for each token of the samples: its class, whether it is scored, and the loss of each head at it.

    A loss is None for a token outside the loss mask, and for one closer to the start of its sample than the head's lag.
    """
    tensors = TensorBatch.from_batch(batch, device, np.arange(len(batch)))
    with torch.no_grad():
        latent = network.trunk(tensors.inputs_BxP)
        losses = {
            lag: token_losses(network, tensors, latent, lag).double().cpu().numpy()
            for lag in network.lags[:HEADS_SHOWN]
        }
    classes, weights = task.position_classes(batch), choice_weights(task, network, batch, tensors)
    rows: list[Row] = []
    for sample in range(len(batch)):
        first = max(0, int(batch.loss[sample].argmax()) - TOKENS_BEFORE_TARGETS)
        tokens = batch.tokens[sample, first : first + LOSS_TOKENS]
        for place, text in enumerate(token_texts(task, tokens), start=first):
            row: Row = {"part": "loss", "sample": sample, "place": place, "text": text}
            row["class"] = next((name for name, mask in classes.items() if mask[sample, place]), None)
            row["scored"] = bool(batch.scored[sample, place])
            for lag, loss in losses.items():
                has_loss = batch.loss[sample, place] and place >= lag
                row[f"loss_{lag}"] = round(float(loss[sample, place - lag]), DIGITS) if has_loss else None
            row["weight"] = weights.get((sample, place))
            rows.append(row)
    return rows


def choice_weights(task: Task, network: Objective, batch: Batch, tensors: TensorBatch) -> dict[tuple[int, int], int]:
    """Returns sample and place of each labelled choice -> its weight; empty on tasks without labelled choices."""
    if not isinstance(task, ChoicePointTask):
        return {}
    points = task.choice_points(batch)
    total = count_predictions(points, prediction_heads(network, tensors)).total
    choices = points.consequential | points.inconsequential
    return {(row, place): int(total[row, place]) for row, place in np.argwhere(choices).tolist()}


def token_texts(task: Task, tokens: Integers) -> list[str]:
    """Returns the text that each token [T] adds to those before it.

    A token that adds no lasting text, such as padding or half a character, has its name in the vocabulary instead. The
    texts of a `text` task are joined as they are; words come with the space before them.
    """
    texts, before = [], ""
    for count, token in enumerate(tokens, start=1):
        after = task.text(tokens[:count])
        adds = after.startswith(before) and len(after) > len(before) and not after.endswith("\N{REPLACEMENT CHARACTER}")
        texts.append(after[len(before) :] if adds else task.vocabulary[token])
        before = after
    return texts


def terminal_lines(rows: list[Row], tokens_per_forward: float) -> list[str]:
    """Returns the samples as lines for a terminal.

    An accepted draft has the number of its head after it, and a place with a rejected proposal has a cross before it.
    For losses, the lines list the tokens at which each head has its greatest losses.
    """
    lines = []
    drafts = [row for row in rows if row["part"] == "draft"]
    if drafts:
        lines.append(
            f"{tokens_per_forward:z.2f} tokens per forward pass; [a b²c³] is a pass in which b from head 2 and c from "
            "head 3 were accepted; × marks a rejected proposal."
        )
    for sample in dict.fromkeys(row["sample"] for row in drafts):
        marked = "".join(marked_text(row) for row in drafts if row["sample"] == sample)
        lines.append(f"draft {sample}: {marked}]")
    losses = [row for row in rows if row["part"] == "loss"]
    for name in (name for name in (losses[0] if losses else {}) if name.startswith("loss_")):
        known = sorted((row for row in losses if row[name] is not None), key=lambda row: -row[name])
        worst = ", ".join(f"{visible_text(row['text'])} {row[name]:z.2f}" for row in known[:5])
        mean = np.mean([row[name] for row in known]) if known else float("nan")
        lines.append(f"head {name.removeprefix('loss_')}: {mean:z.3f} nats per token, most at {worst}")
    return lines


def marked_text(row: Row) -> str:
    """Returns a token with the marks of its forward pass and drafts."""
    word = row["text"].lstrip(" ")
    blank = " " * (len(row["text"]) - len(word)) if word else ""
    word = visible_text(row["text"])
    if row["head"] == 0:
        return blank + (word if word != BLANK else " ")
    first = row["head"] == 1
    closing, opening = ("]" if first and row["forward"] > 1 else ""), ("[" if first else "")
    number = "" if first else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(row["head"]))
    return closing + blank + opening + ("×" if row["refused"] else "") + word + number


def visible_text(text: str) -> str:
    """Returns a token on one line, visible even if it is blank."""
    return text.strip(" ").replace("\n", "↵") or BLANK
