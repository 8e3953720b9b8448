"""What the tests of the page share."""

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from models.check import backward
from models.mlp import MLP, Config


@pytest.fixture(scope="session")
def batch() -> Any:
    """The lecture's chunked network at exercise 1's sizes, on a batch of random characters, after backward."""
    g = mg.Generator().manual_seed(7)
    Xb, Yb = (np.asarray(g.randint(0, 27, shape)) for shape in ((32, 3), (32,)))
    return backward(MLP(Config(27, hidden=64)), Xb, Yb)


@pytest.fixture(scope="session")
def names(batch: Any) -> dict[str, Any]:
    return {**batch.tensors, "loss": batch.graph[0], "Xb": batch.Xb, "Yb": batch.Yb}
