"""save and load: arrays in the safetensors layout, everything else as JSON. No pickle: a file can hold no code.

The file: 8 bytes, the length of the header (little-endian); the header, JSON, which names each array's dtype, shape and
place; the arrays' bytes, one after another. What is no array stands as JSON in the header's `__metadata__`, so that the
safetensors package reads such a file too (and this module reads its). Nested dicts, lists and tuples go in any depth up
to 100. `__metadata__` also holds a checksum: the SHA-256 of the whole file with 64 zeros in the checksum's own place.
Source: https://huggingface.co/docs/safetensors (format).
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import devices
from .dtypes import SUPPORTED
from .size import Size
from .tensor import Tensor, wrap

VERSION = 2  # 1 had no checksum, and is still read
LONGEST_HEADER = 100_000_000  # safetensors' own bound
DEEPEST = 100
NAMES = {
    "F32": "<f4", "F64": "<f8", "I8": "|i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
CODES = {np.dtype(layout): name for name, layout in NAMES.items()}
NO_DIGEST = "0" * 64
DICTS: dict[str, type[dict]] = {"ordered": OrderedDict, "counter": Counter, "dict": dict}


def save(obj: Any, f: Any) -> None:
    """Write Tensors, arrays, numbers, strings, bools, None, and dicts, lists and tuples of them, to a file.

    f: a path (written to a temporary file beside it and then renamed, both made sure of on the disk, so that a path
    holds the whole of the old or of the new even when the machine stops) or an open binary file. Gradients and graphs
    are not kept: a Tensor comes back as a leaf, and requires grad if it did; a numpy number comes back as a 0-d array.
    TypeError, with the place in obj, for anything else; of a Module save the state_dict(). RuntimeError for a path that
    cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = _plain(obj, "", arrays, 0)
    metadata = {"format": "minigrad", "version": str(VERSION), "sha256": NO_DIGEST, "tree": json.dumps(tree)}
    header: dict[str, Any] = {"__metadata__": metadata}
    place = 0
    # The widest first: each then lies at a multiple of its item's size, so that load() can use it where it lies.
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    for name, array in arrays.items():
        header[name] = {
            "dtype": CODES[array.dtype], "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]
        }  # fmt: skip
        place += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    parts = [len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in arrays.values())]
    parts[1] = text.replace(_entry(NO_DIGEST), _entry(_digest(parts)), 1)
    if hasattr(f, "write"):
        for part in parts:
            f.write(part)
        return
    try:
        _replace(Path(os.path.realpath(f)), parts)
    except OSError as error:
        raise RuntimeError(f"cannot write {str(f)[-200:]!r}: {error.strerror or error}") from None


def _entry(digest: str) -> bytes:
    return f'"sha256":"{digest}"'.encode()


def _digest(parts: list[Any]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def _replace(path: Path, parts: list[bytes]) -> None:
    """Write the file whole or not at all. OSError."""
    if path.exists() and not path.is_file():  # a device or a pipe takes bytes and must stay what it is
        with open(path, "wb") as file:
            file.writelines(parts)
        return
    handle, temporary = tempfile.mkstemp(prefix=path.name[:40], suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            mode = path.stat().st_mode & 0o7777
        else:  # mkstemp's is for its owner alone
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name is in the folder, which has its own place on the disk. Not every file system can be told so."""
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM):
            raise


def _plain(x: Any, at: str, arrays: dict[str, np.ndarray], depth: int) -> Any:
    """x as JSON, its arrays put into *arrays*: {"array": name} and the like in their places."""
    if depth > DEEPEST:
        raise TypeError(f"save: {at[:40]}... is nested deeper than {DEEPEST}")
    if x is None or type(x) in (bool, int, str):
        return x
    if type(x) is float:
        return x if math.isfinite(x) else {"float": str(x)}
    if isinstance(x, (Tensor, np.ndarray, np.generic)):
        array = np.asarray(x.array if isinstance(x, Tensor) else x)
        found = array.dtype.newbyteorder("<")
        if found not in CODES:
            raise TypeError(f"save: {at or 'the object'} is an array of {array.dtype}, which has no place in the file")
        name = (at or "array") if at != "__metadata__" else "array:__metadata__"
        while name in arrays:
            name += "'"
        arrays[name] = np.ascontiguousarray(array.astype(found, copy=False)).reshape(array.shape)
        if not isinstance(x, Tensor):
            return {"numpy": name}
        return {"tensor": name, "requires_grad": True} if x.requires_grad else {"tensor": name}
    if isinstance(x, Mapping):
        items = [
            [_plain(k, at, arrays, depth + 1), _plain(v, f"{at}.{k}" if at else str(k), arrays, depth + 1)]
            for k, v in x.items()
        ]
        return {next((kind for kind, of in DICTS.items() if isinstance(x, of)), "dict"): items}
    if type(x) in (list, tuple, Size):
        items = [_plain(v, f"{at}.{i}" if at else str(i), arrays, depth + 1) for i, v in enumerate(x)]
        return items if type(x) is list else {"tuple" if type(x) is tuple else "size": items}
    raise TypeError(
        f"save: {at or 'the object'} is a {type(x).__name__}; a file holds Tensors, arrays, numbers, strings, None, "
        "and dicts, lists and tuples of them" + ("; save its state_dict()" if hasattr(x, "state_dict") else "")
    )


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, mmap: bool = False) -> Any:
    """What save() wrote, or a dict of the Tensors in any safetensors file.

    f: a path or an open binary file. mmap (of a path): arrays are read when they are used, so the checksum is not
    looked at; what is written into them does not reach the file. map_location: the cpu. weights_only is accepted: there
    is never code in a file.
    ValueError, which says what is wrong, for a file that is damaged, cut short, of a newer version, or another format;
    TypeError for a file open as text.
    """
    devices.check(None if callable(map_location) or isinstance(map_location, dict) else map_location)
    name = str(getattr(f, "name", f))[-200:]
    if hasattr(f, "read"):
        if mmap:
            raise ValueError(f"load: mmap=True needs a path, got an open file ({type(f).__name__})")
        content = f.read()
        if isinstance(content, str):
            raise TypeError(f"load: {name} is open as text, a file of Tensors is bytes: open(path, 'rb')")
        data: Any = np.frombuffer(bytearray(content), np.uint8)
    elif not stat.S_ISREG(mode := os.stat(f).st_mode) and not stat.S_ISDIR(mode):  # it may have no end
        raise ValueError(f"{name} cannot be loaded: it is a device or a pipe, not a file: load(open(path, 'rb'))")
    elif mmap and os.path.getsize(f):
        data = np.memmap(f, np.uint8, "c")
    else:
        data = np.fromfile(f, np.uint8)
    try:
        return _read(data, check=not mmap)
    except _Wrong as error:
        raise ValueError(f"{name} cannot be loaded: {error}") from None


class _Wrong(Exception):
    """What is wrong with a file."""


def _read(data: np.ndarray, check: bool) -> Any:
    head = data[:8].tobytes()
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > min(LONGEST_HEADER, len(data) - 8):
        in_torch = "in torch, write it with safetensors.torch.save_file"
        if head[:4] == b"PK\x03\x04" and b"data.pkl" in data[:400].tobytes():
            raise _Wrong(f"torch.save wrote it, as pickled code: {in_torch}")
        if head[:4] == b"PK\x03\x04":
            raise _Wrong("it is a zip archive: of an .npz, take the arrays with numpy.load")
        if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            raise _Wrong(f"it is a pickle, which can hold any code: write it with minigrad.save, or {in_torch}")
        raise _Wrong(f"it has {len(data)} bytes and no header that fits: it is cut short, or no such file")
    text = data[8 : 8 + length].tobytes()
    header = _json(text, "header")
    if not isinstance(header, dict):
        raise _Wrong("its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _Wrong("its metadata is no JSON object")
    # Three of four, so that a file with a damaged byte in one of them is not taken for one of another writer.
    ours = (metadata.get("format") == "minigrad") + len({"version", "sha256", "tree"} & metadata.keys()) >= 3
    version = str(metadata.get("version"))[:40]
    if ours and version not in ("1", str(VERSION)):
        raise _Wrong(f"it is of version {version!r}, this minigrad reads 1 and {VERSION}: use a newer one")
    if ours and version != "1" and check:
        entry = _entry(str(metadata.get("sha256"))[:64])
        blank = text.replace(entry, _entry(NO_DIGEST), 1)
        if _entry(_digest([data[:8], blank, data[8 + length :]])) != entry:
            raise _Wrong("its checksum does not fit what is in it: it is damaged or cut short")
    arrays = {name: _array(name, entry, data[8 + length :]) for name, entry in header.items()}
    places = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    ends = [0, *(end for _, end in places)]
    if any(start != end for (start, _), end in zip(places, ends, strict=False)) or ends[-1] != len(data) - 8 - length:
        raise _Wrong("its arrays do not fill it one after another: it is cut short or damaged")
    if not ours:
        return {name: wrap(array) for name, array in arrays.items()}
    return _built(_json(metadata.get("tree"), "tree"), arrays, 0)


def _json(text: Any, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise _Wrong(f"its {what} is no JSON: {str(error)[:80]}") from None


def _array(name: str, entry: Any, data: np.ndarray) -> np.ndarray:
    """One array of the file, sharing its memory."""
    try:
        layout, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = type(shape) is list and all(type(n) is int and 0 <= n < 2**63 for n in (*shape, start, end))
    except (TypeError, KeyError, ValueError):
        raise _Wrong(f"its entry {name[:80]!r} lacks a dtype, shape or data_offsets") from None
    if type(layout) is not str or layout not in NAMES:
        raise _Wrong(f"{name[:80]!r} is of dtype {str(layout)[:40]}, and minigrad has {', '.join(sorted(NAMES))}")
    dtype = np.dtype(NAMES[layout])
    if not whole or len(shape) > 64 or end > len(data) or end - start != math.prod(shape) * dtype.itemsize:
        at = f"{str(start)[:20]} to {str(end)[:20]}"
        raise _Wrong(f"{name[:80]!r} of shape {str(shape)[:60]} and {layout} does not fit bytes {at}")
    raw = data[start:end]
    if layout == "BOOL" and (raw > 1).any():
        raise _Wrong(f"{name[:80]!r} of bools holds other bytes than 0 and 1")
    if raw.ctypes.data % dtype.itemsize:
        raw = raw.copy()
    try:
        array = np.asarray(raw).view(dtype).reshape(shape)
    except ValueError:  # no bytes, and sizes beside the 0 that no array can have
        raise _Wrong(f"{name[:80]!r} has the shape {str(shape)[:60]}, which is too large") from None
    native = next(d for d in SUPPORTED if d == dtype.newbyteorder("="))
    return array.astype(native, copy=False).view(native)


def _built(x: Any, arrays: dict[str, np.ndarray], depth: int) -> Any:
    """The JSON tree with its arrays put back."""
    if depth > DEEPEST:
        raise _Wrong(f"its tree is nested deeper than {DEEPEST}")
    if isinstance(x, list):
        return [_built(v, arrays, depth + 1) for v in x]
    if not isinstance(x, dict):
        return x
    try:
        kind, value = next(iter(x.items()))
        if kind == "tensor":
            tensor = wrap(arrays[value])
            return tensor.requires_grad_() if x.get("requires_grad") is True else tensor
        if kind == "numpy":
            return arrays[value]
        if kind == "float":
            return float(value)
        if kind in ("tuple", "size"):
            return (tuple if kind == "tuple" else Size)([_built(v, arrays, depth + 1) for v in value])
        if kind in DICTS:
            return DICTS[kind]({_built(k, arrays, depth + 1): _built(v, arrays, depth + 1) for k, v in value})
    except (KeyError, ValueError, TypeError, OverflowError, RuntimeError, StopIteration):
        raise _Wrong(f"its tree is damaged at {str(x)[:60]}") from None
    raise _Wrong(f"its tree holds a {kind!r}, which this minigrad does not know")
