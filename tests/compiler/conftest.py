"""Captures need numpy 2: with an older one steps run eagerly, which is all there is to see."""

from typing import Any

import numpy as np
import pytest

from minigrad.ops.numpy1 import OLD


@pytest.fixture(autouse=True)
def numpy_2(request: Any) -> None:
    if OLD and request.node.name != "test_numpy_1_runs_eagerly":
        pytest.skip(f"numpy {np.__version__}: minigrad.compile runs steps eagerly")
