"""Optimizers: SGD, Adam, AdamW, and the schedules of their learning rate in lr_scheduler."""

from . import lr_scheduler as lr_scheduler
from .adam import Adam as Adam, AdamW as AdamW
from .optimizer import Optimizer as Optimizer
from .sgd import SGD as SGD
