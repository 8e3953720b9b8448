"""models.names: bad lists, and the lecture's figures."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from models import names
from models.names import NamesError, Vocabulary, build_dataset, read_names, split_names

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def written(tmp_path):
    """written(bytes) -> the path of a file that holds them."""

    def write(data: bytes) -> Path:
        path = tmp_path / "list.txt"
        path.write_bytes(data)
        return path

    return write


def lecture_rows(words, stoi, block_size):
    """The loop of the lecture's cell 5."""
    X, Y = [], []
    for w in words:
        context = [0] * block_size
        for ch in w + ".":
            ix = stoi[ch]
            X.append(context)
            Y.append(ix)
            context = context[1:] + [ix]
    return X, Y


# ---------------------------------------------------------------- the project's list, the lecture's list


def test_the_projects_list():
    words = read_names(PROJECT / "names.txt")
    assert len(words) == 32_178
    assert words[:3] == ["emma", "olivia", "ava"]
    assert max(map(len, words)) == 15
    assert "".join(Vocabulary(words).chars) == "abcdefghijklmnopqrstuvwxyz"


def test_the_lectures_figures(lecture_dir):
    words = read_names(lecture_dir / "names.txt")
    assert len(words) == 32_033
    assert max(map(len, words)) == 15
    assert words[:8] == ["emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia"]

    vocab = Vocabulary(words)
    assert len(vocab) == 27
    assert str(vocab.itos) == (
        "{1: 'a', 2: 'b', 3: 'c', 4: 'd', 5: 'e', 6: 'f', 7: 'g', 8: 'h', 9: 'i', 10: 'j', 11: 'k', 12: 'l', "
        "13: 'm', 14: 'n', 15: 'o', 16: 'p', 17: 'q', 18: 'r', 19: 's', 20: 't', 21: 'u', 22: 'v', 23: 'w', "
        "24: 'x', 25: 'y', 26: 'z', 0: '.'}"
    )

    shuffled = list(words)
    random.Random(42).shuffle(shuffled)
    parts = split_names(words)
    assert [w for part in parts for w in part] == shuffled

    for part, rows in zip(parts, (182_625, 22_655, 22_866), strict=True):
        X, Y = build_dataset(part, vocab, 3)
        assert X.shape == (rows, 3) and Y.shape == (rows,)
        X_loop, Y_loop = lecture_rows(part, vocab.stoi, 3)
        assert np.array_equal(X, X_loop) and np.array_equal(Y, Y_loop)


def test_names_stand_without_the_engine():
    code = "import sys, models.names; sys.exit('minigrad' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


# ---------------------------------------------------------------- what works as a person expects


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"emma\nava\n", ["emma", "ava"]),
        (b"emma\nava", ["emma", "ava"]),  # no last line end
        (b"emma\r\nava\r\n", ["emma", "ava"]),
        (b"emma\rava\r", ["emma", "ava"]),
        (b"\xef\xbb\xbfemma\nava\n", ["emma", "ava"]),  # byte order mark
        (b"\n\nemma\n   \n\t\nava\n\n", ["emma", "ava"]),
        (b"  emma \n\tava\t\n", ["emma", "ava"]),
        (b"Emma\nAVA\n", ["emma", "ava"]),
        (b"emma\nemma\n", ["emma", "emma"]),
        ("Zoë\nЖди\n明\n".encode(), ["zoë", "жди", "明"]),
        ("Zoe\u0308\n".encode(), ["zoë"]),  # e and a combining diaeresis
        ("O'Brien\nO\u2019Brien\nAnne-Marie\n".encode(), ["o'brien", "o'brien", "anne-marie"]),
    ],
)
def test_a_good_list(written, data, expected):
    assert read_names(written(data)) == expected


def test_a_name_longer_than_the_context():
    vocab = Vocabulary(["abcd"])
    X, Y = build_dataset(["abcd"], vocab, 2)
    assert X.tolist() == [[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]]
    assert Y.tolist() == [1, 2, 3, 4, 0]


# ---------------------------------------------------------------- what gets one clear line


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (b"", "", "no names"),
        (b"\xef\xbb\xbf", "", "no names"),
        (b"\n \r\n\t\n", "", "no names"),
        (b"emma\nzo\xeb\nava\n", ":2", "byte 0xeb is not UTF-8"),
        ("emma\n".encode("utf-16"), ":1", "UTF-16"),
        (b"emma\r\n\r\nava2\r\n", ":3", "a digit '2' in 'ava2'"),
        (b"emma\nava mia\n", ":2", "a space ' ' in 'ava mia'"),
        (b"emma\nava.\n", ":2", "the end token '.' in 'ava.'"),
        (b"Emma,F,18770\n", ":1", "the character ',' in 'Emma,F,18770'"),
        (b"emma\n---\n", ":2", "no letter in '---'"),
        (b"emma\n\x00\x01\n", ":2", r"the character '\x00'"),
        (b"emma\n" + b"a" * 1001 + b"\n", ":2", "a line of 1,001 characters, at most 1,000"),
        (b"b" * 100 + b"!", ":1", "'" + "b" * 40 + "...'"),
    ],
)
def test_a_bad_list(written, data, place, says):
    path = written(data)
    with pytest.raises(NamesError) as error:
        read_names(path)
    line = str(error.value)
    assert line.startswith(f"{path}{place}: ") and says in line
    assert "\n" not in line and len(line) < len(str(path)) + 200


def test_no_file(tmp_path):
    with pytest.raises(NamesError, match="gone.txt: no such file"):
        read_names(tmp_path / "gone.txt")
    with pytest.raises(NamesError, match="a directory"):
        read_names(tmp_path)


def test_a_file_that_may_not_be_read(monkeypatch, written):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(names, "open", refuse, raising=False)  # root may read all, so by hand
    with pytest.raises(NamesError, match="cannot be read: Permission denied"):
        read_names(written(b"emma\n"))


def test_a_file_without_end(monkeypatch, written):
    monkeypatch.setattr(names, "MAX_BYTES", 10)
    assert read_names(written(b"emma\nemma\n")) == ["emma", "emma"]
    with pytest.raises(NamesError, match="more than 10 bytes"):
        read_names(written(b"emma\nemma\na"))


good = st.sampled_from([b"Emma", b" ava ", b""])
line = st.one_of(good, st.text(max_size=12).map(str.encode), st.binary(max_size=12))


@given(st.lists(line, max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r", b""]))
def test_any_bytes_give_names_or_an_error(tmp_path_factory, lines, end):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(end.join(lines))
    try:
        words = read_names(path)
    except NamesError as error:
        assert str(error).startswith(str(path)) and len(str(error).splitlines()) == 1
        return
    assert words and all(w and w == w.strip() and "." not in w and len(w.split()) == 1 for w in words)
    vocab = Vocabulary(words)
    assert [vocab.decode(vocab.encode(w)) for w in words] == words
    path.write_text("\n".join(words), encoding="utf-8")
    assert read_names(path) == words


# ---------------------------------------------------------------- vocabulary, rows, splits


def test_vocabulary():
    vocab = Vocabulary(["bob", "ann-li"])
    assert vocab.chars == ["-", "a", "b", "i", "l", "n", "o"]
    assert len(vocab) == 8 and vocab.stoi["."] == 0 and vocab.itos[1] == "-"
    assert vocab.encode("bob.") == [3, 7, 3, 0]
    assert vocab.decode(np.array([3, 7, 3, 0])) == "bob."
    assert Vocabulary(vocab.chars).stoi == vocab.stoi
    with pytest.raises(NamesError, match="'z' in 'zoa' is not in the vocabulary '-abilno'"):
        vocab.encode("zoa")
    with pytest.raises(ValueError, match="token 8 .* 0 to 7"):
        vocab.decode([1, 8])
    with pytest.raises(NamesError, match="end token"):
        Vocabulary(["a.b"])


words = st.lists(st.text("ab-'éж", max_size=7), max_size=8)


@given(words, st.integers(1, 10))
def test_rows_are_the_lectures(words, block_size):
    vocab = Vocabulary(words)
    X, Y = build_dataset(words, vocab, block_size)
    X_loop, Y_loop = lecture_rows(words, vocab.stoi, block_size)
    assert X.dtype == Y.dtype == np.int64
    assert X.shape == (len(Y_loop), block_size) and Y.shape == (len(Y_loop),)
    assert X.tolist() == X_loop and Y.tolist() == Y_loop


def test_rows_that_cannot_be():
    with pytest.raises(NamesError, match="'c' in 'cab' is not in the vocabulary"):
        build_dataset(["ab", "cab"], Vocabulary(["ab"]), 3)
    with pytest.raises(ValueError, match="block_size is 0"):
        build_dataset(["ab"], Vocabulary(["ab"]), 0)


@given(st.integers(6, 5_000), st.integers(0, 2**32))
def test_splits(n, seed):
    words = [str(i) for i in range(n)]
    parts = split_names(words, seed)
    assert all(parts) and sorted(w for part in parts for w in part) == sorted(words)
    assert words == [str(i) for i in range(n)]
    assert len(parts[0]) == int(0.8 * n) and len(parts[0]) + len(parts[1]) == int(0.9 * n)


def test_splits_leave_the_global_random_state():
    before = random.getstate()
    split_names(list("abcdefgh"))
    assert random.getstate() == before


@pytest.mark.parametrize("n", range(6))
def test_too_few_to_split(n):
    with pytest.raises(NamesError, match=rf"^my.txt: too few names, {n}: .* need 6 at least$"):
        split_names(["ann"] * n, source="my.txt")
