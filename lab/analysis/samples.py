"""Held-out samples, token by token: which head proposed each that was decoded, and what each head lost at each.

Two parts, both of the first samples of the test split:

    draft    greedy self-speculative decoding with all of the run's heads (paper, section 3.2): the pass that gave a
             token, the head that proposed it (1: the next-token head itself, which is always right by its own measure),
             and the head whose proposal for the place did not stand, if there was one
    loss     the cross-entropy of head 1 and of the head behind it at each token, in nats; on the task `choice` also the
             weight of each choice: how many predictions of all heads look at it, or at a token that it decides, from
             before it (paper, section 5.1 and figure 9, see `choice_weight`)

There is nothing to estimate here: it shows, where the other analyses measure.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.task import Batch, Task
from generators.tasks.choice import CONSEQUENTIAL, DECIDED, INCONSEQUENTIAL, Choice
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.choice_gradients import token_losses
from lab.analysis.estimators.choice_weight import counted_weight, heads_of
from lab.decoding.decoder import Decoded, decode
from lab.decoding.prompts import prompts_of
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

PROMPTS = 16
"""Decoded; the first of them are shown."""
DRAFTED, DECODED_TOKENS, PROMPT_TOKENS = 3, 40, 16
"""Samples shown of the drafts, and tokens of each: decoded, and of the prompt in front of them."""
READ, READ_TOKENS, BEFORE_TOKENS = 2, 64, 16
"""Samples shown of the losses, and tokens of each: all, and at most those in front of the first target."""
HEADS_SHOWN = 2
DIGITS = 4


class SamplesAnalysis(Analysis):
    """Shows held-out samples token by token."""

    name = "samples"
    summary = "held-out samples, token by token: drafts that stood, losses of heads"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {"tokens_per_forward": MeasureInfo("more", "tokens")}
    column_units: ClassVar[Mapping[str, str]] = {"loss_*": "nats", "weight": "predictions"}

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Drafts where the objective proposes more than one token, losses always.

        Measures: tokens_per_forward, of `PROMPTS` prompts; 1 where nothing is drafted.
        """
        task, network = run.parts.task, run.parts.network
        size = task.splits[task.test_split] or PROMPTS
        batch = task.batch(task.test_split, np.arange(min(PROMPTS, size))).trimmed()
        found = drafted(task, network, batch)
        rows = [] if found is None else draft_rows(task, batch, found)
        rows += loss_rows(task, network, batch.take(np.arange(min(READ, len(batch)))), run.parts.device)
        measures = {"tokens_per_forward": 1.0 if found is None else found.tokens_per_forward}
        return self.result(Findings(rows, measures, lines_of(rows, measures["tokens_per_forward"])))


def drafted(task: Task, network: Objective, batch: Batch) -> Decoded | None:
    """The samples' prompts continued with every head as a drafter; None where no head but the first can be one."""
    heads = next((place for place, lag in enumerate(network.lags) if lag != place + 1), len(network.lags))
    prompts, lengths, room = prompts_of(batch)
    if heads == 1 or room < 1:
        return None
    try:
        return decode(network, prompts, lengths, min(room, DECODED_TOKENS), heads)
    except UserError:  # it predicts further tokens only where it is told those between
        return None


def draft_rows(task: Task, batch: Batch, found: Decoded) -> list[Row]:
    """What was decoded behind the end of each prompt, as far as the sample itself has targets.

    head: that proposed the token, 0 of the prompt's; forward: the pass that gave it, from 1; refused: the head whose
    proposal for the place did not stand, None where none was refused.
    """
    prompts, lengths, _ = prompts_of(batch)
    rows: list[Row] = []
    for sample, length in enumerate(lengths[:DRAFTED].tolist()):
        end = 1 + int(np.flatnonzero(batch.loss[sample]).max(initial=length))
        tokens = found.tokens[sample, : max(1, end - length)]
        verdicts = found.drafts[sample, : len(tokens)]
        stood, refused = verdicts == 1, verdicts == 0
        head = np.where(stood.any(axis=1), 2 + stood.argmax(axis=1), 1)
        forward = np.cumsum(head == 1)
        first = max(0, length - PROMPT_TOKENS)
        texts = pieces(task, np.concatenate((prompts[sample, first:length], tokens)))
        for place, text in enumerate(texts, start=first):
            row: Row = {"part": "draft", "sample": sample, "place": place, "text": text, "head": 0}
            at = place - length
            if at >= 0:
                row |= {"head": int(head[at]), "forward": int(forward[at])}
                row["refused"] = 2 + int(refused[at].argmax()) if refused[at].any() else None
            rows.append(row)
    return rows


def loss_rows(task: Task, network: Objective, batch: Batch, device: torch.device) -> list[Row]:
    """Each token of the samples with its class, whether it is scored, and the losses at it: None where it carries none,
    or where it stands nearer to the sample's begin than the head looks ahead."""
    whole = TensorBatch.from_batch(batch, device, np.arange(len(batch)))
    with torch.no_grad():
        latent = network.trunk(whole.inputs_BxP)
        losses = {
            lag: token_losses(network, whole, latent, lag).double().cpu().numpy() for lag in network.lags[:HEADS_SHOWN]
        }
    classes, weights = task.position_classes(batch), weights_of(task, network, batch, whole)
    rows: list[Row] = []
    for sample in range(len(batch)):
        first = max(0, int(batch.loss[sample].argmax()) - BEFORE_TOKENS)
        tokens = batch.tokens[sample, first : first + READ_TOKENS]
        for place, text in enumerate(pieces(task, tokens), start=first):
            row: Row = {"part": "loss", "sample": sample, "place": place, "text": text}
            row["class"] = next((name for name, mask in classes.items() if mask[sample, place]), None)
            row["scored"] = bool(batch.scored[sample, place])
            for lag, loss in losses.items():
                there = batch.loss[sample, place] and place >= lag
                row[f"loss_{lag}"] = round(float(loss[sample, place - lag]), DIGITS) if there else None
            row["weight"] = weights.get((sample, place))
            rows.append(row)
    return rows


def weights_of(task: Task, network: Objective, batch: Batch, whole: TensorBatch) -> dict[tuple[int, int], int]:
    """Sample and place of each labelled choice -> its weight; empty on tasks that do not label choices."""
    if not isinstance(task, Choice):
        return {}
    counted = counted_weight(batch.labels, heads_of(network, whole))
    total = counted[CONSEQUENTIAL] + counted[INCONSEQUENTIAL] + counted[DECIDED]
    chosen = np.isin(batch.labels["class"], (CONSEQUENTIAL, INCONSEQUENTIAL))
    return {(int(row), int(place)): int(total[row, place]) for row, place in zip(*np.nonzero(chosen), strict=True)}


def pieces(task: Task, tokens: Integers) -> list[str]:
    """What each token [T] adds to the text of those before it; its name in the vocabulary where it adds nothing that
    stays, as padding and half a character do. Of a text the pieces are joined as they are; words bring their blank."""
    found, before = [], ""
    for count, token in enumerate(tokens, start=1):
        after = task.text(tokens[:count])
        adds = after.startswith(before) and len(after) > len(before) and not after.endswith("\N{REPLACEMENT CHARACTER}")
        found.append(after[len(before) :] if adds else task.vocabulary[token])
        before = after
    return found


def lines_of(rows: list[Row], tokens_per_forward: float) -> list[str]:
    """The samples for a terminal: a proposal that stood has its head's number behind it, a place where one did not has
    a cross in front; of the losses the tokens at which each head loses most."""
    lines = []
    drafts = [row for row in rows if row["part"] == "draft"]
    if drafts:
        lines.append(
            f"{tokens_per_forward:.2f} tokens a forward pass; [a b²c³] is a pass whose tokens b and c were proposed by "
            "heads 2 and 3 and stood; × is a proposal that did not."
        )
    for sample in dict.fromkeys(row["sample"] for row in drafts):
        lines.append(f"draft {sample}: " + "".join(_marked(row) for row in drafts if row["sample"] == sample) + "]")
    losses = [row for row in rows if row["part"] == "loss"]
    for name in (name for name in (losses[0] if losses else {}) if name.startswith("loss_")):
        known = sorted((row for row in losses if row[name] is not None), key=lambda row: -row[name])
        worst = ", ".join(f"{_seen(row['text'])} {row[name]:.2f}" for row in known[:5])
        mean = np.mean([row[name] for row in known]) if known else float("nan")
        lines.append(f"head {name.removeprefix('loss_')}: {mean:.3f} nats a token, most at {worst}")
    return lines


def _marked(row: Row) -> str:
    word = row["text"].lstrip(" ")
    blank, word = (" " * (len(row["text"]) - len(word)), _seen(word)) if word else ("", _seen(row["text"]))
    if row["head"] == 0:
        return blank + (word if word != "␣" else " ")
    first = row["head"] == 1
    closing, opening = ("]" if first and row["forward"] > 1 else ""), ("[" if first else "")
    number = "" if first else "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(row["head"]))
    return closing + blank + opening + ("×" if row["refused"] else "") + word + number


def _seen(text: str) -> str:
    """A token on one line, seen also where it is blank."""
    return text.strip(" ").replace("\n", "↵") or "␣"
