"""Matrix products: matmul, dot, outer, einsum. Each is a Tensor method too, but for einsum."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..record import apply
from ..tensor import Tensor
from .elementwise import as_tensor
from .reduce import one_dim
from .shape import permute


def matmul(input: Any, other: Any) -> Tensor:
    """C = A @ B: (..., n, k) @ (..., k, m) -> (..., n, m), 1-d Tensors as a row or a column. Source: torch.matmul.

    RuntimeError with both shapes where they do not fit, and for 0-d Tensors.
    """
    A, B = as_tensor(input, "matmul"), as_tensor(other, "matmul")
    if not A.array.ndim or not B.array.ndim:
        for x in (input, other):
            if isinstance(x, (int, float)):
                raise TypeError(f"matmul takes two Tensors, got the number {x!r}: use *")
        raise RuntimeError(
            f"matmul of shapes {A.array.shape} and {B.array.shape}: a 0-d Tensor has no product of this kind, use *"
        )
    if A.array.shape[-1] != B.array.shape[-2 if B.array.ndim > 1 else 0]:
        raise RuntimeError(
            f"matmul: shapes {A.array.shape} and {B.array.shape} do not go together: {A.shape[-1]} columns of the "
            "first meet "
            f"{B.shape[-2 if B.ndim > 1 else 0]} rows of the second"
        )
    if A.array.dtype is not B.array.dtype:
        raise RuntimeError(f"matmul of dtypes {A.dtype} and {B.dtype}: bring both to one with .to(dtype)")
    return apply(ops.MatMul, A, B)


def _of_dims(A: Any, B: Any, dims: tuple[int, int], name: str) -> Tensor:
    A, B = as_tensor(A, name), as_tensor(B, name)
    if (A.ndim, B.ndim) != dims:
        raise RuntimeError(
            f"{name} needs Tensors of {dims[0]} and {dims[1]} dimensions, got shapes {A.array.shape} and "
            f"{B.array.shape}"
        )
    return matmul(A, B)


def mm(input: Any, mat2: Any) -> Tensor:
    """C = A @ B of two matrices. Source: torch.mm."""
    return _of_dims(input, mat2, (2, 2), "mm")


def mv(input: Any, vec: Any) -> Tensor:
    """y = A @ x of a matrix and a vector. Source: torch.mv."""
    return _of_dims(input, vec, (2, 1), "mv")


def bmm(input: Any, mat2: Any) -> Tensor:
    """C[i] = A[i] @ B[i] of two batches of matrices, as many in each. Source: torch.bmm."""
    if len(as_tensor(input, "bmm").shape) == len(as_tensor(mat2, "bmm").shape) == 3 and len(input) != len(mat2):
        raise RuntimeError(f"bmm of shapes {tuple(input.shape)} and {tuple(mat2.shape)}: as many matrices in each")
    return _of_dims(input, mat2, (3, 3), "bmm")


def dot(input: Any, tensor: Any) -> Tensor:
    """y = sum(x * z) of two vectors. Source: torch.dot."""
    return _of_dims(input, tensor, (1, 1), "dot")


def outer(input: Any, vec2: Any) -> Tensor:
    """Y[i, j] = x[i] * z[j] of two vectors. Source: torch.outer."""
    x, z = as_tensor(input, "outer"), as_tensor(vec2, "outer")
    if x.ndim != 1 or z.ndim != 1:
        raise RuntimeError(f"outer needs two vectors, got shapes {x.array.shape} and {z.array.shape}")
    return x[:, None] * z


def tensordot(a: Any, b: Any, dims: Any = 2) -> Tensor:
    """C = the sum of products over pairs of dimensions: dims=n the last n of a and the first n of b, or two lists.

    RuntimeError for dims that do not pair up. Source: torch.tensordot.
    """
    A, B = as_tensor(a, "tensordot"), as_tensor(b, "tensordot")
    dims = dims.tolist() if isinstance(dims, Tensor) else dims
    if hasattr(dims, "__index__"):
        n = dims.__index__()
        if not 0 <= n <= min(A.ndim, B.ndim):
            raise RuntimeError(f"tensordot of {A.array.shape} and {B.array.shape}: dims={n} is more than they have")
        dims = (range(A.ndim - n, A.ndim), range(n))
    ours, theirs = ([one_dim(d, x.ndim) for d in some] for some, x in zip(dims, (A, B), strict=True))
    if len(ours) != len(theirs) or [A.shape[d] for d in ours] != [B.shape[d] for d in theirs]:
        raise RuntimeError(
            f"tensordot of {A.array.shape} and {B.array.shape}: dims {ours} and {theirs} do not pair up, their sizes "
            "must be equal"
        )
    left = [d for d in range(A.ndim) if d not in ours]
    right = [d for d in range(B.ndim) if d not in theirs]
    shape = [A.shape[d] for d in left] + [B.shape[d] for d in right]
    inner = math.prod([A.shape[d] for d in ours])
    rows = permute(A, left + ours).reshape(math.prod(shape[: len(left)]), inner)
    columns = permute(B, theirs + right).reshape(inner, math.prod(shape[len(left) :]))
    return matmul(rows, columns).reshape(shape)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation: einsum("ij,jk->ik", A, B) is A @ B. Source: torch.einsum.

    Implicit output (letters that stand once, in order), ellipsis and repeated letters (diagonals) as in numpy.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    xs = [as_tensor(x, "einsum") for x in operands]
    if len({x.dtype for x in xs}) > 1:
        raise RuntimeError(f"einsum of {' and '.join(str(x.dtype) for x in xs)}: bring all to one with .to(dtype)")
    explicit, sizes = _explicit(equation, xs)
    for i, term in enumerate(explicit.partition("->")[0].split(",")):
        shape = tuple([sizes[letter] for letter in term])
        xs[i] = xs[i] if xs[i].shape == shape else xs[i].expand(shape)
    return apply(ops.Einsum, *xs, equation=explicit)


def _explicit(equation: str, xs: list[Tensor]) -> tuple[str, dict[str, int]]:
    """The equation with its output written out and letters for the ellipsis, and each letter's size.

    RuntimeError if it is wrong.
    """
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not set(left + out) <= set(ops.LETTERS + ",."):
        raise RuntimeError(f"einsum {equation!r}: subscripts are letters and ..., separated by commas")
    if len(terms) != len(xs):
        raise RuntimeError(f"einsum {equation!r} names {len(terms)} operands, got {len(xs)}")
    spare = [c for c in ops.LETTERS if c not in equation]
    most = 0
    for i, (term, x) in enumerate(zip(terms, xs, strict=True)):
        named = len(term.replace("...", ""))
        extra = x.ndim - named
        if extra < 0 or (extra and "..." not in term):
            raise RuntimeError(
                f"einsum {equation!r}: operand {i} of shape {x.array.shape} has {x.ndim} dimensions, {term!r} names "
                f"{named}"
            )
        most = max(most, extra)
        terms[i] = term.replace("...", "".join(spare[-extra:]) if extra else "")
    ellipsis = "".join(spare[-most:]) if most else ""
    if arrow:
        out = out.replace("...", ellipsis)
    else:
        letters = "".join(terms)
        out = ellipsis + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in ellipsis))
    sizes: dict[str, int] = {}
    for i, (term, x) in enumerate(zip(terms, xs, strict=True)):
        own: dict[str, int] = {}
        for letter, n in zip(term, x.shape, strict=True):
            if own.setdefault(letter, n) != n:
                raise RuntimeError(f"einsum {equation!r}: {letter!r} has sizes {own[letter]} and {n} in operand {i}")
            if sizes.get(letter, 1) == 1:
                sizes[letter] = n
            elif n not in (1, sizes[letter]):
                raise RuntimeError(f"einsum {equation!r}: {letter!r} has size {sizes[letter]} and, in operand {i}, {n}")
    if set(out) - set(sizes) or len(set(out)) < len(out):
        raise RuntimeError(f"einsum {equation!r}: each output letter must stand once, and in an operand")
    return ",".join(terms) + "->" + out, sizes
