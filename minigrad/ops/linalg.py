"""Matrix products: sums of products over a shared index."""

import math

import numpy as np

from .op import Op
from .shape import in_order


class MatMul(Op):
    """C = A @ B,  dA = dC @ B.T,  dB = A.T @ dC

    Shapes (..., n, k) @ (..., k, m) -> (..., n, m); leading dimensions broadcast. A 1-d A is a row (1, k) and a 1-d B
    a column (k, 1) whose extra dimension is dropped from C.
    """

    symbol, promote = "@", "numbers"

    def forward(A, B):
        if A.ndim > B.ndim == 2:  # one large product in place of many small ones
            return (rows(A) @ B).reshape(*A.shape[:-1], B.shape[1])
        return A @ B

    def dA(dC, A_shape, B):
        if B.ndim == 1:
            return dC[..., None] * B
        if len(A_shape) == 1:
            return (B @ dC[..., None])[..., 0]
        return dC @ B.swapaxes(-1, -2)

    def dB(dC, A, B_shape):
        if A.ndim == 1:
            return A * dC if len(B_shape) == 1 else A[:, None] * dC[..., None, :]
        if len(B_shape) == 1:
            return (A.swapaxes(-1, -2) @ dC[..., None])[..., 0]
        if A.ndim > len(B_shape) == 2:
            return rows(A).swapaxes(0, 1) @ rows(dC)
        return A.swapaxes(-1, -2) @ dC


class Linear(Op):
    """y = x @ W.T + b,  dx = dy @ W,  dW = dy.T @ x,  db = dy summed over the rows

    Shapes (..., in), (out, in), (out,) -> (..., out). b may be None.
    """

    def forward(x, W, b):
        y = MatMul.forward(x, W.T)
        if b is not None:
            y += b
        return y

    def dx(dy, W):
        return dy @ W

    def dW(dy, x):
        return rows(dy).swapaxes(0, 1) @ rows(x)

    def db(dy):
        return dy  # the engine sums it, as for every op that broadcasts


def rows(x):
    """x as a matrix of all its rows; of none there may be nothing else to count them by."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


class Einsum(Op):
    """y = einsum(equation, *xs),  dx_i = einsum of dy and the other xs, onto the subscripts of x_i

    A subscript that stands in x_i alone was summed: its gradient is repeated along it. One that stands twice in x_i
    took a diagonal: its gradient is put back there. The equation is explicit and without an ellipsis here.
    """

    promote = "types"

    def forward(*xs, equation):
        with np.errstate(all="ignore"):  # numpy multiplies in a module of its own, where nan would warn
            return np.einsum(equation, *xs) if len(xs) == 1 else in_order(np.einsum(equation, *xs, optimize=True))

    def backward(dy, xs, equation):
        left, out = equation.split("->")
        terms = left.split(",")
        spare = iter(c for c in LETTERS if c not in equation)
        gradients = []
        for i, (term, x) in enumerate(zip(terms, xs, strict=True)):
            factors = [dy, *(other for j, other in enumerate(xs) if j != i)]
            names = [out, *(other for j, other in enumerate(terms) if j != i)]
            onto, given = "", set("".join(names))
            for letter, n in zip(term, x.shape, strict=True):
                fresh = letter if letter not in onto else next(spare)
                onto += fresh
                if fresh != letter:
                    factors.append(np.eye(n, dtype=dy.dtype))
                    names.append(letter + fresh)
                elif letter not in given:
                    factors.append(np.ones(n, dtype=dy.dtype))
                    names.append(letter)
                    given.add(letter)
            gradients.append(Einsum.apply(*factors, equation=",".join(names) + "->" + onto))
        return gradients


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
