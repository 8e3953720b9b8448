"""SGD: stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from ..convert import as_array
from ..tensor import changed, wrap
from .optimizer import Optimizer, arrays, descend, host, number


class SGD(Optimizer):
    """p = p - lr * g; with momentum v = momentum * v + (1 - dampening) * g (g at first), p = p - lr * v.

    weight_decay: g = g + weight_decay * p first. nesterov: p = p - lr * (g + momentum * v), for momentum > 0 and
    dampening 0. maximize: up instead of down. Parameters without a gradient are left as they are.
    ValueError for a negative setting.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html; Sutskever et al. 2013.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        number("learning rate", group["lr"])
        number("momentum value", group["momentum"])
        number("weight_decay value", group["weight_decay"])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(self, group: dict[str, Any]) -> None:
        rate = host(_rate, group, state=((group, "lr"),), changes=False)
        momentum, decay = group["momentum"], group["weight_decay"]
        maximize = group["maximize"]
        for p in group["params"]:
            grad = p._grad
            if grad is None:
                continue
            array, g = arrays(p, grad)
            if maximize:
                g = -g
            if decay:
                g = g + decay * array
            if momentum:
                g = self._momentum(p, g, group)
            descend(array, rate, g)
            if p._watch is not None or p._view is not None:
                changed(p, "SGD.step")

    def _momentum(self, p: Any, g: Any, group: dict[str, Any]) -> Any:
        """The direction with momentum, whose running sum is in the state."""
        momentum, held = group["momentum"], self.state.setdefault(p, {}).get("momentum_buffer")
        if held is None:
            v = as_array(g).copy()
            self.state[p]["momentum_buffer"] = wrap(v)
        else:
            v = held.array
            v *= momentum
            v += (1 - group["dampening"]) * g
        return g + momentum * v if group["nesterov"] else v


def _rate(group: dict[str, Any]) -> float:
    return float(group["lr"])
