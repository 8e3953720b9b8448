"""torch's names: those that code of the lectures calls are there and do as torch's; those left out say so."""

import copy
import pickle
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import names

BOTH = pytest.mark.parametrize("m", [mg, torch], ids=["minigrad", "torch"])

WANTED = {
    "": """
        Generator all allclose any arange argmax cat clamp cumsum einsum empty equal exp eye
        from_numpy full full_like gather autograd.grad histogram histc inference_mode is_tensor
        isnan linspace load save log log10 logsumexp manual_seed matmul maximum mean multinomial
        no_grad norm normal ones ones_like outer pow prod rand randint randn randperm roll round
        set_printoptions set_num_threads sigmoid sign softmax sort sqrt square stack std sum tanh
        tensor tensordot topk tril triu unique var where zeros zeros_like float float32 float64
        double long int32 int64 uint8 bool device cuda.is_available Size""",
    "Tensor": """
        all allclose any argmax clamp cumsum equal exp gather histc isnan log log10 logsumexp matmul
        maximum mean multinomial norm outer pow prod roll round sigmoid sign softmax sort sqrt
        square std sum tanh topk tril triu unique var where abs add_ backward bool byte clone
        contiguous copy_ cos data detach device dim double element_size expand expand_as fill_
        flatten float grad grad_fn item long masked_fill max mul_ ndim ne nelement new_zeros nonzero
        normal_ numel numpy permute pow repeat requires_grad_ reshape scatter scatter_ shape size
        split squeeze is_contiguous sub_ T tile to tolist transpose type unbind unfold uniform_
        unsqueeze view view_as zero_ __contains__ __iter__ __len__ __bool__ __index__ __format__
        __dlpack__ __dlpack_device__""",
    "nn": """
        Module ModuleList ModuleDict Sequential Parameter Linear Embedding BatchNorm1d LayerNorm
        Tanh ReLU GELU Sigmoid Softmax Dropout Flatten CrossEntropyLoss MSELoss init.calculate_gain
        init.constant_ init.eye_ init.kaiming_normal_ init.kaiming_uniform_ init.normal_ init.ones_
        init.uniform_ init.xavier_normal_ init.xavier_uniform_ init.zeros_""",
    "nn.functional": """
        one_hot linear embedding batch_norm relu gelu softmax log_softmax cross_entropy nll_loss
        layer_norm dropout pad sigmoid tanh binary_cross_entropy binary_cross_entropy_with_logits
        mse_loss normalize scaled_dot_product_attention""",
    "optim": "SGD Adam AdamW lr_scheduler.StepLR lr_scheduler.LambdaLR lr_scheduler.CosineAnnealingLR",
    "utils.data": "TensorDataset DataLoader RandomSampler",
}


def reach(space: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        space = getattr(space, part)
    return space


@pytest.mark.parametrize(("space", "name"), [(s, n) for s, found in WANTED.items() for n in found.split()])
def test_the_name_is_there_in_both(space: str, name: str) -> None:
    for m in (torch, mg):
        reach(reach(m, space), name)


# ------------------------------------------------------------------------------------ what is not there says so

SPACES = [mg, mg.Tensor, mg.nn, mg.nn.functional, mg.nn.init, mg.optim, mg.optim.lr_scheduler]
THEIRS = [
    torch,
    torch.Tensor,
    torch.nn,
    torch.nn.functional,
    torch.nn.init,
    torch.optim,
    torch.optim.lr_scheduler,
]


@pytest.mark.parametrize("name", names.INSTEAD)
def test_a_name_left_out_is_torchs_and_is_not_here(name: str) -> None:
    assert any(hasattr(space, name) for space in THEIRS), "torch has no such name either"
    for theirs, ours in zip(THEIRS, SPACES, strict=True):
        found = getattr(ours, name, types)
        assert isinstance(found, types.ModuleType) or not hasattr(theirs, name), f"{ours} has it"


def test_the_error_says_what_to_use() -> None:
    with pytest.raises(AttributeError, match=r"^minigrad has no hstack: use cat\(tensors, 1\), of vectors cat"):
        mg.hstack  # noqa: B018
    with pytest.raises(AttributeError, match=r"^minigrad has no nonsense$"):
        mg.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match=r"^minigrad has no softmaxx: did you mean softmax\?$"):
        mg.softmaxx  # noqa: B018
    with pytest.raises(AttributeError, match=r"Tensor has no greater_: use copy_\(\) with the result of greater\(\)$"):
        mg.ones(2).greater_  # noqa: B018
    with pytest.raises(
        AttributeError, match=r"has no addcmul_: use copy_\(\) with the result of x \+ value \* \(y \* z\)"
    ):
        mg.ones(2).addcmul_  # noqa: B018
    with pytest.raises(AttributeError, match=r"minigrad.nn.init has no orthogonal_: use numpy.linalg.qr"):
        mg.nn.init.orthogonal_  # noqa: B018
    with pytest.raises(AttributeError, match=r"minigrad's Tensor has no half: use float\(\)"):
        mg.ones(2).half()
    with pytest.raises(AttributeError, match=r"minigrad.nn has no Conv1d: use unfold and Linear"):
        mg.nn.Conv1d(1, 1, 1)
    with pytest.raises(AttributeError, match=r"minigrad.nn.functional has no group_norm"):
        mg.nn.functional.group_norm  # noqa: B018
    with pytest.raises(AttributeError, match=r"minigrad.optim has no RMSprop: use Adam"):
        mg.optim.RMSprop  # noqa: B018
    assert not hasattr(mg.ones(1), "nonsense") and not hasattr(mg, "__path_of_nothing__")


@pytest.mark.parametrize("alias", names.ALIASES | names.FUNCTION_ALIASES)
def test_another_spelling_is_the_same_function(alias: str) -> None:
    of = names.spelling(alias)
    assert of and getattr(mg, alias) is getattr(mg, of) and hasattr(torch, alias)
    assert alias in names.FUNCTION_ALIASES or getattr(mg.Tensor, alias) is getattr(mg, of)


def test_the_page_is_made_from_this_table() -> None:
    folder = Path(__file__).resolve().parents[1] / "docs"
    sys.path.insert(0, str(folder))
    try:
        import from_torch
    finally:
        sys.path.remove(str(folder))
    assert (folder / "from-torch.md").read_text() == from_torch.page(), "docs/from-torch.md is old: make from-torch"


def test_importing_minigrad_loads_numpy_and_little_else() -> None:
    code = "import sys, minigrad; print([m for m in sys.modules if m in {!r}])"
    loaded = ("minigrad.nn", "minigrad.check", "minigrad.optim", "minigrad.storage", "minigrad.utils", "torch", "json")
    found = subprocess.run([sys.executable, "-c", code.format(loaded)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# ----------------------------------------------------------------------------------------- what they do in both


@BOTH
def test_size(m: Any) -> None:
    size = m.zeros(2, 3, 4).shape
    assert size == (2, 3, 4) and size == (2, 3, 4) and size != (2, 3) and hash(size) == hash((2, 3, 4))
    assert str(size) == repr(size) == f"{size}" == "torch.Size([2, 3, 4])" and type(size) is m.Size
    assert size.numel() == 24 and len(size) == 3 and list(size) == [2, 3, 4]
    assert type(size[1:]) is m.Size and size[-1] == 4 and type(size + (1,)) is m.Size and (1,) + size == (1, 2, 3, 4)
    assert size * 2 == (2, 3, 4, 2, 3, 4) and m.Size([1, 2]) == (1, 2) and m.zeros(size).shape == size
    assert pickle.loads(pickle.dumps(size)) == size and m.tensor(1.0).shape == () and m.ones(2, 3).size(-1) == 3


@BOTH
def test_results_print_their_names(m: Any) -> None:
    x = m.tensor([3.0, 1.0, 2.0])
    assert repr(x.sort()) == "torch.return_types.sort(\nvalues=tensor([1., 2., 3.]),\nindices=tensor([1, 2, 0]))"
    assert repr(x.max(0)) == "torch.return_types.max(\nvalues=tensor(3.),\nindices=tensor(0))"
    values, indices = m.topk(x, 2)
    assert values.tolist() == [3.0, 2.0] and indices.tolist() == [0, 2] and x.min(0).indices.item() == 1


@BOTH
def test_device(m: Any) -> None:
    cpu = m.device("cpu")
    assert str(cpu) == "cpu" and repr(cpu) == "device(type='cpu')" and cpu == m.ones(1).device and cpu.type == "cpu"
    assert m.device("cpu:0") != cpu and m.device("cpu", 0).index == 0 and not m.cuda.is_available()
    assert (
        m.zeros(2, device=cpu).to("cpu").shape == (2,) and m.rand(2, device="cpu").to(cpu, m.float64).dtype == m.float64
    )
    assert not m.ones(1).is_cuda and m.tensor([1], device="cpu").tolist() == [1]
    assert {cpu: 1}[m.device("cpu")] == 1 and not m.backends.mps.is_available()


def test_no_other_device() -> None:
    for call in (lambda: mg.device("cuda"), lambda: mg.zeros(2, device="cuda:0"), lambda: mg.ones(1).cuda()):
        with pytest.raises(RuntimeError, match=r"only the cpu, got device 'cuda"):
            call()


@BOTH
def test_threads_and_modes(m: Any) -> None:
    before = m.get_num_threads()
    m.set_num_threads(before)
    assert m.get_num_threads() == before
    with pytest.raises(RuntimeError):
        m.set_num_threads(0)
    x = m.ones(2, requires_grad=True)
    with m.inference_mode():
        assert not (x * 2).requires_grad
    with m.inference_mode(False):
        assert (x * 2).requires_grad

    @m.inference_mode()
    def f() -> Any:
        return x * 2

    assert not f().requires_grad and m.is_grad_enabled()
    assert m.is_tensor(x) and not m.is_tensor(1) and isinstance(x.dtype, m.dtype)


@BOTH
def test_tensor_as_a_python_value(m: Any) -> None:
    t = m.tensor([1.5, 2.5])
    assert 1.5 in t and 7 not in t and m.tensor(2.5) in t
    assert f"{t.sum():.3f}" == "4.000" and f"{t[0].item():.1f}" == "1.5"
    assert [x.item() for x in t] == [1.5, 2.5] and list(range(5))[m.tensor(2)] == 2 and bool(m.tensor([3]))
    with pytest.raises(RuntimeError):
        "a" in t  # noqa: B015
    with pytest.raises(TypeError):
        f"{t:.3f}"
    assert t.stride() == (1,) and m.ones(2, 3).T.stride() == (1, 3) and m.ones(2, 3).stride(0) == 3
    assert t.element_size() == t.itemsize == 4 and t.nbytes == 8 and t.data_ptr() == t[:1].data_ptr()


@BOTH
def test_new_ones_like_it(m: Any) -> None:
    x = m.ones(2, dtype=m.float64)
    for made, values in (
        (x.new_zeros(2, 1), [[0.0], [0.0]]),
        (x.new_zeros((1, 2)), [[0.0, 0.0]]),
        (x.new_ones(1), [1.0]),
        (x.new_full((2,), 3), [3.0, 3.0]),
        (x.new_tensor([1, 2]), [1.0, 2.0]),
    ):
        assert made.dtype == m.float64 and made.tolist() == values
    assert x.new_zeros(2, dtype=m.int64).dtype == m.int64 and x.new_empty((2, 3)).shape == (2, 3)
    assert x.new_ones(2, requires_grad=True).requires_grad


@BOTH
def test_detach_in_place(m: Any) -> None:
    x = m.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match="detach"):
        (x * 2)[:1].detach_()


COUNTS: list[Callable[[Any, Any], Any]] = [
    lambda m, x: m.histc(x, 7),
    lambda m, x: m.histc(x, bins=4, min=-1, max=2),
    lambda m, x: x.histc(5, 0, 1),
    lambda m, x: m.histc(m.ones(3, dtype=x.dtype), 4),
    lambda m, x: m.histc(m.ones(0, dtype=x.dtype), 3),
    lambda m, x: list(m.histogram(x, 6)),
    lambda m, x: list(m.histogram(x, 4, range=(-1.0, 1.0), weight=x.abs())),
    lambda m, x: list(x.histogram(m.tensor([-2.0, 0.0, 0.5, 3.0], dtype=x.dtype), density=True)),
    lambda m, x: m.bincount((x * 2).abs().long()),
    lambda m, x: m.bincount((x * 2).abs().long(), weights=x, minlength=20),
    lambda m, x: list(m.unique((x * 2).long(), return_counts=True)),
    lambda m, x: m.unique(x > 0),
]


@pytest.mark.parametrize("case", range(len(COUNTS)))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_counts(case: int, dtype: str) -> None:
    array = np.random.default_rng(case).standard_normal(300).astype(dtype)
    got, want = (COUNTS[case](m, m.tensor(array)) for m in (mg, torch))
    got, want = (x if isinstance(x, list) else [x] for x in (got, want))
    for g, w in zip(got, want, strict=True):
        assert str(g.dtype) == str(w.dtype).removeprefix("torch.") and g.shape == tuple(w.shape)
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-5)


REFUSED: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda m: m.topk(m.ones(3), 4), RuntimeError, "k=4"),
    (lambda m: m.topk(m.tensor([True]), 1), RuntimeError, "bool"),
    (lambda m: m.sort(m.ones(3), 1), IndexError, "1"),
    (lambda m: m.ones(3).unfold(0, 4, 1), RuntimeError, "4"),
    (lambda m: m.ones(3).unfold(0, 2, 0), RuntimeError, "step"),
    (lambda m: m.tensordot(m.ones(2, 3), m.ones(2, 3), 3), RuntimeError, "3"),
    (lambda m: m.tensordot(m.ones(2, 3), m.ones(2, 4), 1), RuntimeError, "pair up"),
    (lambda m: m.histc(m.tensor([1, 2]), 3), NotImplementedError, "int64"),
    (lambda m: m.histc(m.ones(2), 0), RuntimeError, "bins"),
    (lambda m: m.histc(m.ones(2), 3, 2, 1), RuntimeError, "max must be larger"),
    (lambda m: m.histc(m.tensor([1.0, float("inf")]), 3), RuntimeError, "finite"),
    (lambda m: m.bincount(m.tensor([-1])), RuntimeError, "non-negative"),
    (lambda m: m.nn.functional.pad(m.ones(2), (1, 1, 1, 1)), RuntimeError, "1 dimensions"),
    (lambda m: m.nn.functional.gelu(m.ones(2), approximate="x"), RuntimeError, "approximate"),
    (lambda m: m.nn.functional.binary_cross_entropy(m.ones(2) * 2, m.ones(2)), RuntimeError, "between 0 and 1"),
    (lambda m: m.nn.functional.binary_cross_entropy_with_logits(m.ones(2), m.ones(3)), ValueError, "must be the same"),
    (lambda m: m.ones(2, requires_grad=True).__dlpack__(), BufferError, "detach"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused_with_torchs_class_of_error(case: int) -> None:
    call, error, says = REFUSED[case]
    with pytest.raises(error):
        call(torch)
    with pytest.raises(error, match=says):
        call(mg)


# ------------------------------------------------------------------------------------------------ beside it


@BOTH
def test_pickle_and_deepcopy(m: Any) -> None:
    x = m.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y is not x and y.requires_grad and y.tolist() == [1.0, 2.0] and y.dtype == m.float32
    model = m.nn.Sequential(m.nn.Linear(2, 3), m.nn.Tanh())
    again = copy.deepcopy(model)
    again[0].weight.data.zero_()
    assert model[0].weight.abs().sum().item() > 0


def test_dlpack_both_ways_with_numpy_and_torch() -> None:
    for dtype in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"):
        ours = mg.ones(2, 3, dtype=getattr(mg, dtype))
        theirs, array = torch.from_dlpack(ours), np.from_dlpack(ours)
        ours[0, 1] = 0
        assert theirs[0, 1].item() == 0 and array[0, 1] == 0 and str(theirs.dtype) == f"torch.{dtype}"
        for other in (torch.arange(6).to(getattr(torch, dtype)), np.arange(6).astype(dtype)):
            back = mg.from_dlpack(other)
            other[5] = 0
            assert back.dtype == dtype and back.tolist() == other.tolist()
    assert torch.from_dlpack(mg.tensor(2.0) * 3).item() == 6 and mg.from_dlpack(torch.ones(2, 3).T).shape == (3, 2)
    assert mg.ones(1).__dlpack_device__()[0] == 1


def test_matplotlib_takes_tensors() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    x = mg.linspace(-1, 1, 12)
    figure, axes = plt.subplots(1, 4)
    assert axes[0].imshow(mg.randn(3, 4), cmap="gray").get_array().shape == (3, 4)
    (line,) = axes[1].plot(x, mg.tanh(x))
    np.testing.assert_array_equal(line.get_ydata(), mg.tanh(x).numpy())
    counts, _, _ = axes[2].hist(mg.randn(5, 4).view(-1).tolist(), bins=5)
    assert counts.sum() == 20
    axes[3].scatter(x, x * x, c=x)
    axes[3].bar([0, 1], mg.ones(2))
    figure.canvas.draw()
    plt.close(figure)


@BOTH
def test_pandas_takes_tensors(m: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: Tensors in a DataFrame are not tried")
    frame = pandas.DataFrame({"x": m.arange(3).numpy(), "y": m.ones(3), "n": m.arange(3), "b": m.arange(3) > 0})
    assert frame.dtypes.astype(str).to_dict() == {"x": "int64", "y": "float32", "n": "int64", "b": "bool"}
    assert frame["y"].sum() == 3 and frame["n"].tolist() == [0, 1, 2] and frame["b"].tolist() == [False, True, True]
    assert pandas.DataFrame(m.ones(2, 3, dtype=m.float64)).values.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert pandas.Series(m.ones(4)).mean() == 1 and frame["x"].iloc[m.tensor([0, 2])].tolist() == [0, 2]
    x = m.ones(3)
    series = pandas.Series(x)
    series.iloc[0] = 7
    assert x.tolist() == [7, 1, 1]  # the memory is shared
    back = m.tensor(frame[["x", "y"]].to_numpy())
    assert back.dtype == m.float64 and tuple(back.shape) == (3, 2)
    # What requires grad would lose its graph: both refuse, and say what to do.
    for made in (lambda x: pandas.DataFrame({"y": x}), lambda x: pandas.DataFrame(x[None]), pandas.Series):
        with pytest.raises(RuntimeError, match="detach"):
            made(m.ones(3, requires_grad=True))
        with pytest.raises(RuntimeError, match="detach"):
            made(m.ones(3, requires_grad=True) * 2)
    assert pandas.Series(m.ones(3, requires_grad=True).detach()).sum() == 3


def test_a_column_from_a_tensor() -> None:
    """In minigrad alone: torch's __array__ does not take numpy 2's copy, which pandas warns of."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: Tensors in a DataFrame are not tried")
    frame = pandas.DataFrame({"x": [1.0, 2.0, 3.0]})
    frame["y"] = mg.arange(3.0)
    assert (frame["x"] + mg.ones(3)).tolist() == [2, 3, 4] and frame["y"].tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="detach"):
        frame["z"] = mg.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        frame["x"] + mg.ones(3, requires_grad=True)
    assert list(frame.columns) == ["x", "y"]
    assert mg.tensor(frame).tolist() == [[1, 0], [2, 1], [3, 2]]


@BOTH
def test_matplotlib_refuses_what_requires_grad(m: Any) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    with pytest.raises(RuntimeError, match="detach"):
        axes.plot(m.ones(3, requires_grad=True))
    plt.close(figure)


def test_scikit_learn_takes_tensors() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed: it is not tried")
    x = mg.randn(50, 2, generator=mg.Generator().manual_seed(0))
    fitted = linear.LinearRegression().fit(x, x @ mg.tensor([2.0, -1.0]))
    np.testing.assert_allclose(fitted.coef_, [2, -1], atol=1e-4)
    assert np.allclose(fitted.predict(x), x @ mg.tensor([2.0, -1.0]), atol=1e-4)
