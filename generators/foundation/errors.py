"""The two things that can go wrong without a bug, told apart by exit code."""


class UserError(ValueError):
    """What a user can cause: exit code 2. One sentence: file, key, value, and what would be right."""


class WorkFailed(RuntimeError):
    """The work itself failed: exit code 1. One sentence: what failed, and what is intact."""
