"""A log of a run whose skill formed between steps 30 and 40."""

from typing import Any


def evaluation(step: int, accuracy: float, loss: float, blind: float = 0.3) -> dict[str, Any]:
    return {
        "step": step,
        "split": "validation",
        "loss_1": loss,
        "accuracy": accuracy,
        "shortcut/name_before": blind,
        "shortcut/latest_name": 0.0,
    }


LOG = [
    {"step": 10, "split": "train", "loss_1": 9.0},
    evaluation(10, 0.1, 4.0),
    evaluation(20, 0.3, 2.0),
    evaluation(30, 0.4, 1.9),
    evaluation(40, 0.7, 1.6),
    evaluation(50, 0.6, 1.5),
    evaluation(60, 0.9, 1.1),
]
