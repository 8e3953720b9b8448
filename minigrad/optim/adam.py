"""Adam and AdamW: steps in units of the gradient's own running size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor import wrap
from .optimizer import Optimizer, arrays, host, number, told


class Adam(Optimizer):
    """m = b1 * m + (1 - b1) * g,  v = b2 * v + (1 - b2) * g**2,  p = p - lr * m / (sqrt(v) + eps)

    with m divided by 1 - b1**step and v by 1 - b2**step there. weight_decay: g = g + weight_decay * p first (Adam),
    or p = p * (1 - lr * weight_decay) (AdamW). amsgrad: the largest v so far takes v's place. maximize: up instead
    of down. ValueError for a setting out of its range.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html; Kingma and Ba 2014.
    """

    decoupled = False  # AdamW's way with the weight decay

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        number("learning rate", group["lr"])
        number("epsilon value", group["eps"])
        number("weight_decay value", group["weight_decay"])
        for i, beta in enumerate(group["betas"]):
            number(f"beta parameter at index {i}", beta, 0.0, 1.0)

    def update(self, group: dict[str, Any]) -> None:
        decay, (beta1, beta2) = group["weight_decay"], group["betas"]
        how = f"{type(self).__name__}.step"
        for p in group["params"]:
            grad = p._grad
            if grad is None:
                continue
            array, g = arrays(p, grad)
            if group["maximize"]:
                g = -g
            state = self.state.setdefault(p, {})
            if not state:
                state.update(step=0, exp_avg=wrap(np.zeros_like(array)), exp_avg_sq=wrap(np.zeros_like(array)))
            shrink, root, rate = host(_factors, group, state, state=((group, "lr"), (state, "step")))
            if decay and self.decoupled:
                array *= shrink
            elif decay:
                g = g + decay * array
            m, v = state["exp_avg"].array, state["exp_avg_sq"].array
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g * g
            if group["amsgrad"]:
                if "max_exp_avg_sq" not in state:
                    state["max_exp_avg_sq"] = wrap(np.zeros_like(array))
                v = np.maximum(state["max_exp_avg_sq"].array, v, out=state["max_exp_avg_sq"].array)
            size = np.sqrt(v) / root + group["eps"]
            array -= rate * (m / size)
            told(p, how)


def _factors(group: dict[str, Any], state: dict[str, Any]) -> tuple[float, float, float]:
    """Counts the step; what AdamW shrinks the parameter by, the root of v's correction, and the rate with m's."""
    (beta1, beta2), rate = group["betas"], float(group["lr"])
    state["step"] += 1
    step = int(state["step"])
    return 1 - rate * group["weight_decay"], math.sqrt(1 - beta2**step), rate / (1 - beta1**step)


class AdamW(Adam):
    """Adam whose weight decay is taken from the parameter itself, not through the gradient's running size.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html; Loshchilov and Hutter 2017.
    """

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
