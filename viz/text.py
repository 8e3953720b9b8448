"""Text for pictures: names, numbers, what an op says."""

from __future__ import annotations

import html
import math
import unicodedata
from typing import Any

from .trace import Op, Scalar

__all__ = ["cut", "escape", "number", "numbers", "op_text", "wrapped"]

LONGEST = 40  # characters of a name or a setting on the picture; a title has LONGEST_TITLE
LONGEST_TITLE = 200


def plain(text: str) -> str:
    """Control characters, and what else has no shape of its own, written as Python writes them: \\u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and not unicodedata.combining(c) else escaped(c) for c in text)


def escaped(c: str) -> str:
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"


def cut(text: str, longest: int = LONGEST) -> str:
    text = plain(unicodedata.normalize("NFC", text[: longest + 1]))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def escape(text: str) -> str:
    """For HTML labels, where one backslash would make `\\N` the node's name."""
    done = html.escape(text).replace("\\", "&#92;&#92;")
    return done if text.isascii() else done + " " * _missing(text)


SPACE = 0.278  # of the font's size


def _missing(text: str) -> int:
    """The spaces that make up for other letters, of which graphviz-pure takes each UTF-8 byte to be as wide as one."""
    other = [c for c in text if not c.isascii()]
    wide = sum(_width(c) - SPACE * len(c.encode()) for c in other)
    return max(0, math.ceil(wide / SPACE - 0.1))


def _width(c: str) -> float:
    if unicodedata.east_asian_width(c) in "WF":
        return 1.0
    return 0.83 if c.isupper() else 0.65


def number(x: Any) -> str:
    """At most four digits, and a float always seen to be one: 2.0, 0.3333, 1e-05."""
    if not isinstance(x, float):
        return str(x)
    text = f"{x:.4g}"
    return text if not math.isfinite(x) or "." in text or "e" in text else text + ".0"


def numbers(found: tuple[Any, ...], shape: tuple[int, ...]) -> str:
    """Few numbers in the brackets of their shape."""
    texts = [number(x) for x in found]
    for length in reversed(shape):
        texts = [f"[{', '.join(texts[i : i + length])}]" for i in range(0, len(texts), length)]
    return texts[0]


def wrapped(text: str, width: int, lines: int) -> list[str]:
    """Broken at spaces, and cut where it takes more lines."""
    found = [""]
    for word in plain(text[: 4 * width * lines]).split():
        if found[-1] and len(found[-1]) + 1 + len(word) > width:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    found = [cut(line, width + 8) for line in found]
    return found if len(found) <= lines else [*found[: lines - 1], found[lines - 1] + " ..."]


def op_text(op: Op) -> str:
    """The op with its numbers and settings as one would write it: `** 3`, `1 -`, `[Xb]`, `sum(dim=0)`."""
    given = [number(x.number) if isinstance(x, Scalar) else None for x in op.inputs]
    settings = dict(op.settings)
    if op.symbol == "[]" and "index" in settings:
        index = settings["index"]
        return f"[{index[1:-1].rstrip(',') if index.startswith('(') else index}]"
    if not any(c.isalnum() for c in op.symbol):
        if len(given) == 2 and not settings:
            return " ".join(part for part in (given[0], op.symbol, given[1]) if part)
        if len(given) == 1 and len(settings) == 1:
            return f"{op.symbol} {next(iter(settings.values()))}"
    arguments = [text or "_" for text in given] if any(given) else []
    inside = ", ".join([*arguments, *(f"{key}={text}" for key, text in op.settings)])
    return f"{op.symbol}({inside})" if inside else op.symbol
