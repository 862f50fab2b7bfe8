"""The reference of the public names is that of the docstrings, and every public name has one."""

from tests.api_reference import REFERENCE, public_objects, reference


def test_every_public_name_has_a_docstring() -> None:
    assert [name for name, value in public_objects().items() if value.docstring is None] == []


def test_the_reference_is_that_of_the_docstrings() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "make docs writes docs/api.md again"
