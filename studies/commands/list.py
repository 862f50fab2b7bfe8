"""Implements `lab study list`."""

from generators.foundation.options import Json, answer, two_columns


def list_command(as_json: Json = False) -> None:
    """List the studies and collections of the catalog."""
    from studies.declared.catalog import COLLECTIONS, STUDIES
    from studies.declared.collection import load_collection
    from studies.declared.loading import read_study_file

    studies = {name: read_study_file(STUDIES.path(name)) for name in STUDIES.names}
    questions = {name: study.question for name, study in studies.items()}
    questions |= {name: f"all of: {load_collection(name).declaration.question}" for name in COLLECTIONS.names}
    value = {name: {"title": study.title, "question": study.question} for name, study in studies.items()}
    answer(value, as_json, "\n".join([*two_columns(questions), "", "next: lab study show star-quick"]))
