"""What numpy 1.26 needs, tried with any numpy: results as wide as it makes them, and an index that it lets pass."""

import warnings

import numpy as np
import pytest

from minigrad import ops
from minigrad.ops.numpy1 import keeping, strict_indices


def wide(*inputs, **settings):
    """A rule's result as numpy 1.26 gives it for numbers."""
    return np.asarray(inputs[0], np.int64 if inputs[0].dtype.kind in "iu" else np.float64)[()]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_result_has_the_dtype_of_its_operands(dtype, shape):
    x = np.ones(shape, dtype)[()]
    assert keeping(wide, True)(x, 2.5).dtype == dtype
    assert keeping(lambda x: (wide(x), wide(x), 3), True)(x)[1].dtype == dtype


def test_what_is_meant_to_be_wider_stays():
    assert keeping(wide, False)(np.int32(3)).dtype == np.int64  # a sum of ints
    assert keeping(wide, True)(np.float32(3), np.float64(1)).dtype == np.float64
    assert keeping(wide, False)(np.float32(3), dtype=np.float64).dtype == np.float64  # a cast
    assert keeping(lambda x: "as it is", True)(np.float32(3)) == "as it is"


def test_the_signature_is_still_the_rules():
    assert keeping(ops.Mul.forward, True).__wrapped__ is ops.Mul.forward


def test_an_index_out_of_range_that_takes_nothing_is_an_error():
    with pytest.raises(IndexError, match="Out of bound index found"), strict_indices():
        warnings.warn("Out of bound index found. This was previously ignored", DeprecationWarning, stacklevel=1)
