"""The claims of one or several studies, numbered, with what each study's runs cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from reports.frames.wording import effect_name
from studies.declared.measures import measure_of
from studies.declared.study import Study
from studies.judging.judgement import Judgement
from studies.reading.labels import Labels
from studies.statistics.forms.form import TOLERANCE


@dataclass(frozen=True)
class ClaimLine:
    """One claim among those of several studies.

    Attributes:
        number: its position, from 1.
        study: the study that makes it.
        judgement: its verdict.
        minutes: training and evaluation of all runs of the study, on one core.
        link: address of the study's page, or empty.
        label: name to show for the study, if it differs from `study`.
    """

    number: int
    study: Study
    judgement: Judgement
    minutes: float
    link: str
    label: str = ""

    @property
    def deviation(self) -> float:
        """The standard deviation of the effect over seeds; nan if it is unknown or zero."""
        effects = list(self.judgement.by_seed.values())
        spread = float(np.std(effects, ddof=1)) if len(effects) > 1 else nan
        return spread if spread > TOLERANCE else nan

    @property
    def name(self) -> str:
        """The name of the study, followed by that of the claim."""
        return f"{self.label or self.study.name}: {Labels(self.study).claim(self.judgement.claim.name)}"

    @property
    def measure(self) -> str:
        """The measure that the effect is about."""
        return effect_name(measure_of(self.study.declaration, self.judgement.claim))


def claim_lines(
    study: Study, judgements: Sequence[Judgement], minutes: float, *, start: int = 1, link: str = "", label: str = ""
) -> list[ClaimLine]:
    """Returns the claims of one study, numbered from `start`."""
    return [
        ClaimLine(number, study, judgement, minutes, link, label) for number, judgement in enumerate(judgements, start)
    ]
