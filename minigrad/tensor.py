"""Tensor: an ndarray, its gradient, the node that made it; and View, that two share memory.

How an op runs on Tensors is in record.py, what they can do in methods.py.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable
from functools import lru_cache
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from .convert import as_array, to_array, with_own_dtype
from .dtypes import get_default_dtype
from .graph import Engine, Extra, Handle, Node
from .modes import _recording
from .printing import format_tensor
from .size import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .vocabulary import Vocabulary
else:
    Vocabulary = object  # operators and methods come from methods.py

_new = object.__new__


class Tensor(Vocabulary):
    """An n-d array (0-d for a number) that records what is done with it when `requires_grad` is set.

    Tensor(data, dtype=None, requires_grad=False, name=None): data is a number, nested lists, an array or a Tensor, and
    is copied. Python floats become float32, ints int64; arrays keep their dtype. Raises TypeError for data that is
    not numbers or bools, ValueError for ragged lists, RuntimeError if integers shall require grad.
    `array` is the numpy array itself (for a 0-d Tensor a numpy scalar, until its memory is shared: numpy(), detach()).
    """

    __slots__ = ("__weakref__", "_extra", "_grad", "_node", "_requires_grad", "_view", "_watch", "array")
    __hash__ = object.__hash__

    array: Any
    _grad: Tensor | None
    _node: Node | None
    _requires_grad: bool
    _view: View | None
    _watch: bytearray | None
    _extra: Extra | None

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False, name: str | None = None) -> None:
        if type(data) is float and dtype is None:  # at once: a scalar graph's leaves are made of these
            self.array = get_default_dtype().type(data)
        else:
            array = to_array(data, dtype)
            self.array = array if array.ndim else array[()]  # numpy's scalars are several times as fast as 0-d arrays
        self._grad = self._node = self._view = self._watch = self._extra = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True
        if name is not None:
            self.name = name

    # ------------------------------------------------------------------------------- what it is

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this Tensor; gradients accumulate in leaves that require grad."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The node of the op that made this Tensor, None for a leaf."""
        if self._view is not None:
            self._view.refresh(self)
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether ops on this Tensor are recorded; can be set on a leaf of float dtype."""
        if self._view is not None:
            self._view.refresh(self)
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not value and self._node is not None:
            raise RuntimeError(
                "requires_grad can be switched off on a leaf only; use detach() for a value without graph"
            )
        if value and self.array.dtype.kind != "f":
            raise RuntimeError(
                f"only float Tensors can require grad, this one is {self.dtype}: use .float() or floats (1. not 1)"
            )
        self._requires_grad = bool(value)

    @property
    def name(self) -> str | None:
        """A name for pictures and messages."""
        extra = self._node.extra if self._node is not None else self._extra
        return extra.name if extra else None

    @name.setter
    def name(self, name: str | None) -> None:
        extra = self._more()
        extra.name = name
        extra.tensor = weakref.ref(self)

    def _more(self) -> Extra:
        """The rarely used part: the node's, or a leaf's own."""
        if self._node is not None:
            return self._node.more()
        if self._extra is None:
            self._extra = Extra()
        return self._extra

    # -------------------------------------------------------------------------------- gradients

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward() accumulated here: leaves, and others after retain_grad(); else None."""
        if self._grad is None and self._node is not None and not self.retains_grad:
            warnings.warn(
                "the .grad of a Tensor that is not a leaf is not kept by backward(); call .retain_grad() on it before",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is not None:
            want = f".grad is None or a Tensor of shape {self.array.shape} and {self.dtype}, got"
            if not isinstance(grad, Tensor):
                raise TypeError(f"{want} {type(grad).__name__} {grad!r}")
            if grad.shape != self.shape or grad.dtype != self.dtype:
                raise RuntimeError(f"{want} shape {grad.array.shape} and {grad.dtype}")
        self._grad = grad

    @property
    def retains_grad(self) -> bool:
        """Whether retain_grad() was asked of this value that is not a leaf."""
        return self._node is not None and self._node.extra is not None and self._node.extra.retains

    def retain_grad(self) -> None:
        """Let backward() keep the gradient of this value in `.grad`, as a leaf's is anyway.

        What each use of the value gave to it is kept beside it, for the checks in minigrad.check.
        """
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on a Tensor that does not require grad")
        extra = self._more()
        extra.retains, extra.tensor = True, weakref.ref(self)
        Engine.explains = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call *hook* with this value's gradient whenever backward() has it; what it returns replaces the gradient.

        Returns a handle with remove().
        """
        if not self.requires_grad:
            raise RuntimeError("can't register a hook on a Tensor that does not require grad")
        return Handle(self._more().hooks, hook)

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the derivative of this value with respect to each leaf to that leaf's `.grad`.

        gradient: d(loss)/d(this), of this shape; needed unless this has one element. retain_graph: keep what the rules
        kept, so that backward can run again (default: as create_graph). create_graph: record the
        backward itself, for higher derivatives. inputs: accumulate in these Tensors only.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
        """
        Engine.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same values without the graph; memory is shared, and a change in place of either is seen by both."""
        return wrap(self._shared(), view=View(self, None))

    @property
    def data(self) -> Tensor:
        """The same values without the graph, as detach(); changes in place through it are not tracked, as in torch."""
        return wrap(self._shared())

    @data.setter
    def data(self, value: Any) -> None:
        array = value._shared() if isinstance(value, Tensor) else to_array(value, None)
        if self._requires_grad and array.dtype.kind != "f":
            raise RuntimeError(f".data of a Tensor that requires grad must be float, got {array.dtype}")
        self.array = array

    def _shared(self) -> Any:
        """The array as memory that can be shared: a numpy scalar becomes a 0-d array first."""
        if type(self.array) is not np.ndarray:
            self.array = as_array(self.array)
        return self.array

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set requires_grad and return this Tensor."""
        self.requires_grad = requires_grad
        return self

    # --------------------------------------------------------------------------- out of Tensors

    def numpy(self) -> NDArray[Any]:
        """The array, memory shared. Raises RuntimeError if this requires grad: use detach().numpy()."""
        if self.requires_grad:
            raise RuntimeError("this Tensor requires grad, numpy() would drop its graph: use .detach().numpy()")
        return self._shared()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.requires_grad:
            raise RuntimeError("this Tensor requires grad, a numpy array would drop its graph: use .detach()")
        if copy is None:  # numpy 1.26 has no such copy
            return np.asarray(self._shared(), dtype=dtype)
        return np.array(self._shared(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The one element as a Python number. Raises RuntimeError if there are more or fewer."""
        if self.array.size != 1:
            raise RuntimeError(
                f"item() needs one element, this Tensor of shape {self.array.shape} has {self.array.size}"
            )
        return self.array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.array.tolist()

    def __repr__(self) -> str:
        return format_tensor(self._shared(), requires_grad=self._requires_grad, grad_fn=self.grad_fn)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.array.ndim == 0 else object.__format__(self, spec)

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(f"the truth of a Tensor of shape {self.array.shape} is ambiguous: use .any() or .all()")
        return bool(self.array)

    def __int__(self) -> int:
        return int(self._one())

    def __float__(self) -> float:
        return float(self._one())

    def _one(self) -> Any:
        if self.array.size != 1:
            raise ValueError(f"only one element can become a Python number, not those of shape {self.array.shape}")
        return self.array.item()

    def __index__(self) -> int:
        if self.array.dtype.kind not in "iub":
            raise TypeError(f"only an integer Tensor can be an index, this one is {self.dtype}")
        return int(self.item())

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len() of a 0-d Tensor")
        return self.array.shape[0]

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise RuntimeError("only leaves can be copied or pickled (a graph cannot): use .detach() first")
        return _rebuild, (type(self), np.asarray(self.array), self._requires_grad, self._grad, self.name)


class View:
    """That a Tensor shares the memory of another: its base, and how it was made from it.

    `memory` is the Tensor whose memory it is, and `base` the one whose values and gradients it follows: another one
    for a part of a detached Tensor. `chain` is the list of (op, settings) from the base here; None where gradients do
    not flow (detach), and a text where a change in place is refused with that reason.
    """

    __slots__ = ("base", "chain", "generation", "memory")

    memory: Tensor
    base: Tensor
    chain: Any
    generation: int

    def __init__(self, of: Tensor, chain: Any) -> None:
        before = of._view
        self.memory = of if before is None else before.memory
        if before is None or before.chain is None:
            self.base = of
        else:
            self.base = before.base
            if isinstance(chain, list):
                chain = before.chain + chain if isinstance(before.chain, list) else before.chain
        self.chain = chain
        extra = self.base._extra
        self.generation = extra.generation if extra else 0

    def refresh(self, tensor: Tensor) -> None:
        """Make the view's node anew where its base was changed in place since: it is the base's new value seen so."""
        extra = self.base._extra
        if extra is None or extra.generation == self.generation or not isinstance(self.chain, list):
            return
        self.generation = extra.generation
        token = _recording.set(True)
        try:
            again: Tensor = self.base
            for op, settings in self.chain:
                again = op.apply(again, **settings)
        finally:
            _recording.reset(token)
        kept = tensor._node.extra if tensor._node is not None else None
        tensor._node, tensor._requires_grad = again._node, again._requires_grad
        if kept is not None and kept.retains and tensor._node is not None:
            kept.retains = False  # what is retained is the gradient of the new value
            tensor.retain_grad()


def wrap(array: Any, node: Node | None = None, view: View | None = None) -> Tensor:
    """A Tensor around this very array."""
    tensor = _new(Tensor)
    tensor.array = array
    tensor._node = node
    tensor._requires_grad = node is not None
    tensor._view = view
    tensor._grad = tensor._watch = tensor._extra = None
    return tensor


def watch(tensor: Tensor) -> bytearray:
    """Where a change in place of this tensor's memory writes itself into: empty means unchanged.

    Bytes and not a list: the garbage collector does not follow them, and every recorded op has some.
    """
    base = tensor._view.memory if tensor._view is not None else tensor
    if base._watch is None:
        base._watch = bytearray()
    return base._watch


def watch_too(result: Tensor, others: Iterable[Any]) -> Tensor:
    """Let the node of *result* see changes in place of what its rule knows as a setting: indices, masks, targets."""
    node = result._node
    if node is not None:
        node.watched = (*node.watched, *[watch(x) for x in others if isinstance(x, Tensor)])
    return result


def changed(tensor: Tensor, how: str) -> None:
    """Tell the nodes that kept this memory that it was changed in place."""
    base = tensor._view.memory if tensor._view is not None else tensor
    watch = base._watch
    if watch is not None:
        base._watch = None
        if getrefcount(watch) > _UNWATCHED:  # after a backward the nodes have let go of theirs
            watch += _in_words(how, tensor.array.shape)


def _count_unwatched() -> int:
    watch = bytearray()
    return getrefcount(watch)


# What getrefcount says there of a watch that nobody else holds; measured, since interpreters differ.
_UNWATCHED = _count_unwatched()


@lru_cache(256)
def _in_words(how: str, shape: tuple[int, ...]) -> bytes:
    """A change as a watch keeps it; made anew each time, an optimizer's would take longer than its sums."""
    return f"{how} on a Tensor of shape {shape}; ".encode()


def _rebuild(
    kind: type[Tensor], array: NDArray[Any], requires_grad: bool, grad: Tensor | None, name: str | None
) -> Tensor:
    tensor = _new(kind)
    tensor.array = with_own_dtype(array)
    tensor._node = tensor._view = tensor._watch = tensor._extra = None
    tensor._grad, tensor._requires_grad = grad, requires_grad
    if name is not None:
        tensor.name = name
    return tensor


Engine.wrap = wrap
