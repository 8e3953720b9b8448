"""numpy's two protocols: np.exp(t), np.sum(t, axis=0), array op Tensor; what has no rule raises."""

import operator
from typing import Any

import numpy as np
import pytest

import minigrad as mg

X = np.array([[1.5, 0.25, 2.0], [0.5, 1.0, 0.75]])
I = np.array([[3, 1, 2], [2, 5, 4]])  # noqa: E741
M = np.array([[True, False, True], [False, False, True]])


def leaf() -> mg.Tensor:
    return mg.tensor(X, requires_grad=True)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
WHOLE = [operator.and_, operator.or_, operator.xor, operator.floordiv]
name = lambda f: f.__name__  # noqa: E731


@pytest.mark.parametrize("op", OPERATORS, ids=name)
@pytest.mark.parametrize(
    "other",
    [X[::-1] + 1, X[0], np.float64(2.5), np.array(2.5), 2.5, 2],
    ids=["array", "row", "np.float64", "0-d", "float", "int"],
)
def test_operators_with_arrays_in_either_order_are_recorded(op: Any, other: Any) -> None:
    for swap in (False, True):
        x = leaf()
        z = op(other, x) if swap else op(x, other)
        want = op(other, X) if swap else op(X, other)
        assert type(z) is mg.Tensor and z.grad_fn is not None and z.dtype == mg.float64
        np.testing.assert_allclose(z.detach().numpy(), want, rtol=1e-15)
        z.sum().backward()
        step = 1e-6
        numeric = (
            (op(other, X + step) - op(other, X - step)) if swap else (op(X + step, other) - op(X - step, other))
        ) / (2 * step)
        if op is not operator.mod:  # its steps
            np.testing.assert_allclose(x.grad.numpy(), numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("op", COMPARISONS, ids=name)
def test_comparisons_with_arrays_in_either_order(op: Any) -> None:
    x = leaf()
    for other in (X[::-1], X[0], np.float64(1.0), np.array(1.0), 1.0, 1):
        for z, want in ((op(x, other), op(X, other)), (op(other, x), op(other, X))):
            assert type(z) is mg.Tensor and z.dtype == np.dtype(bool)
            np.testing.assert_array_equal(z.numpy(), want)


@pytest.mark.parametrize("op", WHOLE, ids=name)
def test_integer_operators_with_arrays_in_either_order(op: Any) -> None:
    t, other = mg.tensor(I), I[::-1].copy()
    for z, want in (
        (op(t, other), op(I, other)),
        (op(other, t), op(other, I)),
        (op(t, np.int64(3)), op(I, 3)),
        (op(np.int64(3), t), op(3, I)),
    ):
        assert type(z) is mg.Tensor
        np.testing.assert_array_equal(z.numpy(), want)


def test_matmul_with_arrays_in_either_order() -> None:
    x = leaf()
    z = (np.ones((4, 2)) @ x) @ np.ones((3, 2))
    assert type(z) is mg.Tensor and z.shape == (4, 2)
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 3), 8.0))


def test_np_float64_does_not_widen() -> None:
    x = mg.ones(2)
    for z in (
        x * np.float64(2),
        np.float64(2) * x,
        np.float64(2) - x,
        x ** np.float64(2),
        np.float32(2) * x,
        x + np.int64(1),
    ):
        assert type(z) is mg.Tensor and z.dtype == mg.float32


def test_an_array_in_place_with_a_tensor_is_refused() -> None:
    """array += t would write the value and lose the graph."""
    array = np.ones(3)
    with pytest.raises(TypeError, match="out="):
        array += mg.ones(3, requires_grad=True)
    assert array.tolist() == [1.0] * 3
    t = mg.ones(3)
    t += np.ones(3)
    assert t.tolist() == [2.0] * 3


UNARY = [
    np.negative,
    np.positive,
    np.absolute,
    np.fabs,
    np.sign,
    np.rint,
    np.floor,
    np.ceil,
    np.exp,
    np.expm1,
    np.log,
    np.log1p,
    np.log2,
    np.log10,
    np.sqrt,
    np.square,
    np.reciprocal,
    np.sin,
    np.cos,
    np.tanh,
    np.isnan,
    np.isinf,
    np.isfinite,
    np.logical_not,
]
BINARY = [
    np.add,
    np.subtract,
    np.multiply,
    np.divide,
    np.true_divide,
    np.floor_divide,
    np.remainder,
    np.mod,
    np.power,
    np.float_power,
    np.maximum,
    np.minimum,
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.logical_and,
    np.logical_or,
    np.logical_xor,
]


@pytest.mark.parametrize("ufunc", UNARY, ids=name)
def test_unary_ufuncs(ufunc: Any) -> None:
    z = ufunc(leaf())
    assert type(z) is mg.Tensor
    np.testing.assert_allclose(z.detach().numpy(), ufunc(X), rtol=1e-15)


@pytest.mark.parametrize("ufunc", BINARY, ids=name)
def test_binary_ufuncs(ufunc: Any) -> None:
    other = X[::-1].copy()
    for z, want in (
        (ufunc(leaf(), other), ufunc(X, other)),
        (ufunc(other, leaf()), ufunc(other, X)),
        (ufunc(leaf(), 2.0), ufunc(X, 2.0)),
    ):
        assert type(z) is mg.Tensor
        np.testing.assert_allclose(z.detach().numpy(), want, rtol=1e-15)


def test_bit_ufuncs() -> None:
    for ufunc in (np.bitwise_and, np.bitwise_or, np.bitwise_xor):
        np.testing.assert_array_equal(ufunc(mg.tensor(I), 3).numpy(), ufunc(I, 3))
    np.testing.assert_array_equal(np.invert(mg.tensor(M)).numpy(), ~M)


# Each with numpy's own arguments, on x; what numpy says of the array is what must come out.
FUNCTIONS: dict[str, Any] = {
    "sum": lambda x: np.sum(x),
    "sum axis": lambda x: np.sum(x, axis=0, keepdims=True),
    "sum axes": lambda x: np.sum(x, axis=(0, -1)),
    "sum positional": lambda x: np.sum(x, 1),
    "mean": lambda x: np.mean(x, axis=1),
    "prod": lambda x: np.prod(x, axis=0),
    "max": lambda x: np.max(x, axis=1, keepdims=True),
    "min": lambda x: np.min(x),
    "amax": lambda x: np.amax(x, axis=0),
    "all": lambda x: np.all(x > 1, axis=0),
    "any": lambda x: np.any(x > 1),
    "argmax": lambda x: np.argmax(x, axis=1),
    "argmin": lambda x: np.argmin(x),
    "var": lambda x: np.var(x, axis=0),
    "var ddof": lambda x: np.var(x, axis=1, ddof=1, keepdims=True),
    "std": lambda x: np.std(x),
    "std ddof": lambda x: np.std(x, ddof=1),
    "cumsum": lambda x: np.cumsum(x),
    "cumsum axis": lambda x: np.cumsum(x, axis=1),
    "round": lambda x: np.round(x, 1),
    "clip": lambda x: np.clip(x, 0.5, 1.5),
    "where": lambda x: np.where(x > 1, x, 0.0),
    "where of a mask array": lambda x: np.where(M, x, -x),
    "reshape": lambda x: np.reshape(x, (3, 2)),
    "reshape -1": lambda x: np.reshape(x, -1),
    "ravel": lambda x: np.ravel(x),
    "transpose": lambda x: np.transpose(x),
    "transpose axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "squeeze": lambda x: np.squeeze(x[:1]),
    "squeeze axis": lambda x: np.squeeze(x[:1], axis=0),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "broadcast_to": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "concatenate": lambda x: np.concatenate([x, X]),
    "concatenate axis": lambda x: np.concatenate((x, x), axis=1),
    "concatenate flat": lambda x: np.concatenate([x, x], axis=None),
    "stack": lambda x: np.stack([x, X], axis=-1),
    "split": lambda x: np.split(x, 3, axis=1),
    "split at": lambda x: np.split(x, [1], axis=1),
    "flip": lambda x: np.flip(x),
    "flip axis": lambda x: np.flip(x, 1),
    "roll": lambda x: np.roll(x, 1),
    "roll axis": lambda x: np.roll(x, -1, axis=1),
    "tril": lambda x: np.tril(x),
    "triu": lambda x: np.triu(x, 1),
    "tile": lambda x: np.tile(x, (2, 1)),
    "dot": lambda x: np.dot(x, X.T),
    "dot number": lambda x: np.dot(x, 2.0),
    "outer": lambda x: np.outer(x[0], X[1]),
    "matmul": lambda x: np.matmul(X.T, x),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, X),
    "norm": lambda x: np.linalg.norm(x),
    "norm axis": lambda x: np.linalg.norm(x, axis=1, keepdims=True),
    "norm ord": lambda x: np.linalg.norm(x[0], 1),
    "zeros_like": lambda x: np.zeros_like(x),
    "ones_like": lambda x: np.ones_like(x),
    "full_like": lambda x: np.full_like(x, 3.0),
    "copy": lambda x: np.copy(x),
    "nonzero": lambda x: np.nonzero(x > 1),
    "take": lambda x: np.take(x, [0, 2, 2], axis=1),
    "take flat": lambda x: np.take(x, [0, 5]),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[0], [2]]), axis=1),
    "add.reduce": lambda x: np.add.reduce(x),
    "add.reduce axis": lambda x: np.add.reduce(x, axis=1, keepdims=True),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=None),
    "method sum": lambda x: x.sum(axis=0),
    "method astype": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_functions(what: str) -> None:
    got, want = FUNCTIONS[what](leaf()), FUNCTIONS[what](X)
    several = isinstance(want, (tuple, list))
    for g, w in zip(got if several else [got], want if several else [want], strict=True):
        assert type(g) is mg.Tensor
        assert g.shape == np.shape(w)
        np.testing.assert_allclose(g.detach().numpy(), w, rtol=1e-14)


def test_a_function_is_recorded() -> None:
    x = leaf()
    np.sum(np.exp(np.concatenate([x, x]) * np.ones(3))).backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(X))


def test_asking_about_a_tensor() -> None:
    x = leaf()
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    assert np.allclose(x, X) and np.array_equal(x, X) and not np.array_equal(x, X + 1)


def test_asarray() -> None:
    x = leaf().detach()
    array = np.asarray(x)
    assert type(array) is np.ndarray and array.dtype == np.float64
    np.testing.assert_array_equal(array, X)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.array([mg.tensor(1.0), mg.tensor(2.0)]), [1.0, 2.0])


NO_RULE: dict[str, Any] = {
    "np.arctan": lambda x: np.arctan(x),
    "np.hypot": lambda x: np.hypot(x, x),
    "np.sort": lambda x: np.sort(x),
    "np.diff": lambda x: np.diff(x),
    "np.linalg.inv": lambda x: np.linalg.inv(x),
    "np.kron": lambda x: np.kron(x, x),
    "np.add.accumulate": lambda x: np.add.accumulate(x),
    "np.multiply.outer": lambda x: np.multiply.outer(x, x),
    "np.percentile": lambda x: np.percentile(x, 5),
    "np.cumprod": lambda x: np.cumprod(x),
    "np.interp": lambda x: np.interp(x, [0, 1], [0, 1]),
    "np.meshgrid": lambda x: np.meshgrid(x[0], x[1]),
}


@pytest.mark.parametrize("what", NO_RULE)
def test_a_function_without_a_rule_says_so(what: str) -> None:
    """By name, with what to do: never the gradient dropped in silence."""
    with pytest.raises(TypeError, match=rf"{what.rsplit('.', 1)[-1]}.*no rule.*detach\(\)"):
        NO_RULE[what](leaf())


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.exp(x, out=np.empty((2, 3))),
        lambda x: np.add(x, 1.0, out=np.empty((2, 3))),
        lambda x: np.sum(x, out=np.empty(())),
        lambda x: np.exp(x, where=M),
        lambda x: np.sum(x, where=M),
        lambda x: np.add(x, x, dtype=np.float32),
        lambda x: np.exp(X, out=x),
    ],
)
def test_options_without_a_rule_are_refused(call: Any) -> None:
    x = leaf()
    with pytest.raises(TypeError, match=r"np\.\w+.*(out|where|dtype)"):
        call(x)
    np.testing.assert_array_equal(x.detach().numpy(), X)


def test_sums_with_a_start_are_refused() -> None:
    with pytest.raises(TypeError, match="initial"):
        np.sum(leaf(), initial=5.0)
    with pytest.raises(TypeError, match="initial"):
        np.maximum.reduce(leaf(), initial=5.0)
