"""Install the extra `bench` into the environment that runs this; a library that cannot be had takes no part.

Only Python's own library is used here: nothing is installed yet.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pip(*what: str) -> bool:
    """Whether pip could install this."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    if pip("--editable", ".[bench]"):
        return 0
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    ours = [name for name in wanted if name.startswith("minigrad")]
    print("Not all of the extra `bench` can be installed at once: one by one", flush=True)
    if not pip("--editable", *(name.replace("minigrad", ".") for name in ours)):
        print("error: minigrad itself could not be installed", file=sys.stderr)
        return 1
    for name in wanted:
        if name not in ours and not pip(name):
            print(f"{name} could not be installed: it takes no part", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
