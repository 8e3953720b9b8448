"""A trained network for other programs, and one from them: ONNX, and arrays by torch's names in safetensors.

The network of cell 22 stands in torch, and in minigrad.nn, as

    nn.Sequential(OrderedDict(
        embedding=nn.Embedding(vocab_size, embd), flatten=nn.Flatten(), linear1=nn.Linear(context * embd, hidden),
        batchnorm=nn.BatchNorm1d(hidden), tanh=nn.Tanh(), linear2=nn.Linear(hidden, vocab_size),
    ))

whose state_dict() is the one here: load_state_dict() takes it as it is, and eval() gives the same logits. A Linear's
weight is (out, in) there, and W1 and W2 are (in, out) here.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import minigrad as mg
from models.mlp import MLP, PARAMETERS, STATISTICS, Config
from models.names import END, Vocabulary
from models.storage import DESCRIPTION, ModelError, Trained, as_bytes, network, read_bounded, reason

# torch's name, the lecture's, and whether one is the other transposed.
LAYOUT = (
    ("embedding.weight", "C", False),
    ("linear1.weight", "W1", True),
    ("linear1.bias", "b1", False),
    ("batchnorm.weight", "bngain", False),
    ("batchnorm.bias", "bnbias", False),
    ("batchnorm.running_mean", "bnmean", False),
    ("batchnorm.running_var", "bnvar", False),
    ("linear2.weight", "W2", True),
    ("linear2.bias", "b2", False),
)
TRACKED = "batchnorm.num_batches_tracked"
PREFIXES = ("module.", "model.", "_orig_mod.")  # what torch's wrappers put before each name

State = dict[str, NDArray[Any]]


def to_torch(state: Mapping[str, NDArray[np.float32]], steps: int = 0) -> State:
    """The arrays of a calibrated MLP by torch's names and in its layout. steps: what its batch norm has seen."""
    found: State = {}
    for theirs, ours, transposed in LAYOUT:
        array = np.asarray(state[ours])
        array = array.T if transposed else array.reshape(-1) if theirs.startswith("batchnorm") else array
        found[theirs] = np.ascontiguousarray(array)
    found[TRACKED] = np.asarray(steps, np.int64)
    return found


def from_torch(state: Mapping[str, NDArray[Any]]) -> State:
    """The same arrays by the lecture's names. Raises ValueError, which names what is missing or too much."""
    names = [theirs for theirs, _, _ in LAYOUT]
    missing = [name for name in names if name not in state]
    unknown = sorted(state.keys() - set(names) - {TRACKED})
    if missing or unknown:
        raise ValueError(f"it lacks {missing[0]!r}" if missing else f"it holds {unknown[0][:80]!r}, which has no place")
    found: State = {}
    for theirs, ours, transposed in LAYOUT:
        array = state[theirs]
        if array.ndim != (2 if theirs.endswith("weight") and not theirs.startswith("batchnorm") else 1):
            raise ValueError(f"{theirs} has shape {array.shape}")
        row = ours in ("bngain", "bnbias", "bnmean", "bnvar")
        found[ours] = np.ascontiguousarray(array.T if transposed else array.reshape(1, -1) if row else array)
    return found


def safetensors(trained: Trained, torch: bool) -> bytes:
    """A safetensors file of the network's arrays, by torch's names or the lecture's; its letters are in the header."""
    state: Mapping[str, Any] = trained.model.state_dict()
    if torch:
        state = to_torch(state, int(trained.about.get("steps", 0)))
    return as_bytes({**state, DESCRIPTION: {"chars": "".join(trained.vocab.chars), "about": trained.about}})


def onnx(trained: Trained, float64: bool = False) -> bytes:
    """The network as an ONNX model: `contexts`, int64 (batch, context), to `logits`, float32 (batch, vocab_size).

    Sums in another order round otherwise, in float32 to some units in the last place of the largest logit. With
    *float64* weights, work and logits are float64, and any two programs agree to 1e-12.
    Its metadata: `chars`, the character of each number, the end token first; `context`, how many make a row.
    """
    import export

    model, config = in_float64(trained.model) if float64 else trained.model, trained.model.config
    for name in STATISTICS:
        getattr(model, name).name = name
    rows = np.arange(2 * config.context).reshape(2, config.context) % config.vocab_size
    metadata = {"chars": END + "".join(trained.vocab.chars), "context": str(config.context)}
    found = export.onnx(
        model.logits, rows, input_names=["contexts"], output_names=["logits"], metadata=metadata
    )  # fmt: skip
    return bytes(found.SerializeToString())


def in_float64(model: MLP) -> MLP:
    """A copy of a calibrated network that computes in float64."""
    double = MLP(model.config)
    double.load_state_dict(model.state_dict())
    for name in PARAMETERS:
        parameter = getattr(double, name)
        parameter.data = parameter.detach().double()
    for name in STATISTICS:
        setattr(double, name, getattr(double, name).double())
    return double


def read(path: str | os.PathLike[str], vocab: Vocabulary | None = None) -> Trained:
    """A network out of a safetensors file: by the lecture's names, or torch's.

    vocab: the letters that its rows stand for, where the file does not say (one that torch wrote does not). Raises
    ModelError for a file that is none, is not of this network, or whose letters are not known.
    """
    place = Path(path)
    try:
        data = read_bounded(place)
    except OSError as error:
        raise ModelError(f"{place}: cannot be read: {error.strerror or error}") from None
    try:
        return _parse(data, vocab)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from None
    except Exception as error:  # as load_model: there are a dozen ways to say that bytes are damaged
        raise ModelError(f"{place}: damaged, or not this network ({reason(error)})") from None


def _parse(data: bytes, vocab: Vocabulary | None) -> Trained:
    loaded: Any = mg.load(io.BytesIO(data))
    if not isinstance(loaded, dict):
        raise ValueError("it holds no arrays by name")
    description = loaded.pop(DESCRIPTION, None)
    description = description if isinstance(description, dict) else {}
    state = {_bare(name): np.asarray(getattr(x, "array", x)) for name, x in loaded.items()}
    if "C" not in state:
        state = from_torch(state)
    for name in ("C", "W1"):
        if name not in state or state[name].ndim != 2 or 0 in state[name].shape:
            raise ValueError(f"{name} is missing or no matrix")
    (vocab_size, embd), (fan_in, hidden) = state["C"].shape, state["W1"].shape
    if fan_in % embd:
        raise ValueError(f"W1 takes {fan_in} numbers, which is no multiple of the {embd} of a character")
    if vocab is None and "chars" in description:
        vocab = Vocabulary(description["chars"])
    if vocab is None:
        raise ModelError("it does not say its letters; name the list it was trained on with --names FILE")
    if len(vocab) != vocab_size:
        raise ModelError(f"it has rows for {vocab_size} characters, and the list has {len(vocab)} with the end token")
    config = Config(vocab_size, fan_in // embd, embd, hidden)
    about = description.get("about")
    floats = {name: x.astype(np.float32) if x.dtype == np.float64 else x for name, x in state.items()}
    return Trained(network(config, floats), vocab, about if isinstance(about, dict) else {})


def _bare(name: Any) -> str:
    name = str(name)
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name
