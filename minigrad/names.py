"""The table of names: torch's other spellings, the names that are left out and what to use, and what differs.

The face (minigrad, minigrad.nn ...) and Tensor look here for a name that they do not have. docs/from-torch.md is made
from it.
"""

from __future__ import annotations

from typing import Any

# ------------------------------------------------------------------------------------------ another spelling

# name: the function it is. All are Tensor methods too.
ALIASES = {
    "absolute": "abs",
    "clip": "clamp",
    "divide": "div",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "moveaxis": "movedim",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "subtract": "sub",
    "swapdims": "transpose",
    "true_divide": "div",
}

# The same for names that take several Tensors and are no methods.
FUNCTION_ALIASES = {"asarray": "as_tensor", "concat": "cat", "concatenate": "cat"}

# ------------------------------------------------------------------------------------------------- left out

# name (of torch, torch.nn, torch.nn.functional, torch.optim or Tensor): what to use instead.
INSTEAD = {
    "float16": "float32: arrays of numpy have no bfloat16, and float16 carries no gradient here",
    "half": "float(): float16 carries no gradient here",
    "bfloat16": "float32: numpy has no bfloat16",
    "complex64": "two Tensors, the real and the imaginary part",
    "complex128": "two Tensors, the real and the imaginary part",
    "FloatTensor": "tensor(data), which makes float32 of Python floats",
    "LongTensor": "tensor(data), which makes int64 of Python ints",
    "DoubleTensor": "tensor(data, dtype=float64)",
    "IntTensor": "tensor(data, dtype=int32)",
    "BoolTensor": "tensor(data, dtype=bool)",
    "Storage": "t.numpy(), which shares the memory",
    "storage": "numpy(), which shares the memory",
    "untyped_storage": "numpy(), which shares the memory",
    "autocast": "float32 throughout: leave it out",
    "amp": "float32 throughout: leave it out",
    "jit": "the function itself: leave the decorator out",
    "linalg": "numpy.linalg on t.detach().numpy(), or norm() and matmul(), which have a gradient",
    "inverse": "numpy.linalg.inv on t.detach().numpy(): it has no gradient here",
    "det": "numpy.linalg.det on t.detach().numpy(): it has no gradient here",
    "svd": "numpy.linalg.svd on t.detach().numpy(): it has no gradient here",
    "qr": "numpy.linalg.qr on t.detach().numpy(): it has no gradient here",
    "fft": "numpy.fft on t.detach().numpy(): it has no gradient here",
    "special": "erf, expm1, log1p and the like, which stand in minigrad itself",
    "sparse": "dense Tensors",
    "distributed": "one process",
    "multiprocessing": "one process",
    "onnx": "state_dict(), and minigrad.save",
    "hub": "load_state_dict(minigrad.load(path))",
    "vmap": "a batch dimension and broadcasting",
    "func": "minigrad.grad, with create_graph=True for higher derivatives",
    "cdist": "((x[:, None] - y) ** 2).sum(-1).sqrt()",
    "addmm": "b + x @ y",
    "addmv": "b + x @ y",
    "addcmul": "x + value * (y * z)",
    "addcdiv": "x + value * (y / z)",
    "baddbmm": "b + x @ y",
    "lerp": "x + weight * (y - x)",
    "hypot": "(x ** 2 + y ** 2).sqrt()",
    "logaddexp": "stack([x, y]).logsumexp(0)",
    "frac": "x - x.sign() * x.abs().floor()",
    "trunc": "x.sign() * x.abs().floor()",
    "fix": "x.sign() * x.abs().floor()",
    "fmod": "x - y * div(x, y, rounding_mode='trunc')",
    "fmax": "maximum, where nan is as torch's maximum has it",
    "fmin": "minimum, where nan is as torch's minimum has it",
    "exp2": "2 ** x",
    "tan": "x.sin() / x.cos()",
    "sinh": "(x.exp() - (-x).exp()) / 2",
    "cosh": "(x.exp() + (-x).exp()) / 2",
    "acos": "an Op of your own, with numpy.arccos as its forward",
    "asin": "an Op of your own, with numpy.arcsin as its forward",
    "atan": "an Op of your own, with numpy.arctan as its forward",
    "atan2": "an Op of your own, with numpy.arctan2 as its forward",
    "erfc": "1 - erf(x)",
    "cumprod": "log().cumsum(dim).exp() for positive numbers",
    "cummax": "a loop over maximum",
    "diff": "x[1:] - x[:-1]",
    "diag": "x * eye(n), or numpy.diag where no gradient is meant",
    "diagonal": "einsum('ii->i', x)",
    "trace": "einsum('ii->', x)",
    "cross": "an Op of your own, with numpy.cross as its forward",
    "inner": "matmul(x, y.T), or einsum",
    "kron": "einsum('ij,kl->ikjl', x, y).reshape(...)",
    "vdot": "dot",
    "meshgrid": "x[:, None] and y[None, :], which broadcast",
    "cartesian_prod": "x[:, None] and y[None, :], which broadcast",
    "hstack": "cat(tensors, 1)",
    "vstack": "cat(tensors, 0)",
    "dstack": "stack(tensors, -1)",
    "column_stack": "stack(tensors, 1)",
    "narrow": "x[start : start + length]",
    "select": "x[:, index]",
    "take": "x.reshape(-1)[index]",
    "take_along_dim": "gather",
    "put_": "x[index] = values",
    "masked_select": "x[mask]",
    "masked_scatter": "where(mask, values, x)",
    "index_copy": "x[index] = values on a clone()",
    "index_fill": "masked_fill, or x[index] = value on a clone()",
    "scatter_reduce": "scatter_add, or a loop",
    "tensor_split": "split",
    "unflatten": "reshape",
    "repeat_interleave": "x.unsqueeze(-1).expand(..., n).reshape(...)",
    "rot90": "transpose and flip",
    "unique_consecutive": "unique, or x[1:] != x[:-1]",
    "quantile": "sort, and the place you want",
    "nanmean": "x[~x.isnan()].mean()",
    "nansum": "x.masked_fill(x.isnan(), 0).sum()",
    "nan_to_num": "masked_fill(x.isnan(), 0)",
    "kthvalue": "sort",
    "mode": "unique(x, return_counts=True)",
    "msort": "sort(x, 0)",
    "searchsorted": "numpy.searchsorted on t.numpy()",
    "bucketize": "numpy.digitize on t.numpy()",
    "count_nonzero": "(x != 0).sum()",
    "std_mean": "std and mean",
    "var_mean": "var and mean",
    "aminmax": "amin and amax",
    "isclose": "(x - y).abs() <= atol + rtol * y.abs()",
    "isin": "(x[..., None] == values).any(-1)",
    "heaviside": "(x > 0).float()",
    "logspace": "10 ** linspace(start, end, steps)",
    "range": "arange, whose end is not included",
    "rand_like": "rand(x.shape)",
    "randn_like": "randn(x.shape)",
    "randint_like": "randint(low, high, x.shape)",
    "poisson": "numpy.random",
    "bernoulli": "zeros(shape).bernoulli_(p), or rand(shape) < p",
    "complex": "two Tensors, the real and the imaginary part",
    "set_default_tensor_type": "set_default_dtype",
    "use_deterministic_algorithms": "nothing: all that is here is deterministic",
    "apply_": "minigrad's functions on the whole Tensor",
    "map_": "minigrad's functions on the whole Tensor",
    "share_memory_": "one process",
    "pin_memory": "nothing: there is the cpu alone",
    "Conv1d": "unfold and Linear",
    "conv1d": "unfold and linear",
    "Conv2d": "unfold and Linear",
    "RNN": "a cell of your own: see examples/",
    "GRU": "a cell of your own: see examples/",
    "LSTM": "a cell of your own: see examples/",
    "Transformer": "blocks of your own: see examples/",
    "TransformerEncoderLayer": "blocks of your own: see examples/",
    "MultiheadAttention": "functional.scaled_dot_product_attention and Linear",
    "BatchNorm2d": "functional.batch_norm, which takes more dimensions",
    "RMSNorm": "x * (x.square().mean(-1, keepdim=True) + eps) ** -0.5 * weight",
    "group_norm": "layer_norm on a reshaped input",
    "EmbeddingBag": "Embedding and mean",
    "KLDivLoss": "(target * (target.log() - input)).sum()",
    "kl_div": "(target * (target.log() - input)).sum()",
    "gumbel_softmax": "softmax of logits - empty(shape).exponential_().log()",
    "Adagrad": "Adam",
    "RMSprop": "Adam",
    "LBFGS": "Adam, or scipy.optimize on the parameters as one array",
    "OneCycleLR": "LambdaLR",
    "ReduceLROnPlateau": "group['lr'] of optimizer.param_groups, set by hand",
}

# ------------------------------------------------------------------------------------------------ different

# What runs and is not the same as in torch: (what, how it is here).
DIFFERENT = [
    ("dtypes", "are numpy's: `x.dtype` prints as `float32`, not `torch.float32`, and so in a Tensor: `dtype=float64`"),
    ("`t.grad_fn`", "is a `Node` with the rule's name, formula and inputs: `<MatMulBackward0>`, in torch Mm, Mv, Bmm"),
    ("`Tensor(data)`", "is `tensor(data)`: ints stay ints, and a number is a value, not a size"),
    ("numbers and arrays", "are taken where torch takes Tensors alone (`exp(1.0)`, `cat([array, array])`)"),
    ("numpy's forms", "run beside torch's: `prod` over several dims, `transpose(axes)`, `round(t, 2)`"),
    ("`<<`, `>>`", "are left out: `* 2**n`, `// 2**n`"),
    ("`inference_mode`", "is `no_grad`: Tensors made in it may be used in a graph later"),
    ("`save`, `load`", "write and read the safetensors layout and JSON, never pickle: data, not objects with code"),
    ("`set_num_threads`", "is accepted and changes nothing; numpy's BLAS reads `OMP_NUM_THREADS`"),
    ("`Generator.get_state()`", "is a numpy uint8 array in torch's layout; `set_state` takes torch's Tensor too"),
    ("an unseeded global generator", "starts from the operating system's entropy, as torch's does"),
    ("`x[::-1]`", "is refused, as in torch: use `flip`"),
    ("leaf hooks", "run when the whole backward is done"),
    ("`sort`", "leaves equal elements as they stand, as torch's does with `stable=True`"),
    ("`topk(sorted=False)`", "is in order all the same"),
    ("`DataLoader`", "runs in this process; `num_workers` above 0 is refused"),
    ("`view(dtype)`", "is refused: `to(dtype)` converts"),
    ("`dropout(inplace=True)`", "is refused"),
    ("`backward()` in two threads", "each builds its own graph"),
]


def spelling(name: str) -> str | None:
    """The name of the function that this is another spelling of, or None."""
    return ALIASES.get(name) or FUNCTION_ALIASES.get(name)


def missing(where: str, name: str, known: Any = ()) -> AttributeError:
    """The error for a name that is not there: it says what to use, from the table or by likeness."""
    message = f"{where} has no {name}"
    if name in INSTEAD:
        message += f": use {INSTEAD[name]}"
    elif not name.startswith("_"):
        from difflib import get_close_matches

        near = get_close_matches(name, [str(n) for n in known if not str(n).startswith("_")], 1, 0.8)
        message += f": did you mean {near[0]}?" if near else ""
    return AttributeError(message)
