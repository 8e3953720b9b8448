"""The README's promises: each names tests, and these exist."""

from __future__ import annotations

import ast
import re

import pytest

from .blocks import ROOT

TEXT = (ROOT / "README.md").read_text()
SECTION = TEXT[TEXT.index("## What it promises") : TEXT.index("## Honest limits")]
ROWS = [line.strip("|").rsplit("|", 1) for line in SECTION.splitlines() if line.startswith("| ") and "`" in line]


def named(cell: str) -> list[tuple[str, str]]:
    """(file, test) of each `file::test`; `::test` is of the file before it."""
    found: list[tuple[str, str]] = []
    for file, test in re.findall(r"`([\w/.]*)::(\w+)`", cell):
        found.append((file or found[-1][0], test))
    return found


@pytest.mark.parametrize(("promise", "tests"), ROWS, ids=[row[0].strip()[:40] for row in ROWS])
def test_each_promise_names_tests_that_exist(promise: str, tests: str) -> None:
    found = named(tests)
    assert found, f"no test holds: {promise}"
    for file, test in found:
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in functions, f"{file} has no {test}"


def test_there_are_promises() -> None:
    assert len(ROWS) >= 15


def test_the_figure_of_the_table_is_the_tables() -> None:
    from tests.parity.table import TABLE_OF_OPS

    assert f"{len(TABLE_OF_OPS)} calls" in SECTION
