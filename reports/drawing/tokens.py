"""Samples token by token as HTML. Whatever a colour shows, a line, a number or a sign shows too."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

SHADES = 6
"""Number of levels of shading."""


@dataclass(frozen=True)
class TokenMark:
    """A token with its look.

    Attributes:
        written: the token as it is in the sample, including spaces and newlines.
        look: CSS classes.
        tooltip: text shown when the pointer rests on it.
        before: a sign in front of it.
        after: a number behind it.
    """

    written: str
    look: str
    tooltip: str
    before: str = ""
    after: str = ""

    @property
    def blank(self) -> str:
        """Leading spaces, which are not marked; empty for a token that consists of spaces."""
        bare = self.written.lstrip(" ")
        return self.written[: len(self.written) - len(bare)] if bare else ""

    @property
    def text(self) -> str:
        """The token without leading spaces, with newlines shown as ↵."""
        return self.written.removeprefix(self.blank).replace("\n", "↵")

    def html(self, *, blank: bool = True) -> Markup:
        """Returns the token as HTML; a line ends after it where the sample's line ends.

        Args:
            blank: whether leading spaces are included.
        """
        before = Markup("<i>{}</i>").format(self.before) if self.before else ""
        after = Markup("<sup>{}</sup>").format(self.after) if self.after else ""
        span = Markup('<span class="t {}" title="{}">{}{}{}</span>')
        end = "\n" if "\n" in self.written else ""
        return Markup("{}{}{}").format(
            self.blank if blank else "", span.format(self.look, self.tooltip, before, self.text, after), end
        )


def tokens_html(tokens: Sequence[TokenMark]) -> Markup:
    """Returns tokens in reading order."""
    return Markup("").join(token.html() for token in tokens)


def frame_html(tokens: Sequence[TokenMark]) -> Markup:
    """Returns tokens with a frame around them, whose leading spaces stay outside."""
    inside = Markup("").join(token.html(blank=index > 0) for index, token in enumerate(tokens))
    return Markup('{}<span class="pass">{}</span>').format(tokens[0].blank, inside)
