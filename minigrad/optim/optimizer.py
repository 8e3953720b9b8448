"""Optimizer: parameter groups with their settings, and the state that updates keep for each parameter.

Updates are made on the arrays in place, and the graph is told: a backward that comes later through a value that is no
longer there is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from ..graph import Engine
from ..modes import enable_grad
from ..nn.module import zero_grad
from ..tensor import Tensor, changed, wrap

PART = 131_072  # elements of a parameter that are changed at a time


class Optimizer:
    """Base: holds param_groups, dicts of "params" and settings, and state, a dict for each parameter.

    params: Tensors, (name, Tensor) pairs, or dicts of "params" and the settings that differ for them. A subclass
    gives `defaults` for the rest and update(). TypeError for what is not a Tensor, ValueError for none at all (an
    iterator that was used up), for a Tensor that is not a leaf, and for one in two groups.
    Source: https://docs.pytorch.org/docs/stable/optim.html
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        self.stepped = False  # whether step() ran, for the schedules' warning
        kind = type(params).__name__
        if isinstance(params, (Tensor, dict, str)) or not isinstance(params, Iterable):
            raise TypeError(f"params should be an iterable of Tensors or dicts, but got {kind}: put it in a list")
        groups = list(params)
        if not groups:
            raise ValueError(
                f"optimizer got an empty parameter list (from a {kind}; an iterator like parameters() can be used once)"
            )
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for a setting that makes no sense; a subclass knows its own."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a dict of "params" (a Tensor or several) and settings; defaults fill in the rest. Errors as the class."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"a param group must be a dict with 'params' in it, got {type(param_group).__name__}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError("parameters need to be in an ordered collection, a set has no order: use a list")
        given = [given] if isinstance(given, Tensor) else list(given)
        group = {**self.defaults, **param_group, "params": [p[1] if isinstance(p, tuple) else p for p in given]}
        if given and isinstance(given[0], tuple):
            group["param_names"] = [name for name, _ in given]
        held = {p for other in self.param_groups for p in other["params"]}
        for i, p in enumerate(group["params"]):
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but parameter {i} is a {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(
                    f"can't optimize a non-leaf Tensor: parameter {i} of shape {p.array.shape} is the result of an op "
                    f"({p.grad_fn!r}); make it under no_grad() or detach() it, then requires_grad_()"
                )
            if not p._shared().flags.writeable:
                raise ValueError(f"parameter {i} of shape {p.array.shape} cannot be written to: clone() it first")
            if p in held:
                raise ValueError(f"some parameters appear in more than one parameter group: {i}, shape {p.array.shape}")
        if len(set(group["params"])) < len(group["params"]):
            warnings.warn("optimizer contains a parameter group with duplicate parameters", UserWarning, stacklevel=3)
        self.check(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Take all parameters' gradients away, or fill them with zeros."""
        for group in self.param_groups:
            if set_to_none:
                for p in group["params"]:
                    p._grad = None
            else:
                zero_grad(group["params"], False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient. closure: computes the loss anew first, and is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.update(group)
        self.stepped = True
        return loss

    def update(self, group: dict[str, Any]) -> None:
        """Update the parameters of one group."""
        raise NotImplementedError(f"{type(self).__name__} needs an update(group)")

    # --------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, Any]:
        """{"state": {a parameter's number: its state}, "param_groups": [settings and numbers]}; Tensors are shared."""
        number = {p: i for i, p in enumerate(self._parameters())}
        groups = [
            {**{k: v for k, v in group.items() if k != "params"}, "params": [number[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": {number[p]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def _parameters(self) -> list[Tensor]:
        return list(dict.fromkeys(p for group in self.param_groups for p in group["params"]))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict, copied, its floats cast to the parameters' dtypes.

        ValueError, with nothing changed, for groups, parameters or shapes that do not fit.
        """
        groups, held = state_dict["param_groups"], self.param_groups
        if len(groups) != len(held):
            n = len(groups)
            raise ValueError(f"loaded state dict has a different number of parameter groups: {n}, not {len(held)}")
        for i, (old, new) in enumerate(zip(groups, held, strict=True)):
            if len(old["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"group {i} has {len(old['params'])} parameters, here {len(new['params'])}"
                )
        parameter: dict[Any, Tensor] = {}
        for old, new in zip(groups, held, strict=True):
            parameter.update(zip(old["params"], new["params"], strict=True))
        state = {
            parameter[i]: {name: _fitting(name, value, i, parameter[i]) for name, value in entries.items()}
            for i, entries in state_dict["state"].items()
            if i in parameter
        }
        self.state = state
        self.param_groups = [
            {**deepcopy({k: v for k, v in old.items() if k != "params"}), "params": new["params"]}
            for old, new in zip(groups, held, strict=True)
        ]

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _fitting(name: str, value: Any, i: Any, p: Tensor) -> Any:
    """A copy of one entry of a parameter's state, in its dtype."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return deepcopy(value)
    if name == "step" and value.ndim == 0:  # torch counts in a Tensor
        return int(value)
    array = np.array(value.array if isinstance(value, Tensor) else value, dtype=p.dtype)
    if array.shape != p.shape:
        raise ValueError(
            f"{name} of parameter {i} has shape {array.shape} in the state dict, the parameter {p.array.shape}"
        )
    return wrap(array)


def number(name: str, value: Any, low: float = 0.0, high: float = float("inf")) -> None:
    """Raise ValueError unless low <= value < high, nan among them."""
    if not low <= value < high:
        below = f" and below {high:g}" if high < 2 else ""
        raise ValueError(f"Invalid {name}: {value}; it must be at least {low:g}{below}")


def arrays(p: Tensor, grad: Tensor) -> tuple[np.ndarray, Any]:
    """The parameter's array, to be written to, and its gradient's."""
    array, g = p.array, grad.array
    if type(array) is not np.ndarray:
        array = p._shared()
    if g.dtype is not array.dtype:
        g = g.astype(array.dtype)
    return array, g


def host(
    function: Callable[..., Any], *args: Any, state: tuple[tuple[Any, Any], ...], changes: bool = True
) -> Any:
    """function(*args), Python numbers from Python state; a captured step (minigrad.compile) works them out each time.

    state: (container, key) of what the function reads there or, if it does, changes.
    """
    capture = Engine.capture
    return function(*args) if capture is None else capture.host(function, args, state, changes)


def descend(array: Any, rate: Any, g: Any) -> None:
    """array -= rate * g, some rows of a large one at a time: the product needs little memory then."""
    if array.size <= PART:
        array -= rate * g
        return
    rows = max(1, PART * len(array) // array.size)
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        part -= rate * g[start : start + rows]


def told(p: Tensor, how: str) -> None:
    """Tell the graph that the parameter's memory was changed."""
    if p._watch is not None or p._view is not None:
        changed(p, how)
