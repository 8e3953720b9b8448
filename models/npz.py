"""The model.npz that earlier versions wrote: a zip of numpy arrays with the description as JSON inside.

It is read and no longer written. No pickle here either, and no more memory than the file's own size.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

FORMAT = "makemore-mlp 1"


def read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description and the arrays by name. Raises ValueError, and what zipfile, json and numpy raise for damage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # Stored and not compressed, so that nothing in it is larger than it looks; read() checks the CRC.
        entries = archive.infolist()
        if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or sum(e.file_size for e in entries) > len(data):
            raise ValueError("its parts are larger than the file")
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    description = json.loads(_array(members.pop("json"), np.uint8).tobytes())
    if description["format"] != FORMAT:
        raise ValueError(f"its format is {str(description['format'])[:40]!r}, and this program reads {FORMAT!r}")
    return description, {name: _array(member, np.float32) for name, member in members.items()}


def _array(member: bytes, dtype: Any) -> np.ndarray:
    """An array out of its .npy bytes, allocated only when its header agrees with how many there are."""
    file = io.BytesIO(member)
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, found = read(file)
    array = np.frombuffer(member, np.uint8, offset=file.tell())
    if found != dtype:
        raise ValueError(f"an array of {found} where {np.dtype(dtype)} must be")
    return array.view(found).reshape(shape, order="F" if fortran else "C")
