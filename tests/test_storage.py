"""save and load: what goes round, where it is written, what is refused, and the safetensors package's files."""

import errno
import io
import os
import tracemalloc
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, strategies as st

import minigrad as mg
from minigrad import nn, optim, storage
from models.storage import write_whole

DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
SHAPES = [(), (1,), (5,), (2, 3), (0,), (3, 0, 2), (1, 2, 1, 3)]


def saved(obj):
    buffer = io.BytesIO()
    mg.save(obj, buffer)
    return buffer.getvalue()


def again(obj):
    return mg.load(io.BytesIO(saved(obj)))


def draw(shape, dtype):
    return np.asarray(np.random.default_rng(len(shape)).standard_normal(shape) * 3).astype(dtype)


def same(a, b):
    """Equal in type, dtype, shape, values to the bit, and requires_grad, at any depth."""
    assert type(a) is type(b), (type(a), type(b))
    if isinstance(a, mg.Tensor):
        assert a.requires_grad == b.requires_grad and b.is_leaf
        same(np.asarray(a.detach().numpy()), np.asarray(b.detach().numpy()))
    elif isinstance(a, np.ndarray):
        assert a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert repr(a) == repr(b)  # 0.0 is not -0.0, and nan is nan


# ---------------------------------------------------------------------------------------------- what goes round


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_tensors_and_arrays_go_round(shape, dtype):
    array = draw(shape, dtype)
    same(mg.tensor(array), again(mg.tensor(array)))
    same(array, again(array))
    same(mg.from_numpy(array.T), again(mg.from_numpy(array.T)))
    if dtype.startswith("float"):
        same(mg.tensor(array, requires_grad=True), again(mg.tensor(array, requires_grad=True)))


@pytest.mark.parametrize("view", [np.s_[::2], np.s_[::-1], np.s_[:, 1:], np.s_[1, ::-2], np.s_[:0], np.s_[..., None]])
def test_views_of_memory_not_in_order_go_round(view):
    array = np.arange(12.0).reshape(3, 4)[view]
    assert np.array_equal(again(array), array) and np.array_equal(again(mg.from_numpy(array)), array)
    assert np.array_equal(again(mg.arange(12.0).reshape(3, 4).T), np.arange(12.0).reshape(3, 4).T)
    assert again(mg.ones(1, 1).expand(3, 4)).shape == (3, 4)


def test_numbers_to_the_last_bit():
    odd = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308])
    same(odd, again(odd))
    same(mg.tensor(odd), again(mg.tensor(odd)))
    for x in (*odd.tolist(), 0.1, 1e22, -1e-7, 0, -5, 2**200, True, False, None, "", "é\n\ud800\x00", [], (), {}):
        same(x, again(x))
    assert again(np.float32(1.5)).dtype == np.float32 and again(np.float32(1.5)).shape == ()
    swapped = np.arange(3, dtype=">f8")
    assert again(swapped).dtype == np.float64 and again(swapped).tolist() == [0, 1, 2]


NESTED = {
    "a": [1, 2.5, "x", None, True, (1, (2, [3]))],
    ("a", 1): {"a": OrderedDict(z=1, a=2), 3: {}},
    3: [mg.tensor([1, 2]), np.ones((2, 0)), (mg.tensor(1.5, requires_grad=True),)],
    "3": mg.ones(2),  # called as the one under 3 would be
    "3.0": mg.zeros(2),
    "size": mg.ones(2, 3).shape,
    "": mg.ones(1),
    "count": Counter([3, 3, 5]),
    "__metadata__": mg.ones(3),
    None: float("nan"),
    2.5: [[], [[]], ()],
    True: {"tensor": "a", "float": 1.0},  # as the file itself writes them
    "array": mg.zeros(4),
}


def test_nested_containers_go_round():
    same(NESTED, again(NESTED))
    assert type(again(defaultdict(list, a=1))) is dict and type(again(OrderedDict(a=1))) is OrderedDict


def deep(n):
    x = 5
    for _ in range(n):
        x = [x]
    return x


def test_nested_deeply():
    same(deep(storage.DEEPEST), again(deep(storage.DEEPEST)))
    wide = {"a": 1}
    for _ in range(storage.DEEPEST - 1):
        wide = {"a": wide}
    same(wide, again(wide))
    with pytest.raises(TypeError, match="deeper than 100"):
        saved(deep(storage.DEEPEST + 1))
    loop = []
    loop += [loop, loop]
    with pytest.raises(TypeError, match="deeper than 100"):
        saved(loop)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.builds(draw, st.sampled_from(SHAPES), st.sampled_from(DTYPES)),
    st.builds(lambda s, d: mg.tensor(draw(s, d)), st.sampled_from(SHAPES), st.sampled_from(DTYPES)),
    st.lists(st.integers(0, 9)).map(mg.Size),
)
KEYS = st.one_of(st.text(), st.integers(), st.booleans(), st.tuples(st.integers(), st.text()))
THINGS = st.recursive(
    LEAVES,
    lambda x: st.one_of(st.lists(x), st.lists(x).map(tuple), st.dictionaries(KEYS, x)),
    max_leaves=12,
)


@given(THINGS)
def test_anything_allowed_goes_round(thing):
    same(thing, again(thing))


def test_what_comes_back_is_new_and_can_be_written_to():
    x = mg.ones(3, requires_grad=True)
    y = again({"x": x, "y": x * 2})
    assert y["y"].requires_grad and y["y"].is_leaf and y["x"].grad is None
    with mg.no_grad():
        y["x"].fill_(5)
    assert x.tolist() == [1, 1, 1] and y["y"].tolist() == [2, 2, 2]
    (y["x"] * 2).sum().backward()
    assert y["x"].grad.tolist() == [2, 2, 2]


# ----------------------------------------------------------------------------------------- modules and optimizers


def network():
    return nn.Sequential(nn.Embedding(5, 4, padding_idx=1), nn.Flatten(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Tanh())


def trained(net, optimizer, scheduler, steps):
    g = mg.Generator().manual_seed(3)
    found = []
    for _ in range(steps):
        loss = net(mg.randint(0, 5, (7, 2), generator=g)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize("schedule", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "LambdaLR"])
def test_training_goes_on_from_a_file(kind, schedule, tmp_path):
    more = {"momentum": 0.9} if kind == "SGD" else {"amsgrad": True}
    rates = {
        "StepLR": {"step_size": 2}, "MultiStepLR": {"milestones": [3, 7, 7]}, "CosineAnnealingLR": {"T_max": 6},
        "LambdaLR": {"lr_lambda": lambda step: 0.9**step},
    }  # fmt: skip

    def made(seed):
        mg.manual_seed(seed)
        net = network()
        optimizer = getattr(optim, kind)(net.parameters(), lr=0.1, **more)
        return net, optimizer, getattr(optim.lr_scheduler, schedule)(optimizer, **rates[schedule])

    parts = made(1)
    trained(*parts, 4)
    mg.save([part.state_dict() for part in parts], tmp_path / "state")
    others = made(2)
    for part, state in zip(others, mg.load(tmp_path / "state"), strict=True):
        part.load_state_dict(state)
    assert trained(*parts, 6) == trained(*others, 6)
    same(*[[part.state_dict() for part in all_three] for all_three in (parts, others)])


def test_a_module_is_refused_with_what_to_do():
    with pytest.raises(TypeError, match=r"net is a Sequential; a file holds Tensors, .*; save its state_dict\(\)"):
        saved({"net": network()})


REFUSED = [
    ({1, 2}, "the object is a set"),
    ({"a": [0, print]}, r"a\.1 is a builtin_function_or_method"),
    ([b"bytes"], "0 is a bytes"),
    ({"z": 1j}, "z is a complex"),
    ({"x": {"y": np.ones(2, complex)}}, r"x\.y is an array of complex128"),
    (np.ones(2, np.float16), "the object is an array of float16"),
    (np.array(["a"]), "array of <U1"),
    (np.array([print]), "array of object"),
    (mg.ones(2).sort(), "is a sort"),
    (mg.float32, r"is a \w*Float32"),
]


@pytest.mark.parametrize("thing,message", REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_allowed_is_refused_with_its_place(thing, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        mg.save(thing, tmp_path / "x")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ where it goes


def test_paths_files_and_maps(tmp_path):
    for path in (tmp_path / "a.mg", str(tmp_path / "b.mg")):
        mg.save(NESTED, path)
        same(NESTED, mg.load(path))
        same(NESTED, mg.load(path, mmap=True))
        same(NESTED, mg.load(path, "cpu", weights_only=False))
        with open(path, "rb") as file:
            same(NESTED, mg.load(file))
    with open(tmp_path / "c.mg", "wb") as file:
        mg.save(NESTED, file)
    assert (tmp_path / "a.mg").read_bytes() == (tmp_path / "b.mg").read_bytes() == (tmp_path / "c.mg").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mg", "b.mg", "c.mg"]


def test_a_map_reads_late_and_never_writes(tmp_path):
    path = tmp_path / "large"
    mg.save({"flag": mg.tensor([True]), "x": mg.ones(1_000_000), "n": mg.arange(3)}, path)
    before = path.read_bytes()
    tracemalloc.start()
    found = mg.load(path, mmap=True)
    assert tracemalloc.get_traced_memory()[1] < 500_000  # flag, before x, would leave x crooked if it were not sorted
    tracemalloc.stop()
    found["x"][0] = 7
    assert found["x"][0].item() == 7 and found["x"].sum().item() == 1_000_006 and path.read_bytes() == before
    mg.save(found, path)  # over the file that is mapped
    assert mg.load(path)["x"][0].item() == 7 and found["x"][1].item() == 1
    with pytest.raises(ValueError, match="needs a path"):
        mg.load(io.BytesIO(before), mmap=True)


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_in_the_middle_leaves_the_old_file(step, error, tmp_path, monkeypatch):
    path = tmp_path / "x"
    mg.save([1, mg.ones(3)], path)

    def fail(*args):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises((RuntimeError, KeyboardInterrupt)) as found:
        mg.save([2], path)
    assert isinstance(error, KeyboardInterrupt) or str(found.value) == f"cannot write '{path}': No space left on device"
    monkeypatch.undo()
    same([1, mg.ones(3)], mg.load(path))
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def written_by(write, monkeypatch):
    """What write() asks of the system, in order: files brought to the disk, renames, folders brought to the disk."""
    done = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(handle):
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"
        done.append(f"fsync {kind} of {os.fstat(handle).st_size} bytes" if kind == "file" else "fsync folder")
        fsync(handle)

    def watched_replace(source, target):
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write()
    return done


def test_content_is_on_the_disk_before_the_name_and_the_name_before_it_returns(tmp_path, monkeypatch):
    path = tmp_path / "x"
    done = written_by(lambda: mg.save(mg.ones(1000), path), monkeypatch)
    assert done == [f"fsync file of {path.stat().st_size} bytes", "rename", "fsync folder"]
    done = written_by(lambda: write_whole(tmp_path / "y", b"12345"), monkeypatch)[-3:]
    assert done == ["fsync file of 5 bytes", "rename", "fsync folder"]


@pytest.mark.parametrize(("number", "let_pass"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_system_without_fsync_of_folders(number, let_pass, tmp_path, monkeypatch):
    fsync = os.fsync

    def of_files_alone(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", of_files_alone)
    if let_pass:
        mg.save(1, tmp_path / "x")
        assert mg.load(tmp_path / "x") == 1
    else:
        with pytest.raises(RuntimeError, match="Input/output error"):
            mg.save(1, tmp_path / "x")


def test_places_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path, why in (
        (tmp_path / "no" / "x", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "file" / "x", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(RuntimeError) as error:
            mg.save(1, path)
        assert str(error.value) == f"cannot write {str(path)[-200:]!r}: {why}"
    for path, kind in ((tmp_path / "no", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(kind, match=path.name):
            mg.load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_file_that_is_there_keeps_its_rights_and_a_link_its_target(tmp_path):
    path, link = tmp_path / "x", tmp_path / "link"
    mg.save(1, path)
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o600)
    link.symlink_to(path)
    mg.save(2, link)
    assert link.is_symlink() and mg.load(path) == 2 and path.stat().st_mode & 0o777 == 0o600
    long = tmp_path / ("ä" * 120)  # 240 bytes of the 255 that a name may have
    mg.save(3, long)
    assert mg.load(long) == 3


def test_what_is_no_file_stays_what_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        mg.save([1, 2], pipe)
        assert mg.load(io.BytesIO(os.read(reader, 10_000))) == [1, 2]
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_files_open_as_text_are_refused(tmp_path):
    with pytest.raises(TypeError):
        mg.save(1, io.StringIO())
    with pytest.raises(TypeError, match="open as text"):
        mg.load(io.StringIO("text"))


# -------------------------------------------------------------------------------- beside the safetensors package


ARRAYS = {f"{dtype} {shape}": draw(shape, dtype) for dtype in DTYPES for shape in SHAPES}


def test_the_safetensors_package_reads_our_files(tmp_path):
    path = tmp_path / "x"
    mg.save({name: mg.tensor(array) for name, array in ARRAYS.items()}, path)
    for found in (safetensors.numpy.load_file(path), safetensors.torch.load_file(path)):
        assert set(found) == set(ARRAYS)
        for name, array in ARRAYS.items():
            got = np.asarray(found[name])
            assert got.dtype == array.dtype and got.shape == array.shape and np.array_equal(got, array), name
    mg.save(NESTED, path)
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata()["format"] == "minigrad" and len(file.keys()) == 8
    net = network()
    mg.save(net.state_dict(), path)
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(5, 4), torch.nn.Flatten(), torch.nn.Linear(8, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh()
    )
    theirs.load_state_dict(safetensors.torch.load_file(path))
    np.testing.assert_array_equal(theirs[2].weight.detach().numpy(), net[2].weight.detach().numpy())


@pytest.mark.parametrize("mmap", [False, True])
def test_we_read_the_safetensors_packages_files(mmap, tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = {name: torch.tensor(array) for name, array in ARRAYS.items()}
    for write, held, metadata in (
        (safetensors.numpy.save_file, ARRAYS, None),
        (safetensors.torch.save_file, tensors, {"format": "pt", "tree": "x"}),
        (safetensors.torch.save_file, {}, None),
    ):
        write(held, path, metadata)
        found = mg.load(path, mmap=mmap)
        assert set(found) == set(held)
        for name in held:
            assert type(found[name]) is mg.Tensor and not found[name].requires_grad
            same(ARRAYS[name], np.asarray(found[name].numpy()))


def test_a_network_of_torch_comes_over(tmp_path):
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "x")
    ours = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    ours.load_state_dict(mg.load(tmp_path / "x"))
    x = draw((5, 3), "float32")
    np.testing.assert_allclose(
        ours(mg.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_dtypes_that_minigrad_lacks_are_named(tmp_path):
    safetensors.torch.save_file({"h": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "x")
    with pytest.raises(ValueError, match="'h' is of dtype BF16, and minigrad has BOOL, F32"):
        mg.load(Path(tmp_path / "x"))
