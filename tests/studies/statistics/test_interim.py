"""A study is judged at the looks it declared beforehand, each at its share of the level; any other is refused."""

import pytest

from generators.foundation.errors import UserError
from studies.statistics.interim import level_at


def test_without_looks_the_whole_level_is_spent_at_once_and_as_often_as_one_likes() -> None:
    assert level_at(0.05, 5, None, {}, "x.toml") == 0.05
    assert level_at(0.05, 5, None, {5: None}, "x.toml") == 0.05


def test_declared_looks_share_the_level_in_any_order() -> None:
    looks = [5, 8, 16]
    assert level_at(0.06, 5, looks, {}, "x.toml") == pytest.approx(0.02)
    assert level_at(0.06, 16, looks, {5: looks, 8: looks}, "x.toml") == pytest.approx(0.02)
    assert level_at(0.06, 5, looks, {16: looks}, "x.toml") == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("seeds", "looks", "judged", "sentence"),
    [
        (8, None, {5: None}, "seeds = 8: this study was judged at 5 seeds, which spent its level; go back to seeds = 5, or declare looks = [5, 8] in a copy of the file"),
        (8, [5, 10], {}, "seeds = 8: not one of looks = [5, 10]"),
        (10, [5, 10], {5: None}, "looks: this study was judged at 5 seeds with no looks declared"),
        (5, [5, 10], {5: None}, "looks: this study was judged at 5 seeds with no looks declared"),
        (10, [5, 10], {5: [5, 20]}, "looks: this study was judged at 5 seeds with looks = [5, 20]"),
        (5, None, {5: [5, 10]}, "looks: this study was judged at 5 seeds with looks = [5, 10]"),
    ],
)  # fmt: skip
def test_a_look_that_was_not_declared_beforehand_is_refused(
    seeds: int, looks: list[int] | None, judged: dict[int, list[int] | None], sentence: str
) -> None:
    with pytest.raises(UserError) as raised:
        level_at(0.05, seeds, looks, judged, "x.toml")
    assert str(raised.value).startswith(f"x.toml: {sentence}")
