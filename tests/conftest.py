"""What all tests share: where the lecture lies, and how hypothesis runs."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy is imported, which reads it: each worker has a processor, and BLAS threads would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline: two workers on a busy machine are slow at times. In CI the same examples in each run.
settings.register_profile("minigrad", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("minigrad")


@pytest.fixture(scope="session")
def lecture_dir() -> Path:
    """The lecture's notebook and names, in ../shared/lecture beside the checkout."""
    path = Path(__file__).resolve().parents[2] / "shared" / "lecture"
    if not path.is_dir():
        pytest.skip(f"the lecture's figures are not checked: {path} (../shared/lecture) is not there")
    return path
