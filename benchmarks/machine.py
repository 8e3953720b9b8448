"""What a result was measured on: the machine, and the versions of everything that took part."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "torch", "jax", "mygrad", "autograd", "micrograd", "tinygrad", "numba")


def describe() -> dict[str, Any]:
    """A JSON object: processor, cores, memory, system, Python, BLAS, versions, and this project's commit."""
    about: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": _blas(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
    }
    return about


def line(about: dict[str, Any]) -> str:
    """The same as one sentence."""
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']}, "
        f"Python {about['python']}, {about['blas']}; {versions}"
    )


def _read(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _processor() -> str:
    return _read("/proc/cpuinfo", "model name") or platform.processor() or "unknown processor"


def _memory() -> int:
    return round(int((_read("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1e6)


def _blas() -> str:
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload, index]
    return f"{blas.get('name', 'BLAS')} {blas.get('version', '')}".strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=Path(__file__).parent, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    except OSError:
        return None
    return done.stdout.strip() or None
