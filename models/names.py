"""From a list of names to what a model trains on: read, count characters, split, build (X, Y).

Source: cells 3 and 5 of the lecture "becoming a backprop ninja" (makemore part 4). The rows, their order
and the splits are the lecture's; the loops are numpy's.
"""

import os
import random
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

END = "."  # stands before and after every name, and is token 0

MAX_NAME = 1_000  # characters; a longer line is no name but another kind of file
MIN_NAMES = 6  # fewer, cut at 80 and 90 percent, leave a part empty
MAX_BYTES = 100_000_000  # so that a device or a disk image ends in an error and not in all memory used

_PUNCTUATION = "-'"
_A_NAME_IS = "a name is letters, hyphens and apostrophes, one name a line"


class NamesError(ValueError):
    """A list of names that cannot be used; its text is one line: file, line number, what to do."""


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """The names in a text file, one a line, in order, lower-cased; repeated names are kept.

    The file is UTF-8, with or without a byte order mark, with any line ends. Blank lines and space around
    a name are skipped. Letters of any alphabet, hyphens and apostrophes make a name.

    Raises NamesError for a file that cannot be read or holds no names, and, with the line number, for a
    line that is not UTF-8, is longer than 1,000 characters or has anything else in it, such as a digit, an
    inner space or a full stop (which is the end token).
    """
    names = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            name = _clean(line)
        except NamesError as error:
            raise NamesError(f"{path}:{number}: {error}") from None
        if name:
            names.append(name)
    if not names:
        raise NamesError(f"{path}: no names in it; write one name a line")
    return names


def _lines(path: str | os.PathLike[str]) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            if not os.isatty(file.fileno()) and stat.S_ISCHR(os.fstat(file.fileno()).st_mode):
                raise NamesError(f"{path}: a device; give a text file with one name a line")
            data = at_most(file, MAX_BYTES)
    except FileNotFoundError:
        raise NamesError(f"{path}: no such file; give a text file with one name a line") from None
    except IsADirectoryError:
        raise NamesError(f"{path}: a directory; give a text file with one name a line") from None
    except OSError as error:
        raise NamesError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise NamesError(f"{path}: more than {MAX_BYTES:,} bytes; give a text file with one name a line")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NamesError(f"{path}:1: UTF-16 and not UTF-8; save the file as UTF-8")
    # Split before decoding, so that a bad byte is known by its line. splitlines() splits bytes at
    # \n, \r\n and \r alone, as an editor counts lines; on a str it would split at form feeds too.
    return data.removeprefix(b"\xef\xbb\xbf").splitlines()


def at_most(file: BinaryIO, most: int) -> bytes:
    """What is in an open file, and of one that is larger than `most` bytes some more than that.

    Not file.read(most): that takes memory for as many before it has read the first.
    """
    size = os.fstat(file.fileno()).st_size
    data = file.read(min(size, most) + 1)
    while 0 < len(data) <= most and (more := file.read(2**20)):  # a pipe, which does not know its size
        data += more
    return data


def _clean(line: bytes) -> str:
    """The name on a line, "" for a blank one; NamesError without the place for a bad one."""
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        bad = line[error.start]
        raise NamesError(f"byte 0x{bad:02x} is not UTF-8; save the file as UTF-8") from None
    if len(text) > MAX_NAME:
        raise NamesError(f"a line of {len(text):,} characters, at most {MAX_NAME:,} can be; {_A_NAME_IS}")
    # One spelling a letter: é may come as one code point or as two, and a curly apostrophe is one too.
    name = unicodedata.normalize("NFC", text.lower()).replace("\u2019", "'")
    for c in name:
        if not (c.isalpha() or c in _PUNCTUATION or unicodedata.category(c).startswith("M")):
            raise NamesError(f"{_kind(c)} {c!r} in {_short(text)}; {_A_NAME_IS}")
    if name and not any(c.isalpha() for c in name):
        raise NamesError(f"no letter in {_short(text)}; {_A_NAME_IS}")
    return name


def _kind(c: str) -> str:
    if c == END:
        return "the end token"
    return "a space" if c.isspace() else "a digit" if c.isdigit() else "the character"


def _short(text: str, limit: int = 40) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "...")


class Vocabulary:
    """The characters of a list of names, and the integer for each: 0 for ".", 1 upwards in sorted order.

    `chars` is the sorted list without ".", `stoi` and `itos` map both ways, `len()` counts "." too.
    `Vocabulary(vocab.chars)` is the same vocabulary again, so `chars` is all that a saved model needs.

    Raises NamesError where "." is in a name. Source: the lecture's cell 4.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.chars = sorted(set("".join(words)))
        if END in self.chars:
            raise NamesError(f"{END!r} is in a name, and it is the end token; take it out")
        self.stoi = {c: i for i, c in enumerate(self.chars, start=1)}
        self.stoi[END] = 0
        self.itos = {i: c for c, i in self.stoi.items()}

    def __len__(self) -> int:
        return len(self.itos)

    def __repr__(self) -> str:
        return f"Vocabulary({END + ''.join(self.chars)!r})"

    def encode(self, text: str) -> list[int]:
        """One integer a character; NamesError names a character that is not in the vocabulary."""
        for c in text:
            if c not in self.stoi:
                known = "".join(self.chars)
                raise NamesError(f"{c!r} in {_short(text)} is not in the vocabulary {_short(known)}")
        return [self.stoi[c] for c in text]

    def decode(self, tokens: Iterable[int]) -> str:
        """One character an integer; ValueError names an integer outside 0 ... len - 1."""
        tokens = [int(i) for i in tokens]
        for i in tokens:
            if i not in self.itos:
                raise ValueError(f"token {i} is not in the vocabulary, whose tokens are 0 to {len(self) - 1}")
        return "".join(self.itos[i] for i in tokens)


def build_dataset(
    words: Sequence[str], vocab: Vocabulary, block_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every character of every word, with the `block_size` characters before it in that word.

    A word of n characters gives n + 1 rows: "emma" with block_size 3 gives ... -> e, ..e -> m, .em -> m,
    emm -> a, mma -> . in order. Returns X, int64 of shape (N, block_size), and Y, int64 of shape (N,).

    Raises NamesError for a character that is not in `vocab`, ValueError for a block_size below 1.
    Source: the lecture's cell 5, same rows in the same order.
    """
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}, but a context has at least 1 character")
    Y = np.fromiter((i for w in words for i in (*vocab.encode(w), 0)), dtype=np.int64)
    lengths = np.array([len(w) + 1 for w in words], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(Y)) - np.repeat(starts, lengths)  # of each character in its own word

    X = np.zeros((len(Y), block_size), dtype=np.int64)
    for back in range(1, block_size + 1):
        inside = place[back:] >= back  # looking further back than the word's start sees "."
        X[back:, block_size - back] = np.where(inside, Y[:-back], 0)
    return X, Y


def split_names(
    words: Sequence[str], seed: int = 42, source: str | os.PathLike[str] = "the list"
) -> tuple[list[str], list[str], list[str]]:
    """Shuffled and cut into train, val and test: 80, 10 and 10 percent. `words` stays as it is.

    With seed 42 it is the lecture's `random.seed(42); random.shuffle(words)`, without touching the global
    random state. `source` is what an error calls the list: the file it came from.

    Raises NamesError where a part would be empty. Source: the lecture's cell 5.
    """
    if len(words) < MIN_NAMES:
        few = f"too few names, {len(words)}"
        raise NamesError(f"{source}: {few}: train, val and test need {MIN_NAMES} at least")
    shuffled = list(words)
    random.Random(seed).shuffle(shuffled)
    n1 = int(0.8 * len(shuffled))
    n2 = int(0.9 * len(shuffled))
    return shuffled[:n1], shuffled[n1:n2], shuffled[n2:]
