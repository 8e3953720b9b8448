"""What a user's type checker says of the public names: a program that mypy --strict accepts, and runs."""

import ast
import importlib.util
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.names import ALIASES, FUNCTION_ALIASES

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("program.py")
# As for an installed package, of which a checker reads the types and reports nothing.
SETTINGS = "[mypy]\nstrict = True\nfollow_imports = silent\npython_version = 3.11\n"


def test_a_program_is_strictly_typed(tmp_path, monkeypatch):
    api = pytest.importorskip("mypy.api")
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    monkeypatch.setenv("MYPYPATH", str(PROJECT))
    cache = PROJECT / ".mypy_cache" / "strict"
    said, errors, status = api.run(
        ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(cache), str(PROGRAM)]
    )  # fmt: skip
    assert (status, errors) == (0, ""), said


def test_the_program_runs(tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("program", PROGRAM)
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program.main(str(tmp_path / "net.safetensors"))
    assert capsys.readouterr().out.startswith(mg.__version__)


def test_other_spellings_are_known_to_the_checker():
    tree = ast.parse((PROJECT / "minigrad" / "__init__.py").read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    names = {alias.asname: alias.name for line in typed.body for alias in line.names if alias.asname != alias.name}
    assert names == {**ALIASES, **FUNCTION_ALIASES}
