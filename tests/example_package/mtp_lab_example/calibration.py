"""Calibration: is a run as confident as it is right?"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from lab import Analysis, AnalysisResult, Findings, MeasureInfo, StoredRun

SAMPLES = 200


class Calibration(Analysis):
    """Compares the probability of the most likely token with how often that token is right, on scored test tokens."""

    name = "calibration"
    summary = "is the run as confident as it is right?"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "confidence": MeasureInfo("more", "probability"),
        "overconfidence": MeasureInfo("less", "probability"),
    }

    @torch.no_grad()
    def analyse(self, run: StoredRun) -> AnalysisResult:
        task, network = run.task, run.network
        split = task.test_split
        batch = task.batch(split, np.arange(min(SAMPLES, task.splits[split] or SAMPLES)))
        tokens_BxT = torch.from_numpy(batch.tokens).to(run.device)
        inputs_BxP = tokens_BxT[:, :-1]
        logits_BxPxV = network.unembed(network.hidden(network.trunk(inputs_BxP), 1, inputs_BxP), 1)
        scored_BxP = torch.from_numpy(batch.scored[:, 1:]).to(run.device)
        confidence_N, predicted_N = logits_BxPxV[scored_BxP].softmax(dim=-1).max(dim=-1)
        confidence = float(confidence_N.mean())
        accuracy = float((predicted_N == tokens_BxT[:, 1:][scored_BxP]).float().mean())
        findings = Findings()
        findings.add("scored tokens", "confidence", confidence)
        findings.add("scored tokens", "accuracy", accuracy)
        findings.measures.update(confidence=confidence, overconfidence=confidence - accuracy)
        findings.lines.append(
            f"The most likely token has probability {confidence:.3f} on average and is right with frequency {accuracy:.3f}."
        )
        return self.result(findings)
