"""Shards: several coordinators share the cells of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from generators.foundation.errors import UserError

C = TypeVar("C")


@dataclass(frozen=True)
class Shard:
    """The cells that one of `count` coordinators takes; `number` is 1, 2, ..., count."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the shard that `--shard 2/4` names.

        Raises:
            UserError: the text is not one of 1/K to K/K.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UserError(f"--shard {text}: should be one of 1/K to K/K, where K is the number of shards")
        return cls(int(number), int(count))

    def of(self, cells: Sequence[C]) -> list[C]:
        """Returns its cells: every `count`-th, from the `number`-th."""
        return list(cells[self.number - 1 :: self.count])


WHOLE = Shard(1, 1)
