"""What the table of names says to use for what is left out: it runs, and gives what torch's own function gives."""

import ast
import math
import re
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import names

# name: torch's call. Its names are those of the advice, for Tensors of the same numbers: see setting().
THEIRS = {
    "acosh": "torch.acosh(x + 3)",
    "addcdiv": "torch.addcdiv(x, y, z, value=value)",
    "addcmul": "torch.addcmul(x, y, z, value=value)",
    "addmm": "torch.addmm(b, x, y)",
    "addmv": "torch.addmv(b[0], x, y[0])",
    "aminmax": "tuple(torch.aminmax(x))",
    "argwhere": "torch.argwhere(x)",
    "asinh": "torch.asinh(x)",
    "atanh": "torch.atanh(x / 4)",
    "atleast_1d": "torch.atleast_1d(x.sum())",
    "atleast_2d": "torch.atleast_2d(x[0])",
    "AvgPool1d": "torch.nn.AvgPool1d(n)(x)",
    "avg_pool1d": "F.avg_pool1d(x, n)",
    "avg_pool2d": "F.avg_pool2d(x[None], n)[0]",
    "AvgPool2d": "torch.nn.AvgPool2d(n)(x[None])[0]",
    "baddbmm": "torch.baddbmm(b[None], x[None], y[None])[0]",
    "bernoulli": "torch.bernoulli(p)",
    "bucketize": "torch.bucketize(x, y.sort().values[0])",
    "cdist": "torch.cdist(x, y)",
    "chain_matmul": "torch.linalg.multi_dot([x, y])",
    "clamp_max": "torch.clamp_max(x, value)",
    "clamp_min": "torch.clamp_min(x, value)",
    "column_stack": "torch.column_stack([t[0] for t in tensors])",
    "copysign": "torch.copysign(x, y)",
    "corrcoef": "torch.corrcoef(x)",
    "cosh": "torch.cosh(x)",
    "cosine_similarity": "F.cosine_similarity(x, y)",
    "CosineSimilarity": "torch.nn.CosineSimilarity()(x, y)",
    "count_nonzero": "torch.count_nonzero(x)",
    "cov": "torch.cov(x)",
    "cumprod": "torch.cumprod(p, 0)",
    "deg2rad": "torch.deg2rad(x)",
    "diag": "torch.diag(x[0])",
    "diagflat": "torch.diagflat(x)",
    "diag_embed": "torch.diag_embed(x)",
    "diagonal": "torch.diagonal(x)",
    "diff": "torch.diff(x, dim=0)",
    "dist": "torch.dist(x, y)",
    "dstack": "torch.dstack(tensors)",
    "erfc": "torch.erfc(x)",
    "exp2": "torch.exp2(x)",
    "fix": "torch.fix(x)",
    "fliplr": "torch.fliplr(x)",
    "flipud": "torch.flipud(x)",
    "float_power": "torch.float_power(p, y)",
    "fmod": "torch.fmod(x, y)",
    "frac": "torch.frac(x)",
    "glu": "F.glu(x)",
    "GLU": "torch.nn.GLU()(x)",
    "gumbel_softmax": "F.gumbel_softmax(x, dim=-1)",
    "hardtanh": "F.hardtanh(x)",
    "Hardtanh": "torch.nn.Hardtanh()(x)",
    "heaviside": "torch.heaviside(x, torch.zeros(1, dtype=x.dtype))",
    "hsplit": "torch.hsplit(x, n)",
    "hstack": "torch.hstack(tensors)",
    "huber_loss": "F.huber_loss(x, y)",
    "HuberLoss": "torch.nn.HuberLoss()(x, y)",
    "hypot": "torch.hypot(x, y)",
    "inner": "torch.inner(x, y)",
    "isclose": "torch.isclose(x, y, rtol=rtol, atol=atol)",
    "isin": "torch.isin(x, values)",
    "isneginf": "torch.isneginf(x)",
    "isposinf": "torch.isposinf(x)",
    "is_nonzero": "torch.is_nonzero(x[:1, :1])",
    "KLDivLoss": "torch.nn.KLDivLoss(reduction='mean')(x, target)",
    "kl_div": "F.kl_div(x, target, reduction='mean')",
    "kron": "torch.kron(x, y)",
    "lerp": "torch.lerp(x, y, weight)",
    "logaddexp": "torch.logaddexp(x, y)",
    "logcumsumexp": "torch.logcumsumexp(x, 0)",
    "logit": "torch.logit(p)",
    "logsigmoid": "F.logsigmoid(x)",
    "LogSigmoid": "torch.nn.LogSigmoid()(x)",
    "logspace": "torch.logspace(start, end, steps)",
    "masked_select": "torch.masked_select(x, mask)",
    "matrix_power": "torch.matrix_power(x, 2)",
    "max_pool1d": "F.max_pool1d(x, n)",
    "MaxPool1d": "torch.nn.MaxPool1d(n)(x)",
    "max_pool2d": "F.max_pool2d(x[None], n)[0]",
    "MaxPool2d": "torch.nn.MaxPool2d(n)(x[None])[0]",
    "mish": "F.mish(x)",
    "Mish": "torch.nn.Mish()(x)",
    "msort": "torch.msort(x)",
    "nanmean": "torch.nanmean(x)",
    "nanmedian": "torch.nanmedian(x)",
    "nansum": "torch.nansum(x)",
    "nan_to_num": "torch.nan_to_num(x, posinf=math.inf, neginf=-math.inf)",
    "narrow": "torch.narrow(x, 0, start, length)",
    "pairwise_distance": "F.pairwise_distance(x, y)",
    "positive": "torch.positive(x)",
    "prelu": "F.prelu(x[None], weight[:1])[0]",
    "PReLU": "F.prelu(x[None], weight[:1])[0]",
    "rad2deg": "torch.rad2deg(x)",
    "rand_like": "torch.rand_like(x)",
    "randint_like": "torch.randint_like(x, low, high)",
    "randn_like": "torch.randn_like(x)",
    "relu6": "F.relu6(x)",
    "ReLU6": "torch.nn.ReLU6()(x)",
    "repeat_interleave": "torch.repeat_interleave(x, n)",
    "result_type": "x.dtype",
    "RMSNorm": "F.rms_norm(x, x.shape[-1:], weight, eps)",
    "rms_norm": "F.rms_norm(x, x.shape[-1:], weight, eps)",
    "rot90": "torch.rot90(x)",
    "row_stack": "torch.vstack(tensors)",
    "rsub": "torch.rsub(x, y)",
    "scalar_tensor": "torch.scalar_tensor(value)",
    "searchsorted": "torch.searchsorted(x[0].sort().values, y)",
    "select": "torch.select(x, 1, index[0])",
    "selu": "F.selu(x)",
    "SELU": "torch.nn.SELU()(x)",
    "signbit": "torch.signbit(x)",
    "sinc": "torch.sinc(x)",
    "sinh": "torch.sinh(x)",
    "smooth_l1_loss": "F.smooth_l1_loss(x, y)",
    "SmoothL1Loss": "torch.nn.SmoothL1Loss()(x, y)",
    "softmin": "F.softmin(x, dim)",
    "Softmin": "torch.nn.Softmin(dim)(x)",
    "softsign": "F.softsign(x)",
    "Softsign": "torch.nn.Softsign()(x)",
    "std_mean": "torch.std_mean(x)",
    "take": "torch.take(x, index)",
    "tan": "torch.tan(x)",
    "tanhshrink": "F.tanhshrink(x)",
    "trace": "torch.trace(x)",
    "trapezoid": "torch.trapezoid(x[0])",
    "trapz": "torch.trapz(x[0])",
    "tril_indices": "torch.tril_indices(n, n)",
    "triu_indices": "torch.triu_indices(n, n)",
    "trunc": "torch.trunc(x)",
    "unique_consecutive": "torch.unique_consecutive(x[0].round())",
    "var_mean": "torch.var_mean(x)",
    "vsplit": "torch.vsplit(x, n)",
    "vstack": "torch.vstack(tensors)",
    "xlogy": "torch.xlogy(x, p)",
}

# The advice is for x (and y) of another form than a matrix: what they are then.
OF = {
    "acosh": {"x": "x + 3"},
    "addmv": {"b": "b[0]", "y": "y[0]"},
    "atanh": {"x": "x / 4"},
    "atleast_1d": {"x": "x.sum()"},
    "atleast_2d": {"x": "x[0]"},
    "bucketize": {"y": "y.sort().values[0]"},
    "column_stack": {"tensors": "[t[0] for t in tensors]"},
    "cumprod": {"x": "p"},
    "diag": {"x": "x[0]"},
    "float_power": {"x": "p"},
    "is_nonzero": {"x": "x[:1, :1]"},
    "logit": {"x": "p"},
    "prelu": {"weight": "weight[:1]"},
    "PReLU": {"weight": "weight[:1]"},
    "searchsorted": {"x": "x[0].sort().values"},
    "select": {"index": "index[0]"},
    "trapezoid": {"x": "x[0]"},
    "trapz": {"x": "x[0]"},
    "unique_consecutive": {"x": "x[0].round()"},
    "xlogy": {"y": "p"},
}

# Expressions that are no more than a hint, or that no function of torch's gives as a whole.
HINTS = set(
    """amp autocast Storage storage untyped_storage FloatTensor LongTensor DoubleTensor IntTensor BoolTensor hub finfo
    half iinfo mode pdist quantile broadcast_tensors default_generator func onnx storage_offset""".split()
)


def setting(m: Any) -> dict[str, Any]:
    """The variables of the table, the same numbers in either library."""
    rng = np.random.default_rng(3)
    x, y, z, b, p = (m.tensor(rng.normal(size=(4, 4)) * 2) for _ in range(5))
    given = {
        "x": x, "y": y, "z": z, "b": b, "p": p.sigmoid(), "target": y.softmax(-1),
        "weight": m.tensor([0.3, 1.0, 2.0, -1.0]),
        "mask": x > 0, "values": y[0], "tensors": [x, y], "index": m.tensor([2, 0, 1]), "value": 0.7, "n": 2, "dim": 1,
        "start": 1, "length": 2, "end": 3, "steps": 5, "low": 2, "high": 9, "eps": 1e-5, "rtol": 0.5, "atol": 0.1,
    }  # fmt: skip
    given["weight"] = given["weight"].to(x.dtype)
    return given | {"math": math, "numpy": np, "torch": torch, "F": torch.nn.functional}


def expression(advice: str) -> str | None:
    """The expression that the advice begins with, None if it is prose or names one thing alone."""
    ends = [len(advice), *(match.start() for match in re.finditer(r"[,:] ", advice))]
    for end in sorted(ends, reverse=True):
        try:
            tree = ast.parse(advice[:end], mode="eval").body
        except SyntaxError:
            continue
        prose = all(isinstance(part, ast.Name | ast.Attribute | ast.Tuple | ast.Load) for part in ast.walk(tree))
        return None if prose or isinstance(tree, ast.BoolOp) else advice[:end]  # "gather", "unfold and Linear"
    return None


def numbers(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return [numbers(x) for x in result]
    return result.detach().numpy() if hasattr(result, "detach") else result


def test_every_expression_is_tried() -> None:
    found = {name for name, advice in names.INSTEAD.items() if expression(advice) is not None}
    assert sorted(found - set(THEIRS) - HINTS) == [] and sorted(set(THEIRS) - found) == []


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("name", THEIRS)
def test_the_advice_gives_torchs_result(name: str) -> None:
    ours, theirs = setting(mg), setting(torch)
    spaces = {**vars(mg.nn.functional), **vars(mg)}
    ours = {**spaces, **ours, "inf": math.inf, "pi": math.pi, "bool": bool}
    ours |= {what: eval(text, ours) for what, text in OF.get(name, {}).items()}
    if name.startswith("nan"):
        for x in (ours["x"], theirs["x"]):
            x[0, 1] = math.nan
    mg.manual_seed(5)
    torch.manual_seed(5)
    got, want = numbers(eval(expression(names.INSTEAD[name]), ours)), numbers(eval(THEIRS[name], theirs))
    if name == "result_type":
        assert str(want) == f"torch.{got}"
    elif isinstance(want, list):
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-6)
    else:
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)
        assert np.asarray(got).dtype == np.asarray(want).dtype


@pytest.mark.parametrize("name", [n for n, advice in names.INSTEAD.items() if re.fullmatch(r"[A-Za-z_]\w*", advice)])
def test_a_single_name_is_there(name: str) -> None:
    spaces = [mg, mg.Tensor, mg.nn, mg.nn.functional, mg.optim, mg.optim.lr_scheduler]
    assert any(hasattr(space, names.INSTEAD[name]) for space in spaces)


def test_advice_that_is_a_statement() -> None:
    for m in (mg, torch):
        x, mask, values = m.arange(6.0).view(2, 3), m.tensor([[True, False, True], [False, True, False]]), m.ones(6) * 9
        y = x.clone()
        y[mask] = values[: mask.sum()]
        assert (
            y.tolist()
            == torch.arange(6.0).view(2, 3).masked_scatter(torch.tensor(mask.tolist()), torch.ones(6) * 9).tolist()
        )
        y.view(-1)[m.tensor([0, 4])] = m.tensor([5.0, 6.0])
        assert y.tolist() == [[5.0, 1.0, 9.0], [3.0, 6.0, 5.0]]
