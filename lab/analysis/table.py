"""The analyses by name. A new one is a module with a function `analyse(run)` and a row here."""

from importlib import import_module

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from lab.analysis.analysis import Analyse, Analysis, Draw
from lab.run.stored_run import StoredRun

SAMPLES = "samples"
"""Taken of one run of every study, to be shown."""
# name -> (module, what it answers)
ANALYSES = {
    "choice-points": ("lab.analysis.choice_points", "where the loss and the useful gradient of each head come from"),
    "information": ("lab.analysis.information", "entropies and mutual information of the next two tokens"),
    "induction-heads": ("lab.analysis.induction_heads", "which attention heads match prefixes and copy"),
    "lookahead": ("lab.analysis.lookahead", "what the latent of each layer knows of later tokens"),
    "decoding": ("lab.analysis.decoding", "what the further heads are worth as drafters"),
    "items": ("lab.analysis.items", "held-out items generated, and the same chosen among options"),
    "step": ("lab.analysis.step", "memory and time of a training step beside one token's"),
    SAMPLES: ("lab.analysis.samples", "held-out samples, token by token: drafts that stood, losses of heads"),
}


def analysis_of(name: str, where: str = "") -> Analyse:
    """The analysis of that name.

    Raises:
        UserError: there is none; `where` it was asked for stands before the sentence.
    """
    if name not in ANALYSES:
        raise UserError(f"{where}analysis {name!r}: no such analysis; {suggestion(name, list(ANALYSES))}")
    found: Analyse = import_module(ANALYSES[name][0]).analyse
    return found


def figure_of(name: str) -> Draw:
    """What draws the rows of an analysis."""
    module = ANALYSES[name][0].rpartition(".")[2]
    found: Draw = import_module(f"lab.analysis.figures.{module}").draw
    return found


def analyse(name: str, run: StoredRun) -> Analysis:
    """One analysis of one checkpoint of a run."""
    return analysis_of(name)(run)
