"""The layers: Linear, Embedding, BatchNorm1d, LayerNorm, Tanh, Dropout ...

Made after manual_seed, a layer has the initial values that torch gives it.
Source: https://docs.pytorch.org/docs/stable/nn.html
"""

from __future__ import annotations

import math
from typing import Any

from .. import creation, dtypes, functions as _f
from ..tensor import Tensor
from . import functional as F, init
from .module import Module as Module, Parameter as Parameter


class Linear(Module):
    """y = x @ weight.T + bias: x (..., in_features) -> (..., out_features).

    weight (out_features, in_features) and bias (out_features,) start uniform within 1 / sqrt(in_features).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(creation.empty(out_features, in_features, dtype=dtype))
        self.register_parameter("bias", Parameter(creation.empty(out_features, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Embedding(Module):
    """y = weight[x]: integers of any shape -> (*shape, embedding_dim).

    weight (num_embeddings, embedding_dim) starts from N(0, 1). padding_idx: a row that starts at 0 and gets no
    gradient. Errors as functional.embedding.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise AssertionError(f"padding_idx must be within the {num_embeddings} rows, got {padding_idx}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(creation.empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.array[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """An Embedding on given rows (n, d), shared; not trained if freeze."""
        if embeddings.ndim != 2:
            raise ValueError(f"embeddings need shape (n, d), got {embeddings.array.shape}")
        made = cls.__new__(cls)
        Module.__init__(made)
        made.num_embeddings, made.embedding_dim = embeddings.shape
        made.padding_idx = None if padding_idx is None else padding_idx % made.num_embeddings
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def forward(self, input: Any) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class BatchNorm1d(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias: x (n, features) or (n, features, length).

    Training: the batch's mean and var, and running_mean and running_var (features,) take a step of momentum toward
    them (momentum None: their plain average over all batches). Evaluation: the running ones, or the batch's if
    track_running_stats is False. affine: whether there are weight (1) and, with bias, bias (0). correction: the
    batch's var divides by n - correction; 0 as in torch, 1 (Bessel) as the lecture writes it. Errors as
    functional.batch_norm.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html; Ioffe and Szegedy 2015.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        correction: float = 0,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats, self.correction = affine, track_running_stats, correction
        for name, made, wanted in (("weight", creation.ones, affine), ("bias", creation.zeros, affine and bias)):
            self.register_parameter(name, Parameter(made(num_features, dtype=dtype)) if wanted else None)
        for name, made in (("running_mean", creation.zeros), ("running_var", creation.ones)):
            self.register_buffer(name, made(num_features, dtype=dtype) if track_running_stats else None)
        count = creation.zeros((), dtype=dtypes.int64) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)

    def reset_running_stats(self) -> None:
        """Running mean 0, var 1, no batches seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the running statistics as new."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Tensor:
        if getattr(input, "ndim", 0) not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {getattr(input, 'ndim', 0)}D input)")
        members, buffers = self._parameters, self._buffers
        mean, var = buffers["running_mean"], buffers["running_var"]
        momentum = 0.0 if self.momentum is None else self.momentum
        count = buffers["num_batches_tracked"]
        seen = count is not None and self.training and self.track_running_stats
        if seen and self.momentum is None:
            momentum = 1.0 / (int(count.array) + 1)  # type: ignore[union-attr]
        y = F.batch_norm(
            input,
            mean if not self.training or self.track_running_stats else None,
            var if not self.training or self.track_running_stats else None,
            members["weight"],
            members["bias"],
            self.training or mean is None,
            momentum,
            self.eps,
            correction=self.correction,
        )
        if seen:  # counted last: a batch that was refused is not counted
            count.array += 1  # type: ignore[union-attr]
        return y

    def extra_repr(self) -> str:
        bessel = f", correction={self.correction}" if self.correction else ""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}{bessel}"
        )


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, of sizes normalized_shape.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html; Ba, Kiros, Hinton 2016.
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        for name, made, wanted in (("weight", creation.ones, True), ("bias", creation.zeros, bias)):
            has = elementwise_affine and wanted
            self.register_parameter(name, Parameter(made(self.normalized_shape, dtype=dtype)) if has else None)

    def forward(self, input: Any) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        settings = f"eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, {settings}"


# -------------------------------------------------------------------------------------- without parameters


class Identity(Module):
    """y = x. Takes and ignores any arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Tanh(Module):
    """y = tanh(x)"""

    def forward(self, input: Any) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x))"""

    def forward(self, input: Any) -> Tensor:
        return F.sigmoid(input)


class ReLU(Module):
    """y = max(x, 0)"""

    def forward(self, input: Any) -> Tensor:
        return F.relu(input)


class GELU(Module):
    """functional.gelu with its approximate kept."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """y = x * sigmoid(x)"""

    def forward(self, input: Any) -> Tensor:
        return F.silu(input)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope * x"""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Softmax(Module):
    """y = exp(x) / sum(exp(x)) along dim"""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """y = x - logsumexp(x) along dim"""

    def forward(self, input: Any) -> Tensor:
        return F.log_softmax(input, self.dim)


class Flatten(Module):
    """Dimensions start_dim to end_dim become one: (n, a, b) -> (n, a * b) by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Tensor:
        return _f.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """In training each element is 0 with probability p, else divided by 1 - p. ValueError unless 0 <= p <= 1."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
