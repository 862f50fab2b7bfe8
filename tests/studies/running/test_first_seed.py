"""A study whose `first_seed` is given is judged on seeds of its own, and only under a name of its own."""

from pathlib import Path

import pytest

from generators.foundation.errors import UserError
from studies.declared.loading import declare
from tests.studies.conftest import Edit
from tests.studies.running.test_looks import LOOKS, Outcome, one_large_effect


def test_a_study_repeated_on_seeds_of_its_own_shares_no_confirming_run(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(LOOKS)), "cpu", [])
    repeated = declare(str(study_file((LOOKS[0], LOOKS[1] + "first_seed = 100\n"))), "cpu", [])
    outcomes = [Outcome(either, tmp_path / str(k), one_large_effect) for k, either in enumerate((study, repeated))]
    first, second = ([run for cell in outcome.cells for run in cell.runs] for outcome in outcomes)
    assert {run.seed for run in second if run.phase == "confirm"} == set(range(100, 112))
    shared = {run.identity for run in first} & {run.identity for run in second}
    assert shared == {run.identity for run in first if run.phase == "tune"}
    assert outcomes[1].verdicts == outcomes[0].verdicts == [("supported", 5), ("inconclusive", 12)]
    assert list(outcomes[1].judgements[0].by_seed) == list(range(100, 105))


def test_other_seeds_are_refused_under_the_name_of_a_judged_study(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(LOOKS)), "cpu", [])
    before = Outcome(study, tmp_path, one_large_effect)
    moved = declare(str(study_file((LOOKS[0], LOOKS[1] + "first_seed = 3\n"))), "cpu", [])
    with pytest.raises(UserError, match=r"first_seed = 3: this study was judged on the seeds from 0 on, which spent"):
        Outcome(moved, tmp_path, one_large_effect)
    again = Outcome(study, tmp_path, one_large_effect)
    assert (again.verdicts, again.cells) == (before.verdicts, before.cells)
