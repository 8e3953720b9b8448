"""Gradients against finite differences: gradcheck, and gradgradcheck for the second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import grad
from ..tensor import Tensor, wrap


class GradcheckError(RuntimeError):
    """A gradient that does not agree with finite differences; the message names input, element and both values."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of func(*inputs) agree with central differences, for every element of every float output.

    inputs: float64 Tensors that require grad are checked, others are passed on. An element agrees when
    |analytical - numerical| <= atol + rtol * |numerical|. Raises GradcheckError where one does not (or returns False
    with raise_exception=False), ValueError if there is nothing to check or an input is not float64.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck: none of the inputs requires grad, there is nothing to check")
    for i, x in checked:
        if x.dtype != np.float64:
            raise ValueError(f"gradcheck: input {i} is {x.dtype}, finite differences need float64: use .double() on it")
    try:
        for o, out in enumerate(_outputs(func, inputs)):
            for (i, x), analytical in zip(checked, _analytical(out, [x for _, x in checked]), strict=True):
                numerical = _numerical(func, inputs, x, o, eps)
                _compare(i, x, o, out, analytical, numerical, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """As gradcheck, for the second derivatives: the gradient computed with create_graph, checked as a function itself.

    grad_outputs: the upstream gradients to use; random ones (seed 0) if not given.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradgradcheck.html
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        draw = np.random.default_rng(0).standard_normal
        upstream = [Tensor(draw(out.shape), requires_grad=True) for out in _outputs(func, inputs)]
    else:
        upstream = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def first_derivative(*args: Any) -> tuple[Tensor, ...]:
        xs, douts = args[: len(inputs)], args[len(inputs) :]
        outs = _outputs(func, xs)
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        found = grad(outs, wanted, list(douts), create_graph=True, allow_unused=True)
        return tuple([g for g in found if g is not None and g.requires_grad])

    every = (*inputs, *upstream)
    return gradcheck(first_derivative, every, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The function's float outputs, as a list."""
    out = func(*inputs)
    outs = [out] if isinstance(out, Tensor) else list(out)
    return [o for o in outs if isinstance(o, Tensor) and o.dtype.kind == "f"]


def _analytical(out: Tensor, inputs: list[Tensor]) -> list[np.ndarray]:
    """The whole Jacobian for each input, (output elements, input elements), a row a backward."""
    rows: list[list[np.ndarray]] = [[] for _ in inputs]
    for j in range(out.numel() if out.requires_grad else 0):
        seed = np.zeros(out.numel())
        seed[j] = 1
        found = grad(out, inputs, wrap(seed.reshape(out.shape)), retain_graph=True, materialize_grads=True)
        for row, g in zip(rows, found, strict=True):
            row.append(np.asarray(g).reshape(-1))
    return [
        np.array(row).reshape(len(row), x.numel()) if row else np.zeros((out.numel(), x.numel()))
        for row, x in zip(rows, inputs, strict=True)
    ]


def _numerical(func: Callable[..., Any], inputs: Sequence[Any], x: Tensor, o: int, eps: float) -> np.ndarray:
    """The Jacobian of output o for x by central differences, (output elements, input elements)."""
    columns = []
    values = x._shared().reshape(-1) if x._shared().flags.c_contiguous else x._shared().flat
    for i in range(x.numel()):
        before, seen = float(values[i]), []
        for step in (eps, -eps):
            values[i] = before + step
            # Not under no_grad: the function may differentiate in itself, as gradgradcheck's does.
            seen.append(np.array(_outputs(func, inputs)[o].array, dtype=np.float64).reshape(-1))
            values[i] = before
        columns.append((seen[0] - seen[1]) / (2 * eps))
    size = _outputs(func, inputs)[o].numel()
    return np.array(columns).reshape(x.numel(), size).T


def _compare(
    i: int, x: Tensor, o: int, out: Tensor, analytical: np.ndarray, numerical: np.ndarray, atol: float, rtol: float
) -> None:
    wrong = ~np.isclose(analytical, numerical, rtol, atol, equal_nan=True)
    if not wrong.any():
        return
    row, column = np.unravel_index(np.argmax(np.where(wrong, abs(analytical - numerical), -1)), wrong.shape)
    at = tuple(int(k) for k in np.unravel_index(column, x.shape))
    of = tuple(int(k) for k in np.unravel_index(row, out.shape))
    raise GradcheckError(
        f"gradcheck: output {o}{list(of)} with respect to input {i}{list(at)} (shape {x.shape}): analytical "
        f"{analytical[row, column]:.10g}, numerical {numerical[row, column]:.10g}; {int(wrong.sum())} of {wrong.size} "
        f"derivatives disagree"
    )
