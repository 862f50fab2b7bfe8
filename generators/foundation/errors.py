"""The two kinds of expected failure, each with its own exit code, and the check of an argument from Python."""

from reprlib import repr as short_repr


class UserError(ValueError):
    """Wrong input; exit code 2. The message is one sentence that names the file, the key, the value and the valid
    values."""


class WorkFailed(RuntimeError):
    """The work itself failed; exit code 1. The message is one sentence: what failed, and what is still intact."""


def check_argument(name: str, value: object, *, valid: bool, should_be: str) -> None:
    """Checks an argument of a public function, where pydantic does not.

    Raises:
        UserError: the argument is not valid; the message names it, its value and what it should be.
    """
    if not valid:
        quoted = f'"{value}"' if isinstance(value, str) else short_repr(value)
        raise UserError(f"{name} = {quoted}: should be {should_be}")
