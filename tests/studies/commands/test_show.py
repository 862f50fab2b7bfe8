"""lab study show: what a study will run, before it does."""

import json

from tests.conftest import Lab
from tests.studies.conftest import Edit

LATER = ("seeds = 5\n", "seeds = 5\nfirst_seed = 100\n")


def test_the_first_seed_is_named_unless_it_is_0(study_file: Edit, lab: Lab) -> None:
    shown = lab("study", "show", study_file(LATER)).stdout
    assert "then 5 fresh seeds, the first of which is 100\n" in shown
    shown = lab("study", "show", study_file()).stdout
    assert "then 5 fresh seeds\n" in shown


def test_json_holds_the_first_seed(study_file: Edit, lab: Lab) -> None:
    value = json.loads(lab("study", "show", study_file(LATER), "--json").stdout)
    assert (value["seeds"], value["first_seed"]) == (5, 100)
