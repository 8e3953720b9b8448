"""What an option's text can be: the types that the commands give to argparse."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable

MOST = 10**12  # of any whole number among the options


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from {least} to {most:,}")
        return value

    return whole


def seed(text: str) -> int:
    """What a Generator can be seeded with."""
    try:
        value = int(text)
    except ValueError:
        value = 2**64
    if not -(2**63) <= value < 2**64:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from -2**63 to 2**64 - 1")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0")
    return value


def path(text: str) -> str:
    """The name of a file or folder. An empty one, which an unset variable leaves, would be the working folder."""
    try:
        wrong = not text.strip() or b"\0" in os.fsencode(text)
    except UnicodeEncodeError:
        wrong = True
    if wrong:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not the name of a file or folder")
    return text
