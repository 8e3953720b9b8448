"""CONTRIBUTING.md, done to the letter on a copy of the project: a rule is one class and one row of the parity table."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .blocks import ROOT, blocks, known

PAGE = ROOT / "CONTRIBUTING.md"
PLACE = re.compile(r"at\s+the\s+end\s+of\s+`(?P<file>[\w./]+)`|in\s+`(?P<list>\w+)`\s+of\s+`(?P<of>[\w./]+)`")


def steps() -> list[tuple[str, str, str]]:
    """The page's Python blocks as it places them: (file, list or nothing, text)."""
    page = PAGE.read_text()
    lines, found = page.split("\n"), []
    for block in blocks(page):
        if block.language == "python":
            before = "\n".join(lines[: block.line - 2])
            place = list(PLACE.finditer(before))[-1]
            found.append((place["file"] or place["of"], place["list"] or "", block.text))
    return found


def done(folder: Path, some: list[tuple[str, str, str]]) -> Path:
    """A copy of the project with these steps done."""
    for part in ("minigrad", "models", "viz", "tests"):
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "data")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, name, text in some:
        path = folder / file
        old = path.read_text()
        if name:
            start = re.search(rf"^{name}(: .*)? = \[\n", old, re.MULTILINE)
            assert start, f"{file} has no list {name}"
            new = old[: start.end()] + text + old[start.end() :]
        else:
            new = old.rstrip("\n") + "\n\n\n" + text
        path.write_text(new)
    return folder


def run(folder: Path, *arguments: str) -> str:
    """pytest there, in a process of its own: what it says, with the number of what passed and failed."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib -q"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    ).stdout


TABLE = "tests/parity/test_table.py"
WHOLE = [
    f"{TABLE}::test_every_rule_stands_in_a_row",
    "tests/parity/test_accuracy.py::test_every_op_has_a_row_or_is_exact",
]


@pytest.fixture
def rule() -> str:
    """The name of the rule that the page adds."""
    return re.search(r"^class (\w+)\(Op\)", steps()[0][2], re.MULTILINE)[1]


def test_a_rule_is_added_as_the_page_says(tmp_path: Path, rule: str) -> None:
    assert [(file, name) for file, name, _ in steps()] == [
        ("minigrad/ops/elementwise.py", ""),
        ("tests/parity/table.py", "ELEMENTWISE"),
        ("tests/parity/accuracy.py", "TABLE"),
    ]
    row = re.search(r'Row\("(\w+)"', steps()[1][2])[1]
    folder = done(tmp_path, steps())
    said = run(folder, "tests/parity", "-k", f"{row} or every_rule or rules_named or every_op")
    # float32 and float64, memory layouts, special values, whole numbers, finite differences, accuracy
    assert "failed" not in said and "error" not in said and int(re.search(r"(\d+) passed", said)[1]) >= 10, said
    # The documentation has a picture of it from the signature alone.
    code = f"import sys; sys.path[:0] = ['.', {str(ROOT / 'docs')!r}]; from _site.graphs import picture; "
    drawn = subprocess.run(
        [sys.executable, "-c", f"{code} from minigrad import ops; print(picture(ops.{rule}).svg[:5])"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert drawn.stdout == "<?xml\n", drawn.stderr


def test_a_rule_without_its_rows_is_noticed(tmp_path: Path, rule: str) -> None:
    said = run(done(tmp_path, steps()[:1]), *WHOLE)
    assert "2 failed" in said and said.count(rule) >= 2, said


def test_a_wrong_rule_is_noticed(tmp_path: Path) -> None:
    (file, place, text), *others = steps()
    wrong = text.replace("1 + x * x", "1 - x * x")
    assert wrong != text
    said = run(done(tmp_path, [(file, place, wrong), *others]), TABLE, "-k", "test_row and atan")
    assert "2 failed" in said, said


def test_commands_and_files_are_there() -> None:
    for block in blocks(PAGE.read_text()):
        if block.language != "python":
            known(block, "CONTRIBUTING.md")
    for file in re.findall(r"`([\w/]+\.(?:py|pyi|md))`", PAGE.read_text()):
        assert (ROOT / file).exists(), file
