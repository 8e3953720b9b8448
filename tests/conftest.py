"""What all tests share: where the lecture lies, how hypothesis runs, and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Before numpy is imported, which reads it: each worker has a processor, and BLAS threads would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline: two workers on a busy machine are slow at times. In CI the same examples in each run.
settings.register_profile("minigrad", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("minigrad")

WITHOUT = "the page is not looked at in a browser: "
# As root in a container; and nothing that the browser itself would fetch.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def lecture_dir() -> Path:
    """The lecture's notebook and names, in ../shared/lecture beside the checkout."""
    path = Path(__file__).resolve().parents[2] / "shared" / "lecture"
    if not path.is_dir():
        pytest.skip(f"the lecture's figures are not checked: {path} (../shared/lecture) is not there")
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        pytest.skip(WITHOUT + "playwright is not installed")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if not found:
        pytest.skip(WITHOUT + "there is no chromium (make browser installs it)")
    with sync_playwright() as p:
        try:
            browser = p.chromium.launch(executable_path=found, args=FLAGS)
        except Error as error:
            pytest.skip(f"{WITHOUT}{found} does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()
