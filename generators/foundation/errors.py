"""The two kinds of expected failure, each with its own exit code."""


class UserError(ValueError):
    """Wrong input; exit code 2. The message is one sentence that names the file, the key, the value and the valid
    values."""


class WorkFailed(RuntimeError):
    """The work itself failed; exit code 1. The message is one sentence: what failed, and what is still intact."""
