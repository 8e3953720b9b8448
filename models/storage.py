"""Files: a trained model in and out, and results that appear whole or not at all.

A model is a file of minigrad.save: safetensors, its arrays called as the network calls them, with its description as
JSON in the header and a checksum. There is no pickle in it: reading one runs no code, and it allocates no more than a
few times the file's own size. The model.npz of earlier versions is still read, see models/npz.py.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from models.mlp import MLP, STATISTICS, Config
from models.names import NamesError, Vocabulary, at_most

FORMAT, VERSION = "makemore-mlp", 2  # 1 is model.npz
DESCRIPTION = "makemore"  # where it is among the arrays' names
MODEL, OLD_MODEL = "model.safetensors", "model.npz"
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
        "version": VERSION,
        "config": asdict(trained.model.config),
        "chars": "".join(trained.vocab.chars),
        "about": trained.about,
    }
    write_whole(path, as_bytes({**trained.model.state_dict(), DESCRIPTION: description}))


def as_bytes(thing: Any) -> bytes:
    """What minigrad.save() would write to a file."""
    buffer = io.BytesIO()
    mg.save(thing, buffer)
    return buffer.getvalue()


def model_file(place: Path) -> Path:
    """The model in a folder: model.safetensors, or the model.npz of an earlier version where only that is there."""
    old = place / OLD_MODEL
    return old if not (place / MODEL).exists() and old.exists() else place / MODEL


def load_model(path: str | os.PathLike[str]) -> Trained:
    """Read a model file, or the model of a folder. Raises ModelError for one that is not there or damaged."""
    place = Path(path)
    try:
        if place.is_dir():
            place = model_file(place)
        data = read_bounded(place)
    except FileNotFoundError:
        raise ModelError(f"{place}: no such model; train one first: makemore train") from None
    except OSError as error:
        raise ModelError(f"{place}: cannot be read: {error.strerror or error}") from None
    try:
        return _parse(data)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from None
    except Exception as error:  # zipfile, json and numpy each have a dozen ways to say that bytes are damaged
        raise ModelError(f"{place}: damaged, or no model of this program ({reason(error)})") from None


def read_bounded(place: Path, most: int = MAX_BYTES) -> bytes:
    """The content of a file that is not too large to be one of this program's. Raises OSError."""
    with open(place, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError("a device, not a file")
        data = at_most(file, most)
    if len(data) > most:
        raise OSError(f"more than {most:,} bytes; this program writes no such file")
    return data


def reason(error: Exception) -> str:
    """What an error says of damaged bytes, short and on one line."""
    text = str(error).partition("cannot be loaded: ")[2] or str(error)
    return " ".join(text.split())[:100] or type(error).__name__


def _parse(data: bytes) -> Trained:
    description: Any
    if data[:2] == b"PK":
        from models import npz

        description, state = npz.read(data)
    else:
        loaded: Any = mg.load(io.BytesIO(data))
        state = loaded if isinstance(loaded, dict) else {}
        description = state.pop(DESCRIPTION, None)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ModelError("not a model of this program; train one: makemore train")
        if description["version"] != VERSION:
            raise ModelError(
                f"its version is {str(description['version'])[:40]}, and this program reads {VERSION}: use a newer one"
            )
    config, chars, about = Config(**description["config"]), description["chars"], description["about"]
    try:
        vocab = Vocabulary(chars)
    except NamesError as error:
        raise ValueError(str(error)) from None
    if len(vocab) != config.vocab_size or vocab.chars != list(chars) or not isinstance(about, dict):
        raise ValueError("its vocabulary is not that of its sizes")
    return Trained(network(config, state), vocab, about)


def network(config: Config, state: Mapping[str, Any], calibrated: bool = True) -> MLP:
    """A network of these sizes with these arrays. Raises ValueError where they do not fit, before it takes any memory.

    calibrated: whether the statistics must be there.
    """
    # The sizes are believed once the arrays have them: only then is a network of that size made.
    arrays = {name: np.asarray(value.array if isinstance(value, mg.Tensor) else value) for name, value in state.items()}
    for name, shape in config.shapes().items():
        if not calibrated and name in STATISTICS and name not in arrays:
            continue
        if name not in arrays:
            raise ValueError(f"{name} is missing")
        if arrays[name].dtype != np.float32:
            raise ValueError(f"{name} is of {arrays[name].dtype} where float32 must be")
        if arrays[name].shape != shape:
            raise ValueError(f"{name} has shape {arrays[name].shape}, its sizes say {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has values that are not finite")
    if STATISTICS[1] in arrays and (arrays[STATISTICS[1]] < 0).any():
        raise ValueError("bnvar has negative values")
    model = MLP(config)
    model.load_state_dict(arrays)
    return model


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
    sync(place.parent)


def sync(place: Path) -> None:
    """Make sure that a file's content, or a folder's list of names, is on the disk. Raises OSError.

    Not where the file system cannot be told so, as some across a network, and folders that may not be read.
    """
    try:
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM):
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
            sync(stage / name)
        for name in files:
            os.replace(stage / name, out / name)
        sync(out)
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
