"""Captures need numpy 2: with an older one steps run eagerly, which is all there is to see."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minigrad.ops.numpy1 import OLD


@pytest.fixture(autouse=True)
def numpy_2(request: Any) -> None:
    if OLD and request.node.name != "test_numpy_1_runs_eagerly":
        pytest.skip(f"numpy {np.__version__}: minigrad.compile runs steps eagerly")


@pytest.fixture(autouse=True, scope="module")
def compiled_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for compiled code, of each module its own: nothing is left in the user's, nothing comes from there."""
    before = os.environ.get("MINIGRAD_CACHE_DIR")
    os.environ["MINIGRAD_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["MINIGRAD_CACHE_DIR"]
    else:
        os.environ["MINIGRAD_CACHE_DIR"] = before
