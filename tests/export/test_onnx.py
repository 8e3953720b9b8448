"""export.onnx: what onnxruntime makes of the model, beside what minigrad does; and what is refused, in which words."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import export
import minigrad as mg
from export.rules import RULES
from minigrad import nn, ops
from minigrad.nn import functional as F
from models.mlp import MLP, Config
from tests.parity.harness import draw, numpy_of, outputs
from tests.parity.table import TABLE_OF_OPS

onnx = pytest.importorskip("onnx", reason="nothing is exported: pip install onnx")
ort = pytest.importorskip("onnxruntime", reason="what was exported is not run: pip install onnxruntime")
EXAMPLES = str(Path(__file__).resolve().parents[2] / "examples")


def run(model, *arrays):
    """What onnxruntime, as it is by default, makes of the model."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # of a model of one op it warns that it could be folded
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = dict(zip([i.name for i in session.get_inputs()], arrays, strict=True))
    return session.run(None, given)


def near(got, want, to=1e-6):
    """To 1e-6, of the value where that is larger than 1."""
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=to, atol=to)


# --------------------------------------------------------------------------------------- op by op

# Rows whose function is no graph: it changes values in place, sorts or counts with numpy, or has a size that hangs on
# values. Each is refused in so many words, never exported wrongly.
REFUSED = (
    "in place", "made aside of minigrad's ops", "by a mask", "mixes arrays", "no ONNX counterpart",
    "gather along this dimension",
)  # fmt: skip


@pytest.mark.parametrize("row", TABLE_OF_OPS, ids=str)
@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
def test_a_row_of_the_table_of_ops(row):
    for case in row.shapes[:: max(1, len(row.shapes) // 3)]:
        arrays = draw(row, case, np.float32)
        inputs = [mg.from_numpy(a) for a in arrays]
        with mg.no_grad():
            want = [numpy_of(x) for x in outputs(mg, row, [x.clone() for x in inputs])]

        def function(*xs):
            return tuple(outputs(mg, row, list(xs)))

        names = [f"x{i}" for i in range(len(inputs))]
        try:
            model = export.onnx(function, inputs, dynamic_batch=False, input_names=names)
        except export.ExportError as error:
            assert any(reason in str(error) for reason in REFUSED), error
            continue
        for got, wanted in zip(run(model, *arrays), want, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-6)
            assert got.shape == wanted.shape and got.dtype == wanted.dtype


def test_every_op_has_a_rule_or_is_known_to_have_none():
    known = {name for name, op in vars(ops).items() if isinstance(op, type) and issubclass(op, ops.Op)}
    bases = {"Op", "Comparison"}
    backward_only = {"SumTo", "Place", "ScatterIndex", "Part"}
    none = {"Median", "Unfold", "SetItem", "PutFlat", "IndexAdd"}
    assert RULES.keys() <= known
    assert known - RULES.keys() == bases | backward_only | none


# --------------------------------------------------------------------------------------- networks


@pytest.fixture(scope="module")
def mlp():
    g = mg.Generator().manual_seed(3)
    model = MLP(Config(27))
    model.calibrate(np.asarray(g.randint(0, 27, (500, 3))))
    return model, np.asarray(g.randint(0, 27, (200, 3)))


def test_the_mlp_with_any_batch(mlp, tmp_path):
    model, X = mlp
    file = tmp_path / "model.onnx"
    made = export.onnx(
        model.logits, X[:8], file, input_names=["contexts"], output_names=["logits"], metadata={"a": "b"}
    )
    loaded = onnx.load(file)
    onnx.checker.check_model(loaded, full_check=True)
    assert loaded == made and [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    assert [(o.domain, o.version) for o in loaded.opset_import] == [("", export.OPSET)]
    assert {p.key: p.value for p in loaded.metadata_props} == {"producer": "minigrad", "a": "b"}
    assert {"C", "W1", "b1", "W2", "b2", "bngain", "bnbias"} <= {i.name for i in loaded.graph.initializer}
    (given,), (out,) = loaded.graph.input, loaded.graph.output
    shape = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert (given.name, shape) == ("contexts", ["batch", 3])
    assert [d.dim_param or d.dim_value for d in out.type.tensor_type.shape.dim] == ["batch", 27]
    for n in (1, 8, 200):
        near(run(loaded, X[:n])[0], model.logits(X[:n]).numpy())


@pytest.mark.parametrize("fused", [True, False])
def test_the_loss_of_a_training_step(mlp, fused):
    """The forward of exercises 1 and 4, with the batch's own statistics, and the targets an input too."""
    model, X = mlp
    Y = X[:, 0]

    def loss(X, Y):
        return model.forward_fused(X, Y) if fused else model.forward_chunked(X, Y)[0]

    if not fused:  # exercise 1 has 1/n as a number in it
        with pytest.raises(export.ExportError, match=r"the number 0\.03125 that goes into mul was 0\.0303"):
            export.onnx(loss, (X[:32], Y[:32]))
    made = export.onnx(loss, (X[:32], Y[:32]), dynamic_batch=fused)
    for n in (32, 7) if fused else (32,):
        want = np.asarray(loss(mg.tensor(X[:n]), mg.tensor(Y[:n])).detach().numpy())
        near(run(made, X[:n], Y[:n])[0], want)


def network(name):
    sys.path.insert(0, EXAMPLES)
    try:
        module = importlib.import_module(name)
        rnn = importlib.import_module("rnn")
    finally:
        sys.path.remove(EXAMPLES)
    if name == "wavenet":
        return module.build(27, 68), 8
    if name == "transformer":
        return module.Transformer(27, 16, 64, 4, 2), 16
    cell = rnn.RNNCell if name == "rnn" else module.GRUCell
    return rnn.Recurrent(cell, 27, 32, 64), 16


@pytest.mark.parametrize("name", ["wavenet", "rnn", "gru", "transformer"])
def test_the_networks_of_the_examples(name):
    mg.manual_seed(1)
    model, places = network(name)
    X = mg.randint(0, 27, (20, places))
    model(X)  # so that running statistics are no longer 0 and 1
    made = export.onnx(model, X[:3])
    assert model.training and all(m.training for m in model.modules())  # as before; what was exported evaluates
    model.eval()
    for n in (1, 3, 20):
        near(run(made, np.asarray(X[:n]))[0], model(X[:n]).detach().numpy())
    assert {name for name, _ in model.named_parameters()} <= {i.name for i in made.graph.initializer}


def test_what_follows_the_batch():
    """Sizes, slices, ranges and rows of zeros that hang on it, without a number of it in the model."""

    def function(x):
        n = x.shape[0]
        start = mg.zeros(n, 4)
        pairs = x.reshape(n * 2, 2)
        rows = mg.arange(n)
        last = pairs[n:]
        return mg.cat([start, x], 1), last.sum(0), x[rows, 0], x.expand(3, n, 4).mean(), x.flip(0).roll(1, 0), x.var()

    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    made = export.onnx(function, x[:2])
    for n in (1, 2, 5):
        for got, want in zip(run(made, x[:n]), function(mg.tensor(x[:n])), strict=True):
            near(got, np.asarray(want.numpy()))


def test_several_inputs_outputs_and_names():
    x = mg.ones(2, 3)
    made = export.onnx(lambda a, b: (a + b, a * 2), (x, x), output_names=["sum", "twice"])
    assert [i.name for i in made.graph.input] == ["a", "b"] and [o.name for o in made.graph.output] == ["sum", "twice"]
    assert [o.name for o in export.onnx(nn.Linear(3, 2), x).graph.output] == ["output"]
    assert [i.name for i in export.onnx(nn.Linear(3, 2), x).graph.input] == ["input"]


def test_a_captured_forward():
    """A function of minigrad.compile is exported as what it was made of, also after it was replayed."""
    layer = nn.Linear(3, 2)
    step = mg.compile(lambda x: mg.tanh(layer(x)))
    x = mg.randn(4, 3)
    with mg.no_grad():
        for _ in range(3):
            want = step(x).numpy()
    near(run(export.onnx(step, x), x.numpy())[0], want)


def test_float64_stays_float64():
    x = np.random.default_rng(0).standard_normal((4, 3))
    layer = nn.Linear(3, 2, dtype=mg.float64)
    (got,) = run(export.onnx(lambda x: mg.tanh(layer(x)), x), x)
    near(got, mg.tanh(layer(mg.tensor(x))).detach().numpy(), 1e-14)


# --------------------------------------------------------------------------------------- what is refused


class Cube(mg.Op):
    """y = x**3,  dx = 3 * x**2 * dy"""

    def forward(x):
        return x * x * x

    def dx(dy, x):
        return 3 * x * x * dy


def in_place(x):
    y = x * 2
    y += 1
    return y


REASONS = [
    (lambda x: Cube.apply(x), r"Cube \(an op of your own\).*has no ONNX counterpart here"),
    (lambda x: x.median(), r"Median .*has no ONNX counterpart here.*Add, "),
    (in_place, r"what mul made was changed in place \(add_"),
    (lambda x: x * x.sum().item(), r"takes the numbers out of a value of shape \(\)"),
    (lambda x: x * float(x.max()), r"takes the numbers out of a value of shape \(\)"),
    (lambda x: x + mg.tensor(np.exp(x.numpy())), r"shape \(3, 2\) that goes into add has \(4, 2\) for another batch"),
    (lambda x: x[x > 0], "by a mask"),
    (lambda x: x + 1 if x.sum() > 3 else x * 2, "takes the numbers out"),
    (lambda x: x + 1 if x.shape[0] > 3 else x * 2, "ran other ops for other inputs, from op number 1 on"),
    (lambda x: x * float(np.exp(x.numpy()).sum()), "the number .* that goes into mul"),
    (lambda x: F.dropout(x, 0.5), "that goes into"),
    (lambda x: "x", "must return a Tensor"),
    (lambda x: (), "not nothing"),
    (lambda x: x * (1 / x.shape[0]), "the number 0.3333"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "reason"), REASONS, ids=range(len(REASONS)))
def test_a_function_that_is_no_graph_is_refused(function, reason, tmp_path):
    x = mg.tensor([[1.0, 2.0], [-3.0, 1.0], [0.5, 4.0]])
    before = x.numpy().copy()
    with pytest.raises(export.ExportError, match=reason):
        export.onnx(function, x, tmp_path / "f.onnx")
    assert not list(tmp_path.iterdir()) and np.array_equal(before, x.numpy())


def test_a_value_that_numpy_made_of_the_input_is_noticed():
    x = mg.tensor([[1.0, 2.0], [-3.0, 1.0]])
    with pytest.raises(export.ExportError, match="made aside of minigrad's ops"):
        export.onnx(lambda x: x + mg.tensor(np.exp(x.numpy())), x, dynamic_batch=False)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [((mg.ones(2, 3), mg.ones(3, 3)), r"\(2, 3\) and \(3, 3\) have no batch in common"), (mg.tensor(1.0), "no batch"),
     (mg.ones(0, 3), "no batch")],
)  # fmt: skip
def test_inputs_without_a_batch(inputs, reason):
    with pytest.raises(export.ExportError, match=reason):
        export.onnx(lambda *xs: xs[0] * 1, inputs)


def test_names_that_cannot_be():
    x = mg.ones(2, 3)
    for names, reason in ((["a b"], "cannot be a name"), (["a", "b"], "2 input and 1 output names")):
        with pytest.raises(export.ExportError, match=reason):
            export.onnx(lambda x: x * 2, x, input_names=names)


def test_an_error_leaves_the_observer_alone():
    def broken(x):
        raise ZeroDivisionError

    from minigrad.graph import Engine

    with pytest.raises(ZeroDivisionError):
        export.onnx(broken, mg.ones(2, 2))
    assert Engine.observe is None
