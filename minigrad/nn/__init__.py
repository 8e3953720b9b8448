"""Neural networks: functional (F), the layers, their containers and initial values."""

from typing import Any as _Any

from . import functional as functional, init as init, utils as utils
from .containers import ModuleDict as ModuleDict, ModuleList as ModuleList, Sequential as Sequential
from .loss_modules import (
    BCELoss as BCELoss,
    BCEWithLogitsLoss as BCEWithLogitsLoss,
    CrossEntropyLoss as CrossEntropyLoss,
    L1Loss as L1Loss,
    MSELoss as MSELoss,
    NLLLoss as NLLLoss,
)
from .module import Module as Module, Parameter as Parameter
from .modules import (
    GELU as GELU,
    BatchNorm1d as BatchNorm1d,
    Dropout as Dropout,
    Embedding as Embedding,
    Flatten as Flatten,
    Identity as Identity,
    LayerNorm as LayerNorm,
    LeakyReLU as LeakyReLU,
    Linear as Linear,
    LogSoftmax as LogSoftmax,
    ReLU as ReLU,
    Sigmoid as Sigmoid,
    SiLU as SiLU,
    Softmax as Softmax,
    Tanh as Tanh,
)


def __getattr__(name: str) -> _Any:
    from ..names import missing

    raise missing("minigrad.nn", name, globals())
