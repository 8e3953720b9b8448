"""load on what save() did not write: pickles, other formats, damaged files, and any bytes at all."""

import hashlib
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st

import minigrad as mg


def saved(obj):
    buffer = io.BytesIO()
    mg.save(obj, buffer)
    return buffer.getvalue()


def file_of(header, data=b""):
    """A file of this header (an object, or bytes as they are), which need not be right."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# ------------------------------------------------------------------------------------------ no pickle, no others


class Trap:
    """Unpickled, it leaves a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_refused_and_not_run(protocol, tmp_path):
    data = pickle.dumps(Trap(tmp_path / "mark"), protocol)
    says = "it is a pickle, which can hold any code" if protocol > 1 else "no header"
    path = tmp_path / "x"
    path.write_bytes(data)
    for call in (lambda: mg.load(path), lambda: mg.load(path, mmap=True), lambda: mg.load(io.BytesIO(data))):
        with pytest.raises(ValueError, match=says):
            call()
    assert not (tmp_path / "mark").exists()
    pickle.loads(data)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_torchs_own_files_are_refused(zipped, tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        ValueError, match=r"x\.pt cannot be loaded: .*pickle.*, write it with safetensors\.torch\.save_file"
    ):
        mg.load(tmp_path / "x.pt")


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    np.save(tmp_path / "x.npy", np.ones(3))
    (tmp_path / "x.txt").write_text("Some text, and more of it than eight bytes.")
    (tmp_path / "x").write_bytes(b"")
    for name, says in (("x.npz", "zip archive: of an"), ("x.npy", "no header"), ("x.txt", "no header"), ("x", "0")):
        for mmap in (False, True):
            with pytest.raises(ValueError, match=says):
                mg.load(tmp_path / name, mmap=mmap)


def test_a_header_whose_length_looks_like_a_pickle_is_read():
    """A header of 640 bytes begins with 80 02, as a pickle does; 0x04034b50, as a zip archive."""
    for length in (0x0280, 0x0380, 0x0480, 0x0580):
        data = file_of(json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).ljust(length).encode())
        assert data[:1] == b"\x80" and mg.load(io.BytesIO(data + b"\x05"))["a"].tolist() == [5]


def test_a_newer_version_is_refused():
    data = saved([1]).replace(b'"version":"2"', b'"version":"3"')
    with pytest.raises(ValueError, match="version '3', this minigrad reads 1 and 2: use a newer one"):
        mg.load(io.BytesIO(data))


def test_the_version_before_has_no_checksum_and_is_read():
    data = saved([1, mg.ones(2)])
    digest = data.split(b'"sha256":"')[1][:64]
    old = data.replace(b'"version":"2","sha256":"' + digest + b'"', b'"version":"1"')
    old = (len(old) - 8 - 8).to_bytes(8, "little") + old[8:]
    found = mg.load(io.BytesIO(old))
    assert found[0] == 1 and found[1].tolist() == [1, 1]


def test_a_changed_bit_anywhere_is_noticed():
    """Also in the numbers, which a file without a checksum gives as they are. mmap does not read them all."""
    data = saved({"w": mg.arange(6.0), "text": "some text"})
    for place in range(len(data)):
        for bit in (1, 64):
            changed = bytearray(data)
            changed[place] ^= bit
            with pytest.raises(ValueError, match="cannot be loaded"):
                mg.load(io.BytesIO(bytes(changed)))
    digest = data.split(b'"sha256":"')[1][:64].decode()
    assert hashlib.sha256(data.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


def test_what_has_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        for mmap in (False, True):
            with pytest.raises(ValueError, match="a device or a pipe"):
                mg.load(path, mmap=mmap)


# --------------------------------------------------------------------------------------------- damaged files


def entry(dtype="F32", shape=(1,), place=(0, 4)):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": place}}


def tree(x):
    metadata = {"format": "minigrad", "version": "1", "tree": x if isinstance(x, (str, int)) else json.dumps(x)}
    return {"__metadata__": metadata, **entry("I32")}


DAMAGED = [
    (file_of(b"{"), "header is no JSON"),
    (file_of(b"\xff\xfe\xff"), "header is no JSON"),
    (file_of(b"[" * 100_000), "header is no JSON"),
    (file_of([1]), "no JSON object"),
    (file_of(b'{"a": ' + b"9" * 5000 + b"}"), "header is no JSON"),
    (file_of({"__metadata__": [1]}), "metadata is no JSON object"),
    (file_of({"a": 1}), "'a' lacks"),
    (file_of({"a": {"dtype": "F32"}}), "'a' lacks"),
    (file_of(entry(place=[0])), "'a' lacks"),
    (file_of(entry(place={"a": 1, "b": 2}), b"1234"), "fit"),
    (file_of(entry(dtype="F16"), b"1234"), "dtype F16, and minigrad has BOOL"),
    (file_of(entry(dtype=["F32"]), b"1234"), r"dtype \['F32'\]"),
    (file_of(entry(dtype=None), b"1234"), "dtype None"),
    (file_of(entry(shape={"x": 1}), b"1234"), "fit"),
    (file_of(entry(shape={}), b"1234"), "fit"),
    (file_of(entry(shape=4), b"1234"), "shape 4 and F32 does not fit"),
    (file_of(entry(shape=[True]), b"1234"), "fit"),
    (file_of(entry(shape=[1.0]), b"1234"), "fit"),
    (file_of(entry(shape=[-1], place=[4, 0]), b"1234"), "fit"),
    (file_of(entry(shape=[1] * 65), b"1234"), "fit"),
    (file_of(entry(shape=[10**4000]), b"1234"), "fit"),
    (file_of(entry(shape=[2**62], place=[0, 2**64]), b"1234"), "fit"),
    (file_of(entry(shape=[0, 2**70], place=[0, 0])), "fit"),
    (file_of(entry(shape=[0, 2**62, 2**62], place=[0, 0])), "too large"),
    (file_of(entry(shape=[2]), b"1234"), "fit"),
    (file_of(entry(place=[4, 8]), b"1234"), "fit"),
    (file_of(entry(place=[4, 8]), b"12345678"), "one after another"),
    (file_of(entry(), b"12345678"), "one after another"),
    (file_of(entry() | {"b": entry()["a"]}, b"1234"), "one after another"),
    (file_of(entry("BOOL", [4]), b"\0\1\2\1"), "bools holds other bytes"),
    *[
        (file_of(tree(x), b"1234"), says)
        for x, says in (
            (3, "tree is no JSON"),
            ("[", "tree is no JSON"),
            ({}, "tree is damaged"),
            ({"tensor": "b"}, "tree is damaged"),
            ({"tensor": ["a"]}, "tree is damaged"),
            ({"tensor": "a", "requires_grad": True}, "tree is damaged"),  # of integers
            ({"float": []}, "tree is damaged"),
            ({"float": 10**400}, "tree is damaged"),
            ({"tuple": 3}, "tree is damaged"),
            ({"size": None}, "tree is damaged"),
            ({"dict": [1]}, "tree is damaged"),
            ({"dict": [[[], 1]]}, "tree is damaged"),
            ({"ordered": [[1, 2, 3]]}, "tree is damaged"),
            ({"counter": 5}, "tree is damaged"),
            ({"module": "a"}, "holds a 'module', which this minigrad does not know"),
            ("[" * 150 + "]" * 150, "deeper than 100"),
            ("[" * 100_000, "tree is no JSON"),
        )
    ],
]


@pytest.mark.parametrize("data,message", DAMAGED, ids=range(len(DAMAGED)))
def test_damage_is_named(data, message, tmp_path):
    path = tmp_path / "some.file"
    path.write_bytes(data)
    for call in (lambda: mg.load(path), lambda: mg.load(path, mmap=True), lambda: mg.load(io.BytesIO(data))):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "cannot be loaded: " in str(error.value) and len(str(error.value)) < 500
    with pytest.raises(ValueError, match=r"some\.file cannot"):
        mg.load(path)


WHOLE = saved({"w": mg.ones(3, 2), "b": [mg.tensor([True]), (1, float("nan"))], "n": OrderedDict(k=mg.arange(3))})


@pytest.mark.parametrize("end", range(0, len(WHOLE), 7))
def test_every_shorter_file_is_refused(end):
    with pytest.raises(ValueError, match="cannot be loaded"):
        mg.load(io.BytesIO(WHOLE[:end]))


def loads_or_says_no(data):
    """Anything but a value or a ValueError is a failure, and so is much time or memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        found = mg.load(io.BytesIO(bytes(data)))
    except ValueError as error:
        assert "cannot be loaded: " in str(error)
        found = None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100_000 + 100 * len(data) and time.process_time() - start < 5
    return found


@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, len(WHOLE)),
    st.binary(max_size=9),
)
@example([(8, 0x7B)], len(WHOLE), b"")
@settings(max_examples=500)
def test_flipped_cut_and_lengthened_files(flips, end, more):
    data = bytearray(WHOLE)
    for place, byte in flips:
        data[place] = byte
    loads_or_says_no(data[:end] + more)
    loads_or_says_no(data)


@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(0, 250)))
def test_any_bytes(data, length):
    loads_or_says_no(data if length is None else struct.pack("<Q", length) + data)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["F32", "BOOL", "a", "nan"])),
    lambda x: st.one_of(
        st.lists(x, max_size=3),
        st.dictionaries(st.sampled_from("tensor numpy float tuple size dict ordered counter x".split()), x, max_size=2),
    ),
    max_leaves=8,
)


@given(JSON, JSON, JSON, JSON, st.binary(max_size=16))
@settings(max_examples=300)
def test_any_json_in_the_headers_places(dtype, shape, place, held, data):
    loads_or_says_no(file_of(entry(dtype, shape, place), data))
    loads_or_says_no(file_of(entry("F32", shape, [0, len(data)]), data))
    loads_or_says_no(file_of(tree(json.dumps(held)), b"1234"))
    loads_or_says_no(file_of(held, data))
