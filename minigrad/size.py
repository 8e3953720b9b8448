"""Size: the shape of a Tensor, a tuple that prints as torch's does."""

from __future__ import annotations

import math
from typing import Any, SupportsIndex


class Size(tuple[int, ...]):
    """A shape: equal to the tuple of the same numbers, and printed `torch.Size([2, 3])`, as the lectures show it.

    A slice, a sum with a tuple and a product with an int are Sizes again. Source: torch.Size.
    """

    __slots__ = ()

    def numel(self) -> int:
        """How many elements a Tensor of this shape has."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if type(index) is slice else found

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: tuple[int, ...]) -> Size:
        return Size(other + tuple(self))

    def __mul__(self, n: SupportsIndex) -> Size:
        return Size(tuple.__mul__(self, n))

    def __rmul__(self, n: SupportsIndex) -> Size:
        return self * n
