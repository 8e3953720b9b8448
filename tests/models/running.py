"""The makemore command as a subprocess, for tests that stop, kill or starve it."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    **os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error", "PYTHONUTF8": "1", "OPENBLAS_NUM_THREADS": "1"
}  # fmt: skip
COMMAND = [
    sys.executable, "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from models.cli import main; sys.exit(main())",
]  # fmt: skip


def train(*arguments, cwd, status=0, before=()):
    """`makemore train` with these arguments, to its end. before: a command that starts it."""
    done = subprocess.run(
        [*before, *COMMAND, "train", *map(str, arguments)],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def started(*arguments, cwd):
    """The same, left running."""
    return subprocess.Popen(
        [*COMMAND, "train", *map(str, arguments)],
        cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
