"""The two kinds of expected failure, each with an exit code of its own."""


class UserError(ValueError):
    """Wrong input; exit code 2. The message is one sentence with file, key, value and what would be right."""


class WorkFailed(RuntimeError):
    """The work itself failed; exit code 1. The message is one sentence: what failed, and what is still intact."""
