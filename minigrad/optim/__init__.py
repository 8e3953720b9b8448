"""Optimizers: SGD, Adam, AdamW, and the schedules of their learning rate in lr_scheduler."""

from typing import Any

from . import lr_scheduler as lr_scheduler
from .adam import Adam as Adam, AdamW as AdamW
from .optimizer import Optimizer as Optimizer
from .sgd import SGD as SGD


def __getattr__(name: str) -> Any:
    from ..names import missing

    raise missing("minigrad.optim", name, globals())
