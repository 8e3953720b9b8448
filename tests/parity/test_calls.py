"""The forms in which code calls torch: each line, run in torch and in minigrad, gives the same or is refused alike.

The same: value, dtype, shape, requires_grad, and the type of the result (a Tensor, a number, a tuple, its names).
Alike: an error of torch's class, or of one derived from it.
"""

import builtins
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional

import minigrad as mg

LINES = """
# dim, axis, keepdim
x.sum(0, 1)
x.sum(True)
x.mean(False)
x.sum(dim=(0, 1), keepdim=True)
x.max(keepdim=True)
x.min(1, keepdim=True)
x.amax(True)
x.logsumexp(axis=1)
x.logsumexp(axis=1, keepdims=True)
x.logsumexp((0, 1))
torch.logsumexp(x)
torch.logsumexp(x, None)
x.all(dim=())
x.any(dim=())
i.all(dim=[])
x.softmax((0, 1))
x.softmax(True)
i.softmax(0)
i.log_softmax(0)
torch.argmax(b)
torch.cumsum(x, True)
torch.norm(x, dtype=torch.float64)
torch.norm(x, None)
torch.norm(x, 'x')
torch.norm(x, 2, 1, True)
torch.norm(torch.zeros(0), -1)
torch.var(x, correction=None)
torch.var(x, 0, unbiased=False, correction=1)
torch.squeeze(x[None], axis=0)
x.unsqueeze(axis=1)
x.unsqueeze()
torch.unbind(x, axis=1)
x.swapaxes(axis0=0, axis1=1)
torch.swapaxes(x, 0, 1)
t(1.0).flatten(1)
t(1.0).transpose(0, 1)
# median
x.median()
x.median(0)
x.median(dim=1, keepdim=True)
torch.median(x, dim=-1)
torch.median(x, axis=1)
x.median(1, keepdims=True)
x.median(2)
x.median(keepdim=True)
b.median()
b.median(0)
i.median(1)
t(2.0).median(0)
t(2.0).median(1)
torch.median(t([[1.0, nan, 3.0, nan], [4.0, 3.0, 2.0, 1.0]]), 1)
torch.zeros(2, 0).median(1)
torch.zeros(2, 0).median(0)
torch.zeros(0).median()
repr(x.median(0))
# shapes by name, in several forms
x.view(size=(3, 2))
x.reshape(shape=(3, 2))
x.reshape_as(x.T)
x.ndimension()
x.permute(dims=(1, 0))
x.expand(size=(4, 2, 3))
torch.broadcast_to(x, (4, 2, 3))
x.broadcast_to((4, 2, 3))
x.repeat(repeats=(2, 1))
torch.tile(x, dims=(2,))
torch.flip(x, dims=[0])
x.flip(dims=(0, 1))
torch.roll(x, (1, 2))
torch.roll(x, 1, [0])
torch.roll(x, [1, -1], [0, 1])
torch.movedim(x[None], (0, 1), (1, 2))
torch.movedim(x, (0, 0), (1, 0))
torch.numel(x)
torch.zeros(size=(2, 3))
torch.zeros()
torch.zeros(())
torch.rand(size=(2,))
torch.randn(size=[2, 17])
x.new_zeros(size=(2,))
torch.eye(-1)
torch.cat([])
torch.stack([])
# made of data
torch.as_tensor([1, 2])
torch.as_tensor([1, 2], dtype=torch.float32)
torch.as_tensor(np.ones(2), dtype=torch.float32)
torch.as_tensor(x) is x
torch.as_tensor(3)
torch.asarray([1.5])
t([np.float64(2.0), 1.0])
t([np.float32(2.0), np.float32(1.0)])
t([np.array([1.0, 2.0]), np.array([3.0, 4.0])])
t([t(1.0), t(2.0)])
t([t([1.0]), t([2.0])])
t([t(1.0, dtype=torch.float64), 2.0])
t([x, x])
t(1, dtype=float)
torch.zeros(2, dtype=float)
i.to(float)
torch.arange(end=3)
torch.arange(0, 2.5, dtype=torch.int64)
torch.arange(nan)
torch.arange(0, inf)
torch.linspace(t(0.0), t(1.0), 5)
torch.linspace(0, 1, -1)
torch.newaxis
torch.pi + torch.e + torch.inf
torch.nn.functional.one_hot(t([1], dtype=torch.int32), 3)
# numbers and types out
int(x)
float(i)
int(t([2.7]))
i.type()
x.type()
b.type()
i.to(torch.uint8).type()
x.type('torch.DoubleTensor')
x.type(torch.int64)
f"{t(2.5):.2f} {t(2.5)}"
# operators
-b
abs(b)
i // 0
i % 0
i // t([0, 1, 1])
7 % t([0])
torch.div(i, 0, rounding_mode='floor')
x // 0
x & 1
x @ 2
torch.bmm(torch.ones(2, 2, 3), torch.ones(1, 3, 1))
torch.div(x, 2, rounding_mode='up')
torch.clamp(x)
torch.where(i, x, x)
x.masked_fill(b, t([1.0]))
x.fill_(t([1.0]))
torch.equal(x, 1.0)
torch.equal(x, [1.0])
torch.allclose(x, i)
torch.allclose(x, x.double())
torch.allclose(x, x[:, :2])
torch.bincount(x[0])
# einsum
torch.einsum('ij,ij->ij', torch.ones(1, 3), x)
torch.einsum('ij,jk->ik', x, torch.ones(1, 2))
torch.einsum('...i,...i->...', torch.ones(4, 1, 3), x)
torch.einsum('ij,ij->ij', torch.ones(4, 3), x)
torch.einsum('ii->i', torch.ones(1, 3))
torch.einsum('ij,jk->ik', i, x.T)
# an index in a list
x[[t(0), t(1)]]
x[[0, t(1)]]
x[[[0, 1], [1, 0]]]
x[[slice(1), 0]]
x[[0, 1]]
x[:, [[0, 1], [1, 0]]]
x[[None, 0]]
x[0.0:1]
# in order of memory
x[:, [0, 1]].view(-1)
x[None][:, :, [0, 2]].view(-1)
torch.cat([x.T, x.T], 1).view(-1)
torch.stack([x.T, x.T]).view(-1)
torch.einsum('abc,abd->acd', x[None], x[None]).view(-1)
torch.einsum('ij->ji', x).view(-1)
# by chance
str(torch.Generator().device)
torch.Generator(torch.device('cpu')).device == x.device
torch.randint(0, 10, 3)
torch.randint(0, 10)
torch.randint(0, 1000, (3,), dtype=torch.uint8)
torch.randint(0, 3, (3,), dtype=torch.bool)
torch.randint(0, 2, (3,), dtype=torch.bool)
torch.normal(i, 1.0)
torch.normal(0.0, x)
torch.multinomial(t([1.0, 0.0, 0.0, 2.0]), 4)
# counts
torch.histogram(x, density=True)
torch.histogram(x, 0)
torch.histogram(torch.zeros(0), 3)
torch.unique(x, 0)
torch.unique(torch.zeros(2, 0), dim=0)
torch.unique(torch.zeros(2, 0), dim=1)
t(1.0).unique(dim=0)
# grad
setattr(x, 'grad', 3)
setattr(x, 'grad', x.double())
setattr(x, 'grad', x[:1])
"""


def described(result: Any, m: Any) -> Any:
    if isinstance(result, m.Tensor):
        array = result.detach().numpy()
        return "Tensor", str(array.dtype), array.shape, result.requires_grad, array
    if isinstance(result, m.Size):
        return "Size", tuple(result)
    if isinstance(result, tuple):
        return type(result).__name__.rpartition(".")[2], [described(x, m) for x in result]
    return type(result), result


def given(m: Any) -> dict[str, Any]:
    x = m.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])
    return {"torch": m, "x": x, "i": x.long(), "b": x > 0, "t": m.tensor, "np": np, "nan": math.nan, "inf": math.inf}


def ran(line: str, m: Any) -> Any:
    names = given(m)
    m.manual_seed(0)
    try:
        return "gives", described(eval(line, names), m)
    except Exception as error:
        return "raises", type(error)


def assigned(name: str, line: str, m: Any) -> Any:
    names = given(m)
    before = names[name]
    try:
        exec(line, names)
    except Exception as error:
        return "raises", type(error)
    return "gives", described((before, names[name] is before), m)


def assert_same(got: Any, want: Any) -> None:
    if isinstance(want, np.ndarray):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
    elif isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_same(g, w)
    else:
        assert got == want or (isinstance(want, float) and math.isnan(want) and math.isnan(got))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", [x for x in LINES.strip().splitlines() if not x.startswith("#")])
def test_the_same_or_refused_alike(line: str) -> None:
    (how, want), (ours, got) = ran(line, torch), ran(line, mg)
    assert ours == how, f"torch {how} {want}, minigrad {ours} {got}"
    if how == "raises":
        assert issubclass(got, getattr(builtins, want.__name__)), (
            f"torch raises {want.__name__}, minigrad {got.__name__}"
        )
    else:
        assert_same(got, want)


@pytest.mark.parametrize("operator", "+= -= *= /= //= %= **= &= |= ^=".split())
@pytest.mark.parametrize("name", ["i", "x", "b"])
def test_assignment_operators_change_the_tensor_itself(operator: str, name: str) -> None:
    for other in ("2", "2.5", "True", "t([1, 2, 3])", "t([True, True, False])", "t(2.0)", "0"):
        if (name, operator, other) == ("b", "**=", "True"):
            continue  # bools to a power are int64 here
        (how, want), (ours, got) = (assigned(name, f"{name} {operator} {other}", m) for m in (torch, mg))
        assert ours == how, (other, want, got)
        if how == "raises":
            assert issubclass(got, want), other
        else:
            assert_same(got, want)


@pytest.mark.parametrize("shape", [(5,), (2, 4), (3, 1, 6), (2, 7, 3)])
def test_median_along_a_dim_and_its_gradient(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(len(shape)).standard_normal(shape)
    holes = array.copy()
    holes.flat[[0, -1]] = math.nan
    for data in (array, holes):
        for dim in range(-len(shape), len(shape)):
            for keepdim in (False, True):
                found = []
                for m in (mg, torch):
                    x = m.tensor(data, requires_grad=True)
                    values, indices = m.median(x, dim, keepdim)
                    up = m.arange(1.0, values.numel() + 1, dtype=m.float64).reshape(values.shape)
                    found.append([values, indices, *m.autograd.grad((values * up).sum(), [x])])
                for ours, theirs in zip(*found, strict=True):
                    np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
