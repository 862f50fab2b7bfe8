"""Which words of a tale are names, and how a text is parted into tales."""

from pathlib import Path

import pytest

from generators.material.tales import find_names, split_tales

ANDERSEN = Path(__file__).parents[4] / "shared" / "data" / "andersen-tales.txt"
OTHER = "The king was old. Nobody came to see the rose, and nobody went. Three days went by."


def names(tale: str, mentions: int = 3) -> tuple[str, ...]:
    return find_names([tale, OTHER], mentions)[0]


def test_a_word_with_a_capital_that_comes_back_in_mid_sentence_is_a_name() -> None:
    assert names('There was Gerda. Then Gerda said, "I am little Gerda."') == ("Gerda",)


def test_names_come_in_order_of_appearance_and_a_hyphenated_one_is_whole() -> None:
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
def test_what_is_no_name(reason: str, tale: str) -> None:
    assert names(tale) == (), reason


def test_mentions_anywhere_count_but_two_must_be_in_mid_sentence() -> None:
    assert names("so Kay came, and Kay went.", mentions=2) == ("Kay",)
    assert names("Kay came. Kay saw. so Kay went.") == ()
    assert names("Kay came. so Kay saw. then, Kay went.") == ("Kay",)


def test_a_name_with_a_possessive_is_the_same_name() -> None:
    assert names("so Kay's sledge was Kay's, and Kay wept.") == ("Kay",)


def test_lines_are_joined_blank_lines_kept_and_words_parted_at_a_hyphen_made_whole() -> None:
    content = b"\xef\xbb\xbfA tale\r\n\r\nof  Ole-Luk-\r\nOie, left -\nright\n--\nB\n--\n\n\nC\n--\nB\n--\n\n"
    assert split_tales(content, "--", "x") == ["A tale\nof Ole-Luk-Oie, left - right", "B", "C"]


@pytest.mark.skipif(not ANDERSEN.exists(), reason="the tales of Andersen are not beside this checkout")
def test_the_characters_of_andersen_are_found() -> None:
    tales = split_tales(ANDERSEN.read_bytes(), "<|endoftext|>", "x")
    found = dict(zip((tale.partition("\n")[0] for tale in tales), find_names(tales, 3), strict=True))
    assert found["The snow queen"] == ("Kay", "Gerda")
    assert found["Little Claus and big Claus"] == ("Claus",)
    assert found["Under the willow tree"] == ("Knud", "Johanne")
    assert found["Ole-Luk-Oie, the Dream-God"] == ("Ole-Luk-Oie", "Hjalmar")
    assert found["The porter's son"] == ("Emily", "George", "Elsie", "Rubens")
    assert found["The little mermaid"] == found["The ugly duckling"] == found["The princess and the pea"] == ()
    everything = {name for names in found.values() for name in names}
    assert not everything & {"Denmark", "Copenhagen", "God", "Sunday", "Danish", "Mr", "Christmas", "Reindeer", "Bible"}
