"""Parameter and Module: a tree of layers that knows its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import dtypes
from ..convert import to_array
from ..graph import next_number
from ..inplace import write
from ..tensor import Tensor


class Parameter(Tensor):
    """A leaf Tensor that a Module takes as its own when it is assigned to an attribute.

    Parameter(data, requires_grad=True) shares data's memory. RuntimeError if integers shall require grad.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        self.array = data._shared() if isinstance(data, Tensor) else to_array(data, None)
        self._grad = self._node = self._view = self._watch = self._extra = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Keys(NamedTuple):
    """What load_state_dict returns: the keys that the state lacked, and those the module has no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and networks: assign Parameters and Modules to attributes and define forward.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]  # the buffers that state_dict leaves out

    def __init__(self) -> None:
        for name in ("_parameters", "_buffers", "_modules"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_transient", set())
        object.__setattr__(self, "training", True)

    forward: Callable[..., Any]

    # told of each call: the module, the number that nodes made in it come after, what it returned; viz groups by that
    _observe: ClassVar[Callable[[Module, int, Any], None] | None] = None

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        forward = getattr(self, "forward", None)
        if forward is None:
            raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')
        if Module._observe is None:
            return forward(*inputs, **kwargs)
        start = next_number()
        result = forward(*inputs, **kwargs)
        Module._observe(self, start, result)
        return result

    # ------------------------------------------------------------------- attributes become members

    def __setattr__(self, name: str, value: Any) -> None:
        kind = Parameter if isinstance(value, Parameter) else Module if isinstance(value, Module) else None
        members = self.__dict__.get("_parameters")
        if members is None:
            if kind is not None:
                raise AttributeError(f"cannot assign {name!r} before Module.__init__(): call super().__init__() first")
            object.__setattr__(self, name, value)
        elif kind is Parameter:
            self._forget(name)
            self._parameters[name] = value
        elif kind is Module:
            self._forget(name)
            self._modules[name] = value
        elif name in self._parameters:
            self._none_or(name, value, "parameter", "nn.Parameter")
            self._parameters[name] = value
        elif name in self._modules:
            self._none_or(name, value, "child module", "nn.Module")
            self._modules[name] = value
        elif name in self._buffers:
            if not isinstance(value, Tensor):
                self._none_or(name, value, "buffer", "Tensor")
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def _none_or(self, name: str, value: Any, what: str, expected: str) -> None:
        if value is not None:
            raise TypeError(f"cannot assign {type(value).__name__!r} as {what} {name!r} ({expected} or None expected)")

    def _forget(self, name: str) -> None:
        """Take a name away from wherever it stands, so that it has one meaning."""
        for members in (self.__dict__, self._parameters, self._buffers, self._modules):
            members.pop(name, None)
        self._transient.discard(name)

    def __getattr__(self, name: str) -> Any:  # called where the usual lookup finds nothing
        for members in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(members, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if not any(name in members for members in (self._parameters, self._buffers, self._modules)):
            object.__delattr__(self, name)
        self._forget(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a Parameter, or None to say that there could be one of this name."""
        self._check_name(name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign {type(param).__name__!r} to parameter {name!r} (nn.Parameter or None)")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a Tensor that is state but no parameter; state_dict has it if persistent."""
        self._check_name(name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign {type(tensor).__name__!r} to buffer {name!r} (Tensor or None required)")
        self._buffers[name] = tensor
        if not persistent:
            self._transient.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under this name, which need not be an identifier."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        if name not in self._modules:
            self._check_name(name)
        self._modules[name] = module

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a name should be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"a name can't be empty or contain '.', got {name!r}")
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot add {name!r} before Module.__init__(): call super().__init__() first")
        known = (self._parameters, self._buffers, self._modules)
        if hasattr(self, name) and not any(name in members for members in known):
            raise KeyError(f"attribute {name!r} already exists")

    # -------------------------------------------------------------------------------- the tree

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(path, module) of this one ("" its path) and all under it, each module once."""
        memo = set() if memo is None else memo
        if self not in memo:
            memo.add(self)
            yield prefix, self
            for name, child in self._modules.items():
                if child is not None:
                    yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all under it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly under this one, each once."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly under this one, each once."""
        return (child for _, child in self.named_children())

    def _members(self, kind: str, recurse: bool, prefix: str, once: bool = True) -> Iterator[tuple[str, Any]]:
        seen: set[Tensor] = set()
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, tensor in getattr(module, kind).items():
                if tensor is not None and not (once and tensor in seen):
                    seen.add(tensor)
                    yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, Parameter) of all parameters; one that is used twice appears once, under its first path."""
        return self._members("_parameters", recurse, prefix, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(path, Tensor) of all buffers, each once."""
        return self._members("_buffers", recurse, prefix, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at this path ("" is this one); AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(f"{type(module).__name__} has no module {name!r} (of path {target!r})")
            module = child
        return module

    def apply(self, fn: Callable[[Module], Any]) -> Any:
        """Call fn on every module under this one, then on this one; returns this."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # --------------------------------------------------------------------------------- modes

    def train(self, mode: bool = True) -> Any:
        """Set training mode (batch statistics, dropout) here and below; returns this."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Any:
        """Set evaluation mode here and below; returns this."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Take the gradients of all parameters away, or fill them with zeros."""
        zero_grad(self.parameters(), set_to_none)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Set requires_grad of all parameters; returns this."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, dtype: Any = None, **kwargs: Any) -> Any:
        """Cast all float parameters, their gradients, and float buffers; returns this. The one device is "cpu"."""
        if dtype is None or str(dtype) == "cpu":
            return self
        dtype = dtypes.check(dtype)
        if dtype.kind != "f":
            raise TypeError(f"Module.to takes float dtypes only, got {dtype}")
        for tensor in [*self.parameters(), *self.buffers()]:
            if tensor.dtype.kind == "f":
                tensor.array = np.asarray(tensor.array).astype(dtype, copy=False)
                if tensor._grad is not None:
                    tensor._grad.array = np.asarray(tensor._grad.array).astype(dtype, copy=False)
        return self

    def float(self) -> Any:
        """Cast to float32; returns this."""
        return self.to(dtypes.float32)

    def double(self) -> Any:
        """Cast to float64; returns this."""
        return self.to(dtypes.float64)

    # --------------------------------------------------------------------------------- state

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """path -> Tensor of all parameters and persistent buffers, detached, sharing their memory."""
        return {prefix + path: tensor.detach() for path, tensor in self._state()}

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """As state_dict: a module's parameters, then its buffers, then its children; a tied one under each path."""
        for name, tensor in self._parameters.items():
            if tensor is not None:
                yield name, tensor
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._transient:
                yield name, buffer
        for name, child in self._modules.items():
            if child is not None:
                for path, tensor in child._state():  # type: ignore[assignment]
                    yield f"{name}.{path}", tensor  # type: ignore[misc]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Keys:
        """Copy a state_dict's values in; Tensors or arrays of the same shapes, cast to what is here.

        strict: a missing or unexpected key is an error; else they are returned. RuntimeError names all that does not
        fit, keys and shapes both, and changes nothing.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict).__name__}")
        own = dict(self._state())
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        wrong, arrays = [], {}
        if strict and unexpected:
            wrong.append(f"Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}.")
        if strict and missing:
            wrong.append(f"Missing key(s) in state_dict: {', '.join(map(repr, missing))}.")
        for key, tensor in own.items():
            if key in state_dict:
                value = state_dict[key]
                array = np.array(value.array if isinstance(value, Tensor) else value)
                if array.dtype.kind not in "fiub":
                    wrong.append(f"{key} must be a Tensor or an array, got {type(value).__name__}.")
                elif array.shape != tensor.shape:
                    here = tensor.array.shape
                    wrong.append(f"size mismatch for {key}: {array.shape} in the state_dict, {here} here.")
                arrays[key] = array
        if wrong:
            raise RuntimeError("Error(s) in loading state_dict for " + "\n\t".join([type(self).__name__ + ":", *wrong]))
        for key, array in arrays.items():
            write(own[key], array, "load_state_dict")
        return Keys(missing, unexpected)

    # ------------------------------------------------------------------------------- printing

    def extra_repr(self) -> str:
        """What stands in the brackets when this layer is printed; layers give their settings."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {_indented(repr(child))}" for name, child in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({extra})"
        lines = [*extra.splitlines(), *lines]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def zero_grad(parameters: Any, set_to_none: bool = True) -> None:
    """Take these Tensors' gradients away, or fill them with zeros."""
    for p in parameters:
        grad = p._grad
        if set_to_none or grad is None:
            p._grad = None
        elif grad._node is None and isinstance(grad.array, np.ndarray) and grad.array.flags.writeable:
            write(grad, 0, "zero_grad")
        else:
            p._grad = Tensor(np.zeros_like(grad.array))
