"""Neural networks: functional (F), the layers, their containers and initial values."""

from . import functional as functional, init as init
from .containers import ModuleDict as ModuleDict, ModuleList as ModuleList, Sequential as Sequential
from .module import Module as Module, Parameter as Parameter
from .modules import (
    BatchNorm1d as BatchNorm1d,
    CrossEntropyLoss as CrossEntropyLoss,
    Dropout as Dropout,
    Embedding as Embedding,
    Flatten as Flatten,
    Identity as Identity,
    LayerNorm as LayerNorm,
    Linear as Linear,
    LogSoftmax as LogSoftmax,
    MSELoss as MSELoss,
    ReLU as ReLU,
    Sigmoid as Sigmoid,
    Softmax as Softmax,
    Tanh as Tanh,
)
