"""What the built package holds, and that it installs and runs where there is numpy and nothing else."""

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy
import pytest
from filelock import FileLock

import minigrad as mg

PROJECT = Path(__file__).resolve().parents[1]
# What a checkout holds beside its sources: made by tools, or by a run.
MADE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules", "out", "site")


@pytest.fixture(scope="session")
def built(tmp_path_factory, worker_id):
    """The wheel, and the sdist of a copy of this checkout that it came from: as `make dist`, once for all workers."""
    pytest.importorskip("build", reason="the package is not built: pip install build")
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "built"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            source = tmp_path_factory.mktemp("source") / "minigrad"
            shutil.copytree(PROJECT, source, ignore=MADE)
            dist = source.parent / "dist"
            # --no-isolation: with the setuptools that is here, so that nothing is downloaded.
            command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, source]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            dist.rename(shared)
    (wheel,), (sdist,) = shared.glob("*.whl"), shared.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        about = f"minigrad-{mg.__version__}.dist-info"
        metadata = message_from_bytes(wheel.read(f"{about}/METADATA"))
        assert f"{about}/licenses/LICENSE" in wheel.namelist()
        assert "makemore = models.cli:main" in wheel.read(f"{about}/entry_points.txt").decode()
    packages = {path.parent.name for path in PROJECT.glob("*/py.typed")}
    assert {"minigrad", "models", "viz"} <= packages
    sources = {
        path.relative_to(PROJECT).as_posix()
        for package in packages
        for path in (PROJECT / package).rglob("*")
        if path.suffix in (".py", ".pyi", ".typed") or path.parent.name in ("built", "page")
        if "__pycache__" not in path.parts and "node_modules" not in path.parts
    }
    assert names == sources | {"models/names.txt"}
    assert metadata["Version"] == mg.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert [re.split(r"[^a-z]", line)[0] for line in required] == ["numpy"]
    assert built[0].stat().st_size < 2_000_000


def test_the_sdist_holds_what_tests_and_builds_it(built):
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for name in ("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "names.txt", "setup.py", "tests/test_wheel.py"):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory):
    """An environment with the wheel and numpy alone. numpy is linked in, so that nothing is downloaded."""
    home = tmp_path_factory.mktemp("clean") / "env"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    found = Path(numpy.__file__).parent.parent
    (into,) = home.glob("lib/python*/site-packages")
    for name in ("numpy", "numpy.libs", f"numpy-{numpy.__version__}.dist-info"):
        if (found / name).exists():
            (into / name).symlink_to(found / name)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-compile", built[0]],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def run(clean, cwd, *command):
    program, *arguments = command
    return subprocess.run([clean / "bin" / program, *arguments], cwd=cwd, capture_output=True, text=True, env={})


EVERY_MODULE = """
import importlib, pkgutil, minigrad
for module in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:  # compile(backend="numba") imports its own part when it is asked for
        assert error.name == "numba", error
import export, models, models.cli, models.mlp, models.sample, models.storage, viz
x = minigrad.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
print(minigrad.__version__, x.grad.tolist())
"""


def test_it_imports_with_numpy_alone(clean, tmp_path):
    done = run(clean, tmp_path, "python", "-I", "-W", "error", "-c", EVERY_MODULE)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{mg.__version__} [2.0, 4.0]\n")


def test_its_command_runs_with_numpy_alone(clean, tmp_path):
    for command in (["makemore"], ["python", "-m", "models"]):
        assert run(clean, tmp_path, *command, "--version").stdout == f"makemore (minigrad) {mg.__version__}\n"
        assert "examples:" in run(clean, tmp_path, *command, "--help").stdout
    done = run(clean, tmp_path, "makemore", "check")  # with the list of names that the wheel brings
    assert (done.returncode, done.stderr) == (0, "")
    done = run(clean, tmp_path, "makemore", "train")
    assert done.returncode == 2 and "pip install 'minigrad[train]'" in done.stderr


def test_the_changelog_tells_of_this_version():
    text = (PROJECT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(mg.__version__)}\] - \d{{4}}-\d\d-\d\d$", text, re.M)
