"""clip_grad_norm_ and clip_grad_value_: gradients kept within bounds, in place.

Source: https://docs.pytorch.org/docs/stable/nn.html#utilities
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..convert import as_array
from ..functions import norm, stack
from ..tensor import Tensor, wrap


def _gradients(parameters: Any) -> list[Tensor]:
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p._grad.detach() for p in found if p._grad is not None]


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by max_norm / (norm + 1e-6) where the norm of them all together is larger; returns that norm.

    RuntimeError for a norm that is not finite if error_if_nonfinite. Source: torch.nn.utils.clip_grad_norm_.
    """
    gradients = _gradients(parameters)
    if not gradients:
        return Tensor(0.0)
    total = norm(stack([norm(g, norm_type) for g in gradients]), norm_type)
    if error_if_nonfinite and not np.isfinite(total.array):
        raise RuntimeError(f"the total norm of the gradients is {total.item()}, so it cannot be clipped")
    scale = np.minimum(max_norm / (total.array + total.dtype.type(1e-6)), total.dtype.type(1))
    for g in gradients:
        g.mul_(wrap(as_array(scale)))
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Clamp each element of the gradients to within clip_value. Source: torch.nn.utils.clip_grad_value_."""
    for g in _gradients(parameters):
        g.clamp_(-float(clip_value), float(clip_value))
