"""Reads a page back: its tags, which must be balanced, and its visible text."""

import re
from html.parser import HTMLParser

VOID_TAGS = {"meta", "link", "br", "img", "input", "hr"}


class PageReader(HTMLParser):
    """Reads the tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open_tags

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID_TAGS:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open_tags):
            self.texts.append(data)

    @property
    def tag_names(self) -> list[str]:
        """The name of every tag."""
        return [tag for tag, _ in self.tags]

    @property
    def text(self) -> str:
        """Everything outside scripts and styles, in one line."""
        return re.sub(r"\s+", " ", " ".join(self.texts))
