"""Where a nan or inf came from: the steps since the last good state run again, and the bad one in anomaly mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from models.mlp import MLP

if TYPE_CHECKING:
    from models.train import Trainer


@dataclass
class State:
    """A run before step `step`: parameters by name, the optimizer's state, the random stream's."""

    step: int
    model: dict[str, NDArray[np.float32]]
    optimizer: dict[int, dict[str, Any]]
    generator: NDArray[np.uint8]


@dataclass
class Cause:
    """The first nan or inf of a run.

    step: where it appeared; before: the state then, which is good. op: the op that made it, of the forward pass,
    "backward of" it, or "the update". parameter: the one it came from or went to. text: all of that for people.
    """

    step: int
    before: State
    op: str
    parameter: str
    text: str
    error: mg.AnomalyError | None = None

    def __str__(self) -> str:
        return self.text


def optimizer_state(optimizer: Any) -> dict[int, dict[str, Any]]:
    """The state of each parameter by its number, its arrays copied."""
    return {
        i: {k: v.array.copy() if isinstance(v, mg.Tensor) else v for k, v in entries.items()}
        for i, entries in optimizer.state_dict()["state"].items()
    }


def find_cause(run: Trainer, good: State, last: int) -> Cause:
    """The first op and parameter where a nan or inf appeared, from the state `good` to the step `last` of a run.

    The run itself is left alone: another one goes from there.
    """
    again = type(run)(MLP(run.model.config), run.plan, run.X, run.Y, mg.Generator())
    again.losses = run.losses[: good.step]
    again.restore(good)
    before = good
    with np.errstate(all="ignore"):
        while len(again.losses) <= last:
            before = again.state()
            if before.step == run.plan.steps:
                break
            Xb, Yb = again.draw()
            loss = again._train(Xb, Yb)
            if not (np.isfinite(loss.array) and again.finite()):
                again.restore(before)
                return _explain(again, before, Xb, Yb)
            again.losses.append(loss.item())
    return Cause(before.step, before, "", "", "it did not come again when the steps were repeated")


def _explain(again: Trainer, before: State, Xb: Any, Yb: Any) -> Cause:
    """The step once more, op by op and in anomaly mode."""
    step, parameters = before.step, again.model.named_parameters()
    try:
        with mg.detect_anomaly():
            loss = again.loss(Xb, Yb)
            again.optimizer.zero_grad()
            loss.backward()
    except mg.AnomalyError as error:
        line = error.where.strip().splitlines()[-1].strip()
        text = f"{error.op} made the first {error.found}, in `{line}`"
        name = _given(error.inputs, parameters)
        if name:
            text += f", {'in the gradient of' if error.op.startswith('backward') else 'from'} {_of(name, parameters)}"
        else:
            name = _gradient(again, Xb, Yb)
            text += f", and the first parameter whose gradient it reached is {_of(name, parameters)}" if name else ""
        return Cause(step, before, error.op, name, text, error)
    again.optimizer.param_groups[0]["lr"] = rate = again.plan.lr_at(step)
    again.optimizer.step()
    for name, p in parameters.items():
        if not np.isfinite(p.array).all():
            found = "nan" if np.isnan(p.array).any() else "inf"
            text = f"the update of {name} made the first {found}, with learning rate {rate:g}"
            return Cause(step, before, "the update", name, text)
    return Cause(step, before, "", "", "it did not come again when the step was repeated op by op")


def _given(inputs: tuple[Any, ...], parameters: dict[str, mg.Tensor]) -> str:
    """The first parameter that is among an op's inputs, or ""."""
    for name, p in parameters.items():
        if any(x is p or (isinstance(x, np.ndarray) and np.may_share_memory(x, p.array)) for x in inputs):
            return name
    return ""


def _gradient(again: Trainer, Xb: Any, Yb: Any) -> str:
    """The first parameter of the forward pass whose gradient is no number, or ""."""
    loss = again.loss(Xb, Yb)
    again.optimizer.zero_grad()
    loss.backward()
    for name, p in again.model.named_parameters().items():
        if p.grad is not None and not np.isfinite(p.grad.array).all():
            return name
    return ""


def _of(name: str, parameters: dict[str, mg.Tensor]) -> str:
    return f"{name}, whose values reach {np.abs(parameters[name].array).max():.3g}"
