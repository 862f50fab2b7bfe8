"""The forms that a study file can name. A new form is one file and one row here."""

from studies.statistics.forms.form import Form
from studies.statistics.forms.independent import INDEPENDENT
from studies.statistics.forms.paired import PAIRED

FORMS: dict[str, Form] = {form.name: form for form in (INDEPENDENT, PAIRED)}


def form_name(value: object) -> object:
    """Returns the value if it names a form.

    Raises:
        ValueError: it does not.
    """
    if value not in FORMS:
        raise ValueError(f"should be {' or '.join(map(repr, FORMS))}")
    return value
