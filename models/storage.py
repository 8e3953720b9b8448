"""Files: a trained model in and out, and results that appear whole or not at all.

A model is an .npz (a zip of numpy arrays, readable by numpy.load) with its description as JSON inside. There is no
pickle in it: reading one runs no code, and it allocates no more than the file's own size.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.mlp import MLP, STATISTICS, Config
from models.names import NamesError, Vocabulary

FORMAT = "makemore-mlp 1"
MODEL = "model.npz"
MAX_BYTES = 8 * 2**30


class ModelError(ValueError):
    """A model file that cannot be used; its text is one line: file, what is wrong, what to do."""


class Unwritable(OSError):
    """A folder that results cannot go to; its text is one line."""


@dataclass
class Trained:
    """A calibrated network, its vocabulary, and what else is known of it (`about`: steps, losses, names' hash)."""

    model: MLP
    vocab: Vocabulary
    about: dict[str, Any] = field(default_factory=dict)


def save_model(path: str | os.PathLike[str], trained: Trained) -> None:
    """Write a model file; one that is there already is replaced whole or not at all. Raises OSError."""
    description = {
        "format": FORMAT,
        "config": asdict(trained.model.config),
        "chars": "".join(trained.vocab.chars),
        "about": trained.about,
    }
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, json=text, **trained.model.state_dict())
    write_whole(path, buffer.getvalue())


def load_model(path: str | os.PathLike[str]) -> Trained:
    """Read a model file, or the model.npz of a folder. Raises ModelError for one that is not there or damaged."""
    place = Path(path)
    try:
        if place.is_dir():
            place = place / MODEL
        if place.stat().st_size > MAX_BYTES:
            raise ModelError(f"{place}: more than {MAX_BYTES:,} bytes; that is no model of this program")
        with open(place, "rb") as file:
            data = file.read(MAX_BYTES)
    except FileNotFoundError:
        raise ModelError(f"{place}: no such model; train one first: makemore train") from None
    except OSError as error:
        raise ModelError(f"{place}: cannot be read: {error.strerror or error}") from None
    try:
        return _parse(data)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from None
    except Exception as error:  # zipfile, json and numpy each have a dozen ways to say that bytes are damaged
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ModelError(f"{place}: damaged, or no model of this program ({reason})") from None


def _parse(data: bytes) -> Trained:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # Stored and not compressed, so that nothing in it is larger than it looks; read() checks the CRC.
        entries = archive.infolist()
        if any(e.compress_type != zipfile.ZIP_STORED for e in entries) or sum(e.file_size for e in entries) > len(data):
            raise ValueError("its parts are larger than the file")
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    description = json.loads(_array(members.pop("json"), np.uint8).tobytes())
    if description["format"] != FORMAT:
        raise ModelError(f"its format is {str(description['format'])[:40]!r}, and this program reads {FORMAT!r}")
    config, chars, about = Config(**description["config"]), description["chars"], description["about"]
    try:
        vocab = Vocabulary(chars)
    except NamesError as error:
        raise ValueError(str(error)) from None
    if len(vocab) != config.vocab_size or vocab.chars != list(chars) or not isinstance(about, dict):
        raise ValueError("its vocabulary is not that of its sizes")

    # The sizes are believed once the arrays have them: only then is a network of that size made.
    state = {name: _array(member, np.float32) for name, member in members.items()}
    shapes = config.shapes()
    for name, shape in shapes.items():
        if name not in state:
            raise ValueError(f"{name} is missing")
        if state[name].shape != shape:
            raise ValueError(f"{name} has shape {state[name].shape}, its sizes say {shape}")
        if not np.isfinite(state[name]).all():
            raise ValueError(f"{name} has values that are not finite")
    if (state[STATISTICS[1]] < 0).any():
        raise ValueError("bnvar has negative values")
    model = MLP(config)
    model.load_state_dict(state)
    return Trained(model, vocab, about)


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


# ------------------------------------------------------------------------------------- whole or not at all


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file beside its place first, then put it there in one move. Raises OSError."""
    place = Path(path)
    handle, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.", suffix=".part")
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o666 & ~_umask())  # mkstemp's own 0o600 is for secrets
        os.replace(beside, place)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)  # the only way to read it is to set it
    os.umask(mask)
    return mask


@contextmanager
def all_or_nothing(out: Path) -> Iterator[Path]:
    """A new folder to write results to; at the end its files go to `out` together, replacing those of their names.

    When something is raised inside, `out` stays as it was. Raises OSError.
    """
    out.mkdir(parents=True, exist_ok=True)  # once more: it may have been removed during a long run
    stage = Path(tempfile.mkdtemp(dir=out, prefix=".new-"))
    try:
        yield stage
        files = sorted(file.name for file in stage.iterdir())
        _refuse_folders(out, files)  # before the first is moved
        for name in files:
            os.replace(stage / name, out / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def folder(out: Path, files: Sequence[str] = ()) -> Iterator[None]:
    """Make sure, before hours of work, that these files can be written to `out`; take it away again if none came.

    Raises Unwritable, which says what is wrong with it.
    """
    try:
        made = [p for p in (out, *out.parents) if not p.exists()]
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        _refuse_folders(out, files)
    except (FileExistsError, NotADirectoryError):
        raise Unwritable(f"{out}: not a folder, the results cannot go there; name another --out") from None
    except Unwritable:
        raise
    except OSError as error:
        raise Unwritable(f"{out}: cannot be written to: {error.strerror or error}; name another --out") from None
    try:
        yield
    finally:
        for p in made:
            if p.is_dir() and not any(p.iterdir()):
                p.rmdir()


def _refuse_folders(out: Path, files: Sequence[str]) -> None:
    for name in files:
        if (out / name).is_dir():
            raise Unwritable(f"{out / name}: a folder where a file must go; move it away")
