"""The site, built once for all workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .blocks import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the built site. Warnings are errors: a link that leads nowhere, a rule shown twice."""
    pytest.importorskip("sphinx", reason="the documentation is not built: sphinx is not installed (the extra docs)")
    from filelock import FileLock

    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "site"
    with FileLock(f"{shared}.lock"):
        if not (shared / "index.html").exists():
            command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-T"]
            done = subprocess.run(
                [*command, "-d", f"{shared}.doctrees", "docs", str(shared)], cwd=ROOT, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return shared
