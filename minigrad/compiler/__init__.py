"""minigrad.compile: a training step captured once and replayed, bit for bit as it is written."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any


class CaptureError(RuntimeError):
    """A step that was to be captured whole (fullgraph=True) cannot be: the message says why, and at which line."""


class _Compile:
    """compile(step): the step, captured when it runs and replayed from then on, with the same results bit for bit.

        @mg.compile
        def step(Xb, Yb):
            loss = F.cross_entropy(model(Xb), Yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

    The first call runs eagerly and is watched; the next ones with arguments of these shapes replay one flat list of
    numpy calls, in memory laid out before: no Tensor, no graph, no rule is made or looked up. Parameters, `.grad`,
    statistics and the optimizer's state change in place as in the step itself; what it returns is new each time.

    Whatever the step hangs on is looked at before each replay: shapes, dtypes and strides of arrays and Tensors
    given, Python numbers and flags it can reach (train or eval, requires_grad, settings), which Tensor is where, the
    recording mode. If something differs, the step runs eagerly and is captured anew, up to 8 times. The learning rate
    is read in each replay. A step that cannot be replayed (one that draws random numbers, prints, takes a value out
    with .item(), picks with a mask, changes Python state) runs eagerly each time: see compile.explain(step).

    fullgraph: an error, CaptureError, in place of running eagerly, when the first call (or a later one) shows that the
    step cannot be captured. backend: "numpy", or "numba" (the extra `jit`), which fuses the calls into compiled loops;
    its float32 results differ in the last bits, so that it is never chosen by itself.

    With numpy 1.26 every step runs eagerly.

    A compiled step is called by one thread at a time, the others wait. While it is captured, other threads may
    compute with the same Tensors. On a method, each object has a captured step of its own.
    TypeError for what cannot be called, ValueError for an unknown backend.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.compile.html
    """

    CaptureError = CaptureError

    def __call__(
        self, function: Callable[..., Any] | None = None, *, fullgraph: bool = False, backend: str = "numpy"
    ) -> Any:
        from .compiled import NEEDS, Compiled

        if fullgraph and NEEDS:
            raise CaptureError(f"nothing can be captured: {NEEDS}")
        if backend not in ("numpy", "numba"):
            raise ValueError(f"backend is {backend!r}, but it must be 'numpy' or 'numba'")
        if backend == "numba" and find_spec("numba") is None:
            raise ModuleNotFoundError("backend='numba' needs numba: pip install 'minigrad[jit]'", name="numba")
        if function is None:
            return lambda function: self(function, fullgraph=fullgraph, backend=backend)
        if not callable(function):
            raise TypeError(f"compile takes a function, got {type(function).__name__} {function!r}")
        return Compiled(function, fullgraph, backend)

    def explain(self, step: Any) -> Any:
        """What became of a compiled step: an Explanation, whose text says why it was not captured or what was fused.

        TypeError for what compile() did not return.
        """
        from .compiled import Compiled
        from .explain import Explanation

        if not isinstance(step, Compiled):
            raise TypeError(f"explain takes what minigrad.compile() returned, got {type(step).__name__}")
        return Explanation(step)

    def __repr__(self) -> str:
        return "<minigrad.compile>"


compile = _Compile()
