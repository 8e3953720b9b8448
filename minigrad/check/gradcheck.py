"""Gradients against finite differences: gradcheck, and gradgradcheck for the second derivatives."""

from __future__ import annotations

import warnings
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
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of func(*inputs) agree with central differences, for every element of every output.

    inputs: Tensors that require grad are checked, others are passed on. They should be float64: others are warned of,
    as differences of float32 values are mostly rounding. An element agrees when |analytical - numerical| <= atol +
    rtol * |numerical|. nondet_tol: how far two runs of backward may be from each other. check_undefined_grad: an output
    whose gradient is zero must work and add nothing. check_grad_dtypes: a gradient has its input's dtype. fast_mode:
    one random projection of each Jacobian instead of all of it, and all of it only to say what is wrong.
    Forward mode, batched gradients (check_forward_ad, check_batched_grad, check_batched_forward_grad) and sparse
    Tensors (masked) are not here and raise NotImplementedError.
    Raises GradcheckError where an element does not agree (or returns False with raise_exception=False), ValueError if
    no input requires grad, RuntimeError for one whose elements share memory, as after expand().
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
    """
    _refuse(
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
        masked=masked,
    )
    if not check_backward_ad:
        raise ValueError("gradcheck: check_backward_ad=False leaves nothing to check, there is no forward mode here")
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    checked = _checked(inputs)
    try:
        outs = _outputs(func, inputs)
        for o, out in enumerate(outs):
            if not out.requires_grad:
                continue
            jacobians = _jacobians_fast if fast_mode else _jacobians
            jacobians(func, inputs, checked, o, out, eps, atol, rtol, nondet_tol, check_grad_dtypes)
        if any(out.requires_grad for out in outs):
            _zeros_give_zeros(func, inputs, checked, check_undefined_grad)
        else:
            _constant(func, inputs, checked, outs, eps)
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
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """As gradcheck, for the second derivatives: the gradient computed with create_graph, checked as a function itself.

    grad_outputs: the upstream gradients to use, one for each output that requires grad; random ones in [-1, 1) (seed 0)
    if not given, with gaps in memory where gen_non_contig_grad_outputs. Where they require grad they are checked too.
    The message's inputs are those of func, then these; its outputs are the gradients of those that func depends on.
    Forward over reverse (check_fwd_over_rev) is not here and raises NotImplementedError. Other arguments and errors as
    in gradcheck.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradgradcheck.html
    """
    _refuse(check_fwd_over_rev=check_fwd_over_rev)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        upstream = []
        for out in _differentiable(func, inputs):
            values = rng.uniform(-1, 1, out.shape).astype(out.dtype)
            if gen_non_contig_grad_outputs and values.ndim:
                values = np.repeat(values, 2, axis=-1)[..., ::2]
            upstream.append(wrap(np.asarray(values)).requires_grad_())
    else:
        upstream = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def first_derivative(*args: Any) -> tuple[Tensor, ...]:
        xs, douts = args[: len(inputs)], args[len(inputs) :]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        found = grad(_differentiable(func, xs), wanted, list(douts), create_graph=True, allow_unused=True)
        return tuple([g for g in found if g is not None])

    return gradcheck(
        first_derivative,
        (*inputs, *upstream),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _refuse(**asked: bool | None) -> None:
    """An error for what torch has and minigrad has not."""
    for name, value in asked.items():
        if value:
            what = "sparse Tensors" if name == "masked" else "batched gradients" if "batch" in name else "forward mode"
            raise NotImplementedError(f"gradcheck: {name}={value} needs {what}, which minigrad has not: leave it out")


def _checked(inputs: Sequence[Any]) -> list[tuple[int, Tensor]]:
    """The inputs that require grad, with their positions."""
    checked = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck: none of the inputs requires grad, there is nothing to check")
    for i, x in checked:
        if x.dtype != np.float64:
            warnings.warn(
                f"gradcheck: input {i} is {x.dtype}, finite differences need float64 and will likely fail: "
                "use .double() on it",
                UserWarning,
                stacklevel=3,
            )
        strides = zip(x._shared().strides, x.shape, strict=True)
        if x.numel() and any(stride == 0 and n > 1 for stride, n in strides):
            raise RuntimeError(
                f"gradcheck: elements of input {i} share memory (it was expanded), so that one cannot be "
                "changed alone: use .clone() on it"
            )
    return checked


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The function's float outputs, as a list."""
    out = func(*inputs)
    outs = [out] if isinstance(out, Tensor) else list(out)
    return [o for o in outs if isinstance(o, Tensor) and o.dtype.kind == "f"]


def _differentiable(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """Those outputs that require grad."""
    return [out for out in _outputs(func, inputs) if out.requires_grad]


def _jacobians(
    func: Any, inputs: Any, checked: Any, o: int, out: Tensor, eps: float, atol: float, rtol: float, nondet: float,
    dtypes: bool,
) -> None:  # fmt: skip
    """The whole Jacobian of one output for each input, both ways; compared."""
    xs = [x for _, x in checked]
    seeds = np.eye(out.numel()).reshape(out.numel(), *out.shape)
    found = [[_backward(out, xs, seed, dtypes) for seed in seeds] for _ in range(2)]
    for k, (i, x) in enumerate(checked):
        once, twice = (
            np.array([row[k] for row in rows], dtype=np.float64).reshape(out.numel(), x.numel()) for rows in found
        )
        _repeats(i, o, once, twice, nondet)
        _compare(i, x, o, out, once, _numerical(func, inputs, x, o, eps), atol, rtol)


def _jacobians_fast(
    func: Any, inputs: Any, checked: Any, o: int, out: Tensor, eps: float, atol: float, rtol: float, nondet: float,
    dtypes: bool,
) -> None:  # fmt: skip
    """One projection of each Jacobian J by vectors of positive numbers, v @ J @ u, both ways."""
    rng = np.random.default_rng(0)
    v = _direction(rng, out.shape)
    once, twice = (_backward(out, [x for _, x in checked], v, dtypes) for _ in range(2))
    for (i, x), first, second in zip(checked, once, twice, strict=True):
        _repeats(i, o, first, second, nondet)
        u, values = _direction(rng, x.shape), x._shared()
        before, seen = values.copy(), []
        try:
            for step in (eps, -eps):
                values[...] = before + step * u
                seen.append(np.array(_outputs(func, inputs)[o].array, dtype=np.float64))
        finally:
            values[...] = before
        numerical = float((v * (seen[0] - seen[1])).sum() / (2 * eps))
        analytical = float((first * u).sum())
        if not np.isclose(analytical, numerical, rtol, atol * u.sum() * v.sum(), equal_nan=True):
            _jacobians(func, inputs, [(i, x)], o, out, eps, atol, rtol, nondet, dtypes)
            raise GradcheckError(
                f"gradcheck: output {o} with respect to input {i}, in a random direction: analytical "
                f"{analytical:.10g}, numerical {numerical:.10g}; each derivative alone is within the tolerance"
            )


def _direction(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A random vector of positive numbers and length 1."""
    u = rng.uniform(0.1, 1, shape)
    return np.asarray(u / max(float(np.sqrt((u * u).sum())), 1e-300))


def _backward(out: Tensor, xs: list[Tensor], seed: np.ndarray, dtypes: bool) -> list[np.ndarray]:
    """The gradients of one output for a gradient from above, zeros where it does not depend on an input."""
    dout = wrap(np.asarray(seed, dtype=out.dtype))
    found = grad(out, xs, dout, retain_graph=True, materialize_grads=True)
    for x, g in zip(xs, found, strict=True):
        if dtypes and g is not None and g.dtype != x.dtype:
            raise GradcheckError(f"gradcheck: a gradient is {g.dtype}, its input {x.dtype}")
    return [np.asarray(g) for g in found]


def _repeats(i: int, o: int, once: np.ndarray, twice: np.ndarray, nondet: float) -> None:
    """Two runs of backward gave the same."""
    if not np.allclose(once, twice, rtol=0, atol=nondet, equal_nan=True):
        raise GradcheckError(
            f"gradcheck: backward of output {o} is not reentrant: run twice it gives two gradients for input {i}, "
            f"which differ by {np.nanmax(abs(once - twice)):.3g} (nondet_tol={nondet:g})"
        )


def _zeros_give_zeros(func: Any, inputs: Any, checked: Any, one_at_a_time: bool) -> None:
    """Where the gradients from above are zero those of the inputs are: all of them, and with one output left out."""
    xs = [x for _, x in checked]
    count = len(_differentiable(func, inputs))
    for left_out in [None, *(range(count) if one_at_a_time and count > 1 else ())]:
        outs = [out for o, out in enumerate(_differentiable(func, inputs)) if o != left_out]
        above = [wrap(np.zeros(out.shape, out.dtype)) for out in outs]
        for (i, _), g in zip(checked, grad(outs, xs, above, allow_unused=True), strict=True):
            if g is not None and np.asarray(g).any():
                raise GradcheckError(
                    f"gradcheck: input {i} has a gradient that is not zero where those of all outputs are zero: "
                    "backward is not multiplied by the gradient from above"
                )


def _constant(func: Any, inputs: Any, checked: Any, outs: list[Tensor], eps: float) -> None:
    """No output requires grad: then none may change with an input."""
    for o in range(len(outs)):
        for i, x in checked:
            if _numerical(func, inputs, x, o, eps).any():
                raise GradcheckError(
                    f"gradcheck: output {o} does not require grad, but changes with input {i}: its graph was cut off"
                )


def _numerical(func: Callable[..., Any], inputs: Sequence[Any], x: Tensor, o: int, eps: float) -> np.ndarray:
    """The Jacobian of output o for x by central differences, (output elements, input elements)."""
    columns = []
    values = x._shared().reshape(-1) if x._shared().flags.c_contiguous else x._shared().flat
    for i in range(x.numel()):
        before, seen = values[i], []
        try:
            for step in (eps, -eps):
                values[i] = before + step
                # Not under no_grad: the function may differentiate in itself, as gradgradcheck's does.
                seen.append(np.array(_outputs(func, inputs)[o].array, dtype=np.float64).reshape(-1))
        finally:
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
        f"gradcheck: output {o}{list(of)} with respect to input {i}{list(at)} (shape {tuple(x.shape)}): analytical "
        f"{analytical[row, column]:.10g}, numerical {numerical[row, column]:.10g}; {int(wrong.sum())} of {wrong.size} "
        f"derivatives disagree"
    )
