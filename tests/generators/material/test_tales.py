"""Names of a tale, and how a text is split into tales."""

from pathlib import Path

import pytest

from generators.material.tales import find_names, split_tales
from tests.generators.corpora import ANDERSEN, SEPARATOR, TALES

OTHER = "The king was old. Nobody came to see the rose, and nobody went. Three days went by."


def names(tale: str, mentions: int = 3) -> tuple[str, ...]:
    return find_names([tale, OTHER], mentions)[0]


def test_a_capitalised_word_that_recurs_in_mid_sentence_is_a_name() -> None:
    assert names('There was Gerda. Then Gerda said, "I am little Gerda."') == ("Gerda",)


def test_names_are_in_order_of_appearance_and_hyphenated_ones_are_whole() -> None:
    tale = "so Hjalmar saw Ole-Luk-Oie. then Hjalmar and Ole-Luk-Oie slept, for Ole-Luk-Oie told Hjalmar tales."
    assert names(tale) == ("Hjalmar", "Ole-Luk-Oie")


@pytest.mark.parametrize(
    ("reason", "tale"),
    [
        ("too few mentions", "so Kay came, and Kay went."),
        ("only where sentences begin", "Kay came. Kay saw. Kay went. Kay slept."),
        ("only where speech begins", 'they said, "Kay came." they said, "Kay saw." they said, "Kay went."'),
        ("a place", "they went to Lapland, lived in Lapland and came from Lapland, for Lapland was cold."),
        ("a noun", "then the Reindeer ran, and the Reindeer wept, and the Reindeer spoke to Reindeer."),
        ("small elsewhere in the corpus", "so Rose came, and Rose sang, and Rose danced."),
        ("a title", "so Mr. Larsen, and Mr. Olsen, and Mr. Holm met. then Mr. Larsen left."),
        ("a feast", "when Christmas came, and Christmas went, what Christmas was it?"),
        ("all capitals", "so KAY came, and KAY saw, and KAY went."),
    ],
)
def test_words_that_are_not_names(reason: str, tale: str) -> None:
    assert names(tale) == (), reason


def test_all_mentions_count_but_two_must_be_in_mid_sentence() -> None:
    assert names("so Kay came, and Kay went.", mentions=2) == ("Kay",)
    assert names("Kay came. Kay saw. so Kay went.") == ()
    assert names("Kay came. so Kay saw. then, Kay went.") == ("Kay",)


def test_the_possessive_of_a_name_counts_as_the_name() -> None:
    assert names("so Kay's sledge was Kay's, and Kay wept.") == ("Kay",)


def test_lines_and_hyphenated_words_are_joined_and_blank_lines_kept() -> None:
    content = b"\xef\xbb\xbfA tale\r\n\r\nof  Ole-Luk-\r\nOie, left -\nright\n--\nB\n--\n\n\nC\n--\nB\n--\n\n"
    assert split_tales(content, "--", "x") == ["A tale\nof Ole-Luk-Oie, left - right", "B", "C"]


def names_by_title(corpus: Path) -> dict[str, tuple[str, ...]]:
    tales = split_tales(corpus.read_bytes(), SEPARATOR, "x")
    return dict(zip((tale.partition("\n")[0] for tale in tales), find_names(tales, 3), strict=True))


def test_the_names_in_the_written_tales_are_their_characters() -> None:
    titles = names_by_title(TALES)
    assert len(titles) == 32
    assert titles["The ferryman's question"] == ("Jorik", "Ingolf", "Aldis")
    assert titles["Anna-Lise and Hans-Ole"] == ("Anna-Lise", "Hans-Ole")
    assert titles["Three at the crossroads"] == ("Alban", "Tora", "Wilbert")
    assert titles["The three spoons"] == ("Katla", "Wilma"), "Alwin is mentioned twice"
    assert titles["The third evening"] == ()
    assert [title for title, names in titles.items() if len(names) < 2] == ["The third evening"]
    all_names = {name for names in titles.values() for name in names}
    assert not all_names & {"Nordby", "Skagby", "Sundby", "Vester", "Frost", "Fox", "Heron", "December", "Sunday"}


@pytest.mark.skipif(not ANDERSEN.exists(), reason="Andersen's tales are not available next to this checkout")
def test_the_names_in_andersens_tales_are_its_characters() -> None:
    titles = names_by_title(ANDERSEN)
    assert titles["The snow queen"] == ("Kay", "Gerda")
    assert titles["Little Claus and big Claus"] == ("Claus",)
    assert titles["Under the willow tree"] == ("Knud", "Johanne")
    assert titles["Ole-Luk-Oie, the Dream-God"] == ("Ole-Luk-Oie", "Hjalmar")
    assert titles["The porter's son"] == ("Emily", "George", "Elsie", "Rubens")
    assert titles["The little mermaid"] == titles["The ugly duckling"] == titles["The princess and the pea"] == ()
    all_names = {name for names in titles.values() for name in names}
    assert not all_names & {"Denmark", "Copenhagen", "God", "Sunday", "Danish", "Mr", "Christmas", "Reindeer", "Bible"}
