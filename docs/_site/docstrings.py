"""Docstrings as minigrad writes them, plain text, made into reStructuredText for autodoc.

`x` is code, a line that ends with a colon before an indented block is followed by code, an address of torch's pages is
called by what it is about; all other signs stand for themselves (z = x ** y is no bold).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TORCH = re.compile(r"https://docs\.pytorch\.org/docs/stable/([\w./]+?)\.html")
CODE = re.compile(r"`([^`\n]+)`")
ADDRESS = re.compile(r"https?://[^\s;,)]+[^\s;,).]")


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring, as reStructuredText."""
    found: list[str] = []
    for block in blocks(lines):
        found += code(block) if found and block[0].startswith("    ") else listed(block)
        found.append("")
    return found


def blocks(lines: list[str]) -> Iterator[list[str]]:
    """Paragraphs: what blank lines part."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def code(block: list[str]) -> list[str]:
    """A literal block."""
    return ["::", "", *block]


def listed(block: list[str]) -> list[str]:
    """A paragraph. "name: what it is" lines, where what goes on stands further in, are a list of definitions."""
    entries = [re.match(r"(?!Source)([\w, ]{1,40}): ", line) for line in block]
    inner = [line.startswith("    ") for line in block]
    if len(block) < 2 or not (any(inner) or all(entries)) or inner[0]:
        return [escape(line.strip()) for line in block]
    found: list[str] = []
    within = False
    for line, entry, further in zip(block, entries, inner, strict=True):
        if entry:
            found += [f"``{entry[1]}``", "    " + escape(line[entry.end() :])]
        elif further:
            found.append(("    " if within else "") + escape(line.strip()))
        else:
            found += ["", escape(line)] if within else [escape(line)]
        within = bool(entry) or (further and within)
    return found


def escape(text: str) -> str:
    """One line: code and addresses are kept as such, and nothing else means anything."""
    found, at = "", 0
    for match in re.finditer(rf"{CODE.pattern}|{ADDRESS.pattern}", text):
        found += plain(text[at : match.start()]) + special(match[0])
        at = match.end()
    return found + plain(text[at:])


def plain(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def special(text: str) -> str:
    """`code`, or an address."""
    if text.startswith("`"):
        return f"``{text[1:-1]}``"
    if match := TORCH.fullmatch(text):
        return f"`{match[1].split('/')[-1]} <{text}>`__"
    return f"`{text.split('//')[1]} <{text}>`__"


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """autodoc's event."""
    lines[:] = restructured(lines)


def setup(app: Any) -> dict[str, Any]:
    """Tell Sphinx."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
