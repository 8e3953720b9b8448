"""The code blocks of a Markdown page, and how each is run.

Python blocks share one namespace from the top of the page to its end. A block with `>>>` is a doctest. Of any other
what it prints is compared with the ```text block that follows it at once, if there is one. ```console blocks hold
commands after `$ ` and what they print. In all of them `...` stands for anything. Of ```sh blocks, which install or
take minutes, the names are checked: targets of make, files, commands and options of makemore. TOML and JSON is parsed.

What hangs on the last bits of a training run, which processors differ in, is followed by ```text about: numbers agree
to a twentieth and words to the letter; or by ```text such as: something else of as many lines.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+|:::+)(?P<info>.*)$")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
PARSED = {"toml": tomllib.loads, "json": json.loads}
SHOWN = {"text"}  # nothing to run
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    """One block: its language, its text, the line that it begins on, and the ```text that follows it at once."""

    language: str
    text: str
    line: int
    output: str | None = None
    exactly: str = ""  # "about" or "such as"


def blocks(page: str) -> list[Block]:
    """All blocks of a page but those of directives (`{rule}`), which the build of the site runs."""
    found: list[Block] = []
    lines = page.split("\n")
    i, after = 0, -1  # after: the line on which an output would have to begin
    while i < len(lines):
        match = FENCE.match(lines[i])
        if not match or match["ticks"].startswith(":"):
            i += 1
            continue
        indent = len(match["indent"])
        end = next(j for j in range(i + 1, len(lines)) if lines[j].strip() == match["ticks"])
        text = "\n".join(line[indent:] for line in lines[i + 1 : end]) + "\n"
        language, _, how = match["info"].strip().partition(" ")
        if language == "text" and found and set("".join(lines[after:i]).strip()) == set() and after > 0:
            found[-1].output, found[-1].exactly = text, how
        elif not language.startswith("{"):
            found.append(Block(language, text, i + 2))
            after = end + 1 if language == "python" else -1
        i = end + 1
    return found


class Page:
    """A page whose blocks run one after another, in one folder of their own and one namespace."""

    def __init__(self, path: Path, namespace: dict[str, Any] | None = None) -> None:
        self.name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        self.text = path.read_text()
        self.names: dict[str, Any] = {"__name__": "__page__", **(namespace or {})}
        self.ran = 0

    def run(self) -> None:
        """All blocks. AssertionError names the block and what came out."""
        for block in blocks(self.text):
            where = f"{self.name}:{block.line}"
            if block.language == "python":
                if ">>> " in block.text:
                    self.doctest(block, where)
                else:
                    self.code(block, where)
            elif block.language == "console":
                self.console(block, where)
            elif block.language in ("", "sh", "bash"):
                known(block, where)
            elif block.language in PARSED:
                PARSED[block.language](block.text)
            else:
                assert block.language in SHOWN, f"{where}: a block of {block.language!r} is neither run nor known"
            self.ran += 1

    def doctest(self, block: Block, where: str) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, {}, where, self.name, block.line - 1)
        test.globs = self.names  # get_doctest copies it, and the blocks share one
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
        failed = runner.run(test, out=said.append, clear_globs=False).failed
        assert not failed, f"{where}\n{''.join(said)}"

    def code(self, block: Block, where: str) -> None:
        printed = io.StringIO()
        code = compile("\n" * (block.line - 1) + block.text, self.name, "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, self.names)
        if block.output is not None:
            self.same(printed.getvalue(), block.output, where, block.exactly)

    def console(self, block: Block, where: str) -> None:
        for command, wanted in re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n?)*)", block.text, re.MULTILINE):
            words = shlex.split(command.replace("\n> ", " "))
            program = {"makemore": ["-m", "models.cli"], "python": []}.get(words[0])
            assert program is not None, f"{where}: {words[0]} is no command that these pages run"
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}
            done = subprocess.run(
                [sys.executable, *program, *words[1:]], capture_output=True, text=True, env=environment, timeout=300
            )
            assert done.returncode == 0, f"{where}: {command}{done.stdout}{done.stderr}"
            self.same(done.stdout, wanted, where)

    def same(self, got: str, wanted: str, where: str, exactly: str = "") -> None:
        if exactly == "such as":
            agree = bool(got.strip()) and got.count("\n") == wanted.count("\n")
        elif exactly == "about":
            agree = NUMBER.sub("#", got).split() == NUMBER.sub("#", wanted).split() and all(
                abs(float(x) - float(y)) <= max(0.05 * abs(float(y)), 0.02)
                for x, y in zip(NUMBER.findall(got), NUMBER.findall(wanted), strict=True)
            )
        else:
            agree = doctest.OutputChecker().check_output(wanted, got, FLAGS)
        if not agree:
            raise AssertionError(f"{where} prints\n{got}\nand the page says\n{wanted}")


def known(block: Block, where: str) -> None:
    """Commands that a test does not run (they install, or take minutes): their targets and files must exist."""
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in block.text.splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["make"]:
            missing = {word for word in words[1:] if "=" not in word} - targets
            assert not missing, f"{where}: the Makefile has no {missing}"
        if words[:1] == ["makemore"]:
            missing = {word.split("=")[0] for word in words if word.startswith("--")} - set(options_of(words[1]))
            assert not missing, f"{where}: makemore {words[1]} has no {missing}"
        for word in words:
            if re.fullmatch(r"[\w./-]+\.(py|toml|md)", word) and "/" in word:
                assert (ROOT / word).exists(), f"{where}: there is no {word}"


@functools.cache
def options_of(command: str) -> list[str]:
    """What `makemore command --help` lists; AssertionError if there is no such command."""
    done = subprocess.run(
        [sys.executable, "-m", "models", command, "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, f"makemore has no {command}"
    return re.findall(r"--[a-z-]+", done.stdout)
