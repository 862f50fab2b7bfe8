"""The weight that the loss of n heads gives to a choice, in the paper's closed form (section 5.1, appendix)."""


def implied_weight(n: int, decides_tokens: int) -> int:
    """Returns how often n heads predict a choice, or a token that it decides, from positions before the choice.

    With D = `decides_tokens`, heads k+1..n predict the target k = 0..D positions after the choice from a position
    before the choice, so the count is the sum of n - k over k = 0..min(D, n - 1). With m = min(D + 1, n), where
    the 1 counts the choice itself, that is m n - m (m - 1)/2: the paper's n(n+1)/2 if D >= n - 1, and its n for a
    choice that decides nothing, D = 0.
    """
    fixed = min(decides_tokens + 1, n)
    return fixed * n - fixed * (fixed - 1) // 2
