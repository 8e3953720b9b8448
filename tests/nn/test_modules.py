"""Modules: the tree, its parameters and state, and the layers beside torch's."""

import copy
import pickle

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn


def copied(ours, theirs):
    """Give our module the values of torch's."""
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})


def close(ours, theirs, tolerance=1e-5):
    theirs = theirs.detach().numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(np.asarray(ours.array), theirs, rtol=tolerance, atol=tolerance)


class Net(nn.Module):
    """A parameter of its own, a buffer, children, a tied weight, and things that are none of these."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(mg.ones(3))
        self.register_buffer("seen", mg.zeros(2))
        self.register_buffer("scratch", mg.zeros(1), persistent=False)
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
        self.head = nn.Linear(3, 3, bias=False)
        self.tied = self.head.weight
        self.note = "text"
        self.plain = mg.zeros(2, requires_grad=True)

    def forward(self, x):
        return self.head(self.layers(x) * self.scale)


NAMES = ["scale", "tied", "layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]


# ------------------------------------------------------------------------------------------------ the tree


def test_parameters_are_found_each_once_and_other_tensors_not():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert len(list(net.parameters())) == 6
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)] == [*NAMES, "head.weight"]
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale", "net.tied"]
    assert [name for name, _ in net.named_buffers()] == ["seen", "scratch"]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad and p.is_leaf for p in net.parameters())


def test_the_same_tree_as_torchs():
    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.register_buffer("seen", torch.zeros(2))
            self.register_buffer("scratch", torch.zeros(1), persistent=False)
            self.layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
            self.head = torch.nn.Linear(3, 3, bias=False)
            self.tied = self.head.weight

    ours, theirs = Net(), Theirs()
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, listing)()] == [n for n, _ in getattr(theirs, listing)()], listing
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs).replace("Theirs", "Net")


def test_a_shared_module_appears_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.Tanh(), layer)
    assert len(list(net.parameters())) == 2 and len(list(net.modules())) == 3 and len(list(net.children())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_tied_parameter_gets_both_gradients():
    net = Net()
    x = mg.randn(5, 3)
    (net.head(x).sum() + (net.tied * 2).sum()).backward()
    np.testing.assert_allclose(net.tied.grad.array, x.array.sum(0) + 2 + np.zeros((3, 3)), rtol=1e-5, atol=1e-5)


def test_attributes_change_their_kind():
    net = Net()
    net.scale = None
    assert net.scale is None and "scale" not in dict(net.named_parameters())
    net.note = nn.Parameter(mg.ones(1))
    assert "note" in dict(net.named_parameters()) and "note" not in vars(net)
    net.seen = mg.ones(2)
    assert dict(net.named_buffers())["seen"].tolist() == [1, 1]
    del net.layers
    assert [name for name, _ in net.named_parameters()] == ["tied", "note"]
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'layers'"):
        _ = net.layers
    assert net.get_submodule("head") is net.head and "head" in dir(net)


def early(value):
    class Early(nn.Module):
        def __init__(self):
            self.x = value

    return Early


def unnamed(name):
    return lambda: nn.Module().register_buffer(name, None)


REFUSED = [
    (lambda: setattr(nn.Linear(2, 2), "weight", mg.ones(2, 2)), TypeError, "'Tensor' as parameter 'weight'"),
    (lambda: setattr(Net(), "head", 3), TypeError, "'int' as child module 'head'"),
    (lambda: setattr(Net(), "seen", 3), TypeError, "'int' as buffer 'seen'"),
    (early(nn.Parameter(mg.ones(1))), AttributeError, r"call super\(\).__init__\(\) first"),
    (early(nn.Tanh()), AttributeError, r"call super\(\).__init__\(\) first"),
    (lambda: nn.Module()(1), NotImplementedError, "forward"),
    (lambda: nn.Module().register_parameter("w", mg.ones(1)), TypeError, "nn.Parameter or None"),
    (lambda: nn.Module().register_buffer("w", 1), TypeError, "Tensor or None"),
    (unnamed("a.b"), KeyError, "contain '.'"),
    (unnamed(""), KeyError, "empty"),
    (unnamed("train"), KeyError, "already exists"),
    (lambda: nn.Sequential(3), TypeError, "int is not a Module subclass"),
    (lambda: nn.Sequential(nn.Tanh())[1], IndexError, "index 1 is out of range"),
    (lambda: Net().get_submodule("layers.7"), AttributeError, "no module '7'"),
    (lambda: nn.Parameter(mg.tensor([1])), RuntimeError, "int64"),
    (lambda: nn.Linear(2, 2).train("yes"), ValueError, "boolean"),
    (lambda: nn.Linear(2, 2).to(mg.int64), TypeError, "float dtypes only"),
    (lambda: nn.Embedding(3, 2, padding_idx=3), AssertionError, "padding_idx"),
    (lambda: nn.Dropout(2), ValueError, "between 0 and 1"),
    (lambda: nn.CrossEntropyLoss(reduction="foo"), ValueError, "foo"),
    (lambda: nn.BatchNorm1d(3)(mg.zeros(3)), ValueError, r"expected 2D or 3D input \(got 1D input\)"),
    (lambda: nn.BatchNorm1d(3)(mg.zeros(2, 4)), RuntimeError, r"4 elements for input \(2, 4\)"),
    (lambda: nn.BatchNorm1d(3)(mg.zeros(1, 3)), ValueError, "more than 1 value per channel"),
    (lambda: nn.Linear(3, 2)(mg.zeros(4, 4)), RuntimeError, r"\(4, 4\) and weight \(2, 3\)"),
]


@pytest.mark.parametrize("call,error,message", REFUSED, ids=range(len(REFUSED)))
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --------------------------------------------------------------------------------------------------- state


def test_state_goes_round_and_shares_memory():
    mg.manual_seed(1)
    a, b = Net(), Net()
    state = a.state_dict()
    assert not any(t.requires_grad for t in state.values()) and "scratch" not in state
    keys = b.load_state_dict(state)
    assert keys == ([], []) and keys.missing_keys == []
    x = mg.randn(4, 3)
    assert mg.equal(a(x), b(x)) and b.tied is b.head.weight
    state["scale"].fill_(5)
    assert a.scale.tolist() == [5, 5, 5] and b.scale.tolist() == [1, 1, 1]


def test_loading_what_does_not_fit_says_all_of_it_and_changes_nothing():
    net = Net()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    state["more"] = state.pop("seen")
    state["layers.0.weight"] = mg.zeros(4, 5)
    state["scale"] = "text"
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    message = str(error.value)
    for part in ("loading state_dict for Net", "Missing key(s) in state_dict: 'seen'", "Unexpected key(s)", "'more'",
                 "layers.0.weight: (4, 5) in the state_dict, (4, 3) here", "scale must be a Tensor"):  # fmt: skip
        assert part in message
    assert all(mg.equal(value, before[key]) for key, value in net.state_dict().items())
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])


def test_loading_loosely_returns_the_keys():
    net = Net()
    missing, unexpected = net.load_state_dict({"scale": np.full(3, 2.0), "more": mg.ones(1)}, strict=False)
    assert "layers.0.weight" in missing and unexpected == ["more"]
    assert net.scale.tolist() == [2, 2, 2] and net.scale.dtype == mg.float32


def test_state_of_torch_loads_and_the_network_agrees():
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(27, 10), torch.nn.Flatten(), torch.nn.Linear(30, 20, bias=False), torch.nn.BatchNorm1d(20),
        torch.nn.Tanh(), torch.nn.Linear(20, 27),
    )  # fmt: skip
    ours = nn.Sequential(
        nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 20, bias=False), nn.BatchNorm1d(20),
        nn.Tanh(), nn.Linear(20, 27),
    )  # fmt: skip
    copied(ours, theirs)
    x, y = np.random.default_rng(0).integers(0, 27, (8, 3)), np.arange(8)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        ours.zero_grad()
        theirs.zero_grad()
        loss = nn.CrossEntropyLoss()(ours(mg.tensor(x)), mg.tensor(y))
        their_loss = torch.nn.CrossEntropyLoss()(theirs(torch.tensor(x)), torch.tensor(y))
        close(loss, their_loss)
        loss.backward()
        their_loss.backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(a.grad, b.grad)
    assert repr(ours) == repr(theirs)


def test_modules_copy_and_pickle_with_their_ties():
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert [n for n, _ in other.named_parameters()] == NAMES and other.tied is other.head.weight
        assert other.scale is not net.scale and isinstance(other.scale, nn.Parameter)
        other.scale.data.fill_(7)
        assert net.scale.tolist() == [1, 1, 1]


def test_modes_gradients_and_dtypes():
    net = Net()
    assert net.training and not net.eval().layers[1].training and net.train().layers[1].training
    net(mg.randn(2, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all((p.grad.array == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())
    net = nn.BatchNorm1d(3).double()
    assert {t.dtype for t in net.state_dict().values()} == {np.dtype("float64"), np.dtype("int64")}
    assert net(mg.randn(4, 3, dtype=mg.float64)).dtype == mg.float64
    assert net.float().weight.dtype == mg.float32
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net and seen == ["BatchNorm1d"]


def test_a_parameter_prints_and_shares_its_data():
    data = mg.ones(2)
    p = nn.Parameter(data)
    assert repr(p).splitlines() == ["Parameter containing:", "tensor([1., 1.], requires_grad=True)"]
    data[0] = 3
    assert p.tolist() == [3, 1]
    assert type(p * 2) is mg.Tensor


# ---------------------------------------------------------------------------------------------------- layers

LAYERS = [
    ("Linear", (3, 4), {}, (5, 3)),
    ("Linear", (3, 4), {"bias": False}, (2, 5, 3)),
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {}, (5, 3, 4)),
    ("BatchNorm1d", (3,), {"momentum": None}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": 0.4, "eps": 1e-2}, (5, 3)),
    ("BatchNorm1d", (3,), {"affine": False}, (5, 3)),
    ("BatchNorm1d", (3,), {"bias": False}, (5, 3)),
    ("BatchNorm1d", (3,), {"track_running_stats": False}, (5, 3)),
    ("LayerNorm", (3,), {}, (5, 3)),
    ("LayerNorm", ((4, 3),), {"bias": False}, (5, 4, 3)),
    ("Tanh", (), {}, (5, 3)),
    ("Sigmoid", (), {}, (5, 3)),
    ("ReLU", (), {}, (5, 3)),
    ("Softmax", (1,), {}, (5, 3)),
    ("LogSoftmax", (-1,), {}, (5, 3)),
    ("Flatten", (), {}, (5, 3, 2)),
    ("Flatten", (0, 1), {}, (5, 3, 2)),
    ("Identity", (), {}, (5, 3)),
    ("Dropout", (0.3,), {}, (5, 3)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name,args,kwargs,shape", LAYERS)
def test_layers_in_training_and_then_evaluation(name, args, kwargs, shape, dtype):
    """Three batches of training, forward and backward, then evaluation; values, gradients and buffers all along."""
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    ours, theirs = ours.to(np.dtype(dtype)), theirs.to(getattr(torch, dtype))
    copied(ours, theirs)
    rng = np.random.default_rng(0)
    for training in (True, True, True, False):
        ours.train(training)
        theirs.train(training)
        mg.manual_seed(3)
        torch.manual_seed(3)
        array = (rng.standard_normal(shape) * 2 + 1).astype(dtype)
        x, z = mg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, w = ours(x), theirs(z)
        close(y, w, tolerance)
        (y * y * y).sum().backward()
        (w * w * w).sum().backward()
        close(x.grad, z.grad, 100 * tolerance)
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(a.grad, b.grad, 100 * tolerance)
        for (n, a), (m, b) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
            assert n == m
            close(a, b, tolerance)


def test_batch_norm_with_correction_one_is_the_lectures():
    layer = nn.BatchNorm1d(3, correction=1).double()
    x = np.random.default_rng(0).standard_normal((6, 3))
    expected = (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1e-5)
    np.testing.assert_allclose(layer(mg.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.array, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-12)
    assert layer.num_batches_tracked.item() == 1 and "correction=1" in repr(layer)
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.num_batches_tracked.item() == 0


def test_a_batch_that_is_refused_is_not_counted():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than 1"):
        layer(mg.zeros(1, 3))
    assert layer.num_batches_tracked.item() == 0 and layer.running_var.tolist() == [1, 1, 1]


def test_embedding_layer():
    theirs, ours = torch.nn.Embedding(5, 3, padding_idx=-1), nn.Embedding(5, 3, padding_idx=-1)
    copied(ours, theirs)
    rows = np.array([[1, 4, 1], [0, 4, 2]])
    y, w = ours(mg.tensor(rows)), theirs(torch.tensor(rows))
    close(y, w)
    (y * y).sum().backward()
    (w * w).sum().backward()
    close(ours.weight.grad, theirs.weight.grad)
    frozen = nn.Embedding.from_pretrained(mg.ones(2, 3))
    assert not frozen.weight.requires_grad and frozen(mg.tensor(1)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("settings", [{}, {"reduction": "sum"}, {"label_smoothing": 0.1}, {"ignore_index": 1}])
def test_loss_modules(settings):
    x, t = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 1, 2, 0])
    w = np.array([1.0, 2.0, 0.5])
    close(
        nn.CrossEntropyLoss(mg.tensor(w), **settings)(mg.tensor(x), mg.tensor(t)),
        torch.nn.CrossEntropyLoss(torch.tensor(w), **settings)(torch.tensor(x), torch.tensor(t)),
    )
    if "reduction" in settings:
        ours, theirs = nn.MSELoss(**settings), torch.nn.MSELoss(**settings)
        close(ours(mg.tensor(x), mg.tensor(x * 2)), theirs(torch.tensor(x), torch.tensor(x * 2)))


def test_a_network_trains_beside_torchs_from_the_same_seed():
    """The makemore network of layers, 100 steps of SGD in both: the same start, and losses that stay together."""
    losses = []
    for lib in (mg, torch):
        lib.manual_seed(42)
        net = lib.nn.Sequential(
            lib.nn.Embedding(27, 10), lib.nn.Flatten(), lib.nn.Linear(30, 40, bias=False), lib.nn.BatchNorm1d(40),
            lib.nn.Tanh(), lib.nn.Linear(40, 27),
        )  # fmt: skip
        optimizer = lib.optim.SGD(net.parameters(), lr=0.1, momentum=0.5)
        trail = []
        for _ in range(100):
            x, y = lib.randint(0, 27, (32, 3)), lib.randint(0, 27, (32,))
            loss = lib.nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            trail.append(loss.item())
        losses.append(trail)
    np.testing.assert_allclose(*losses, atol=1e-4)
