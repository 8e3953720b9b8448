"""The ONNX graph while it is built: nodes, constants, and names for both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .dynamic import Dim
from .traced import Step, Value


class Graph:
    """`graph.op("Add", a, b)` adds a node and returns its output's name; a number or array becomes a constant."""

    def __init__(self, first: Value | None) -> None:
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper = helper, numpy_helper
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.names: dict[int, str] = {}  # of the Values
        self.used: set[str] = set()
        self.constants: dict[Any, str] = {}
        self.first = first  # the input that the batch is read off
        self.batch: str | None = None

    # ------------------------------------------------------------------------------------------- nodes

    def op(self, kind: str, *inputs: Any, name: str | None = None, **attributes: Any) -> str:
        """Add a node; None for an input that is left out. Returns the output's name."""
        names = ["" if x is None else x if isinstance(x, str) else self.constant(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        output = self.unique(name or kind.lower())
        self.nodes.append(self.helper.make_node(kind, names, [output], name=output, **attributes))
        return output

    def unique(self, wish: str) -> str:
        wish = re.sub(r"[^\w.]+", "_", wish) or "value"
        name, number = wish, 1
        while name in self.used:
            number += 1
            name = f"{wish}_{number}"
        self.used.add(name)
        return name

    # ---------------------------------------------------------------------------------- values and numbers

    def constant(self, x: Any, name: str | None = None) -> str:
        """The name of these numbers among the initializers; the same numbers are there once."""
        array = np.asarray(x)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants or (name is not None and self.constants[key] != name):
            self.constants[key] = self.unique(name or "constant")
            self.initializers.append(
                self.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), self.constants[key])
            )
        return self.constants[key]

    def ints(self, *numbers: int) -> str:
        """A 1-d int64 constant, as axes and shapes are given."""
        return self.constant(np.array(numbers, np.int64))

    def value(self, value: Value) -> str:
        """The name of a traced value; a constant enters the graph where it is first asked for."""
        if id(value) not in self.names:
            self.names[id(value)] = self._made(value)
        return self.names[id(value)]

    def _made(self, value: Value) -> str:
        assert value.array is not None
        if value.kind == "range":
            found = self.op(
                "Range", np.int64(0), self.size(next(d for d in value.dims if isinstance(d, Dim))), np.int64(1)
            )
            found = found if value.dtype == np.int64 else self.cast(found, value.dtype)
            return found if len(value.dims) == 1 else self.op("Reshape", found, self.shape(value.dims, reshape=True))
        found = self.constant(value.array, value.name)
        return self.op("Expand", found, self.shape(value.dims)) if value.kind == "repeated" else found

    def inputs(self, step: Step) -> list[Any]:
        """The names of a step's inputs, each in the dtype that the op's rule got it in; None for one that is None."""
        known = [dtype for dtype in step.dtypes if dtype is not None]
        return [
            None if x is None else self.operand(x, dtype or (known[0] if known else step.output.dtype))
            for x, dtype in zip(step.inputs, step.dtypes, strict=True)
        ]

    def operand(self, x: Any, dtype: np.dtype[Any]) -> str:
        """A Value or a number in this dtype."""
        if not isinstance(x, Value):
            return self.constant(np.asarray(x, dtype))
        return self.value(x) if x.dtype == dtype else self.cast(self.value(x), dtype)

    def cast(self, name: str, dtype: Any) -> str:
        return self.op("Cast", name, to=self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    # ------------------------------------------------------------------------------------------- sizes

    def size(self, n: Any) -> str:
        """A size as an int64 scalar; one that follows the batch is worked out from the first input."""
        if not isinstance(n, Dim):
            return self.constant(np.int64(n))
        if self.batch is None:
            assert self.first is not None
            sizes = self.op("Shape", self.value(self.first), start=0, end=1)
            self.batch = self.op("Squeeze", sizes, self.ints(0), name="batch_size")
        found = self.batch
        if n.times != 1:
            found = self.op("Mul", found, np.int64(n.times))
        return self.op("Add", found, np.int64(n.plus)) if n.plus else found

    def shape(self, dims: Sequence[Any], reshape: bool = False) -> str:
        """A shape as 1-d int64. reshape: for Reshape, where one size may be left to it."""
        following = [n for n in dims if isinstance(n, Dim)]
        if not following:
            return self.ints(*dims)
        if reshape and len(following) == 1 and 0 not in dims:
            return self.ints(*[-1 if isinstance(n, Dim) else n for n in dims])
        return self.op("Concat", *[self.op("Unsqueeze", self.size(n), self.ints(0)) for n in dims], axis=0)
