"""Files with mistakes in them, made from good ones: the same ones for the same seed."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Iterator
from typing import Any

TOKENS = [
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"\r", b" ", b"{", b"}", b"[" * 5000, b"{\"a\":" * 3000,
    b"]", b"\"", b"\\u0000", b"\\ud800", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"-0", b"0", b"9" * 5000,
    b"null", b"true", b"false", b"1.5", b"[]", b"{}", b"\"\"", b"__metadata__", b"18446744073709551616", b"../../x",
    b"/etc/passwd", b"PK\x03\x04", b"\x80\x04\x95", b"<script>", b"%s%n", b"A" * 3000, "\u202e\u00e9".encode(),
]  # fmt: skip
LENGTHS = [0, 1, 2, 7, 8, 100, 99_999_999, 100_000_000, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, -0.0, float("nan"), float("inf"), "", "x", "1",
    "../../x", "\0", "\ud800", "x" * 5000, [], {}, [[]], [None], {"a": 1}, [0] * 300, ["x"] * 300, {"": {}},
]  # fmt: skip


def mutated(good: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` files: bytes changed, cut, doubled, put in, moved; and for a safetensors file lengths of the header."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
            _one(data, chance)
        yield bytes(data)


def _one(data: bytearray, chance: random.Random) -> None:
    # Where there are a header and then numbers, the header is where it matters.
    end = chance.choice([len(data), min(len(data), 2000)])
    at = chance.randrange(end + 1)
    to = min(len(data), at + chance.choice([1, 1, 4, 8, 100, len(data)]))
    match chance.randrange(9):
        case 0 | 1 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 2 if at < len(data):
            data[at] = chance.randrange(256)
        case 3:
            del data[at:to]
        case 4:
            data[at:at] = data[at:to]
        case 5:
            data[at:at] = chance.choice(TOKENS)
        case 6:
            data[at:to] = chance.choice(TOKENS)
        case 7:
            length = chance.choice([*LENGTHS, max(0, len(data) + chance.randint(-20, 20))])
            data[:8] = struct.pack("<Q", length)
        case 8:
            part = bytes(data[at:to])
            del data[at:to]
            place = chance.randrange(len(data) + 1)
            data[place:place] = part


def changed_json(thing: Any, chance: random.Random) -> Any:
    """The same with one value in it replaced, taken out, doubled or wrapped."""
    places: list[tuple[Any, Any]] = []

    def walk(x: Any) -> None:
        for key in list(x) if isinstance(x, dict) else range(len(x)) if isinstance(x, list) else ():
            places.append((x, key))
            walk(x[key])

    thing = json.loads(json.dumps(thing))
    walk(thing)
    if not places:
        return chance.choice(VALUES)
    holder, key = chance.choice(places)
    match chance.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2 if isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * chance.choice([-1, 2, 10**9, 0.5]) + chance.choice([0, 1, -1])
        case 3:
            other, name = chance.choice(places)
            try:
                holder[key] = json.loads(json.dumps(other[name]))
            except (KeyError, IndexError):
                holder[key] = None
        case _:
            holder[key] = chance.choice(VALUES)
    return thing


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """A safetensors file's header and arrays."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: Any, arrays: bytes) -> bytes:
    """A file of minigrad.save of these, its checksum right whatever is in it."""
    if isinstance(header, dict) and isinstance(header.get("__metadata__"), dict):
        header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + arrays
    return data.replace(b'"sha256":"' + b"0" * 64, b'"sha256":"' + hashlib.sha256(data).hexdigest().encode(), 1)


def signed(good: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` files with another header or another tree in it, and a checksum that is right."""
    chance = random.Random(seed)
    for _ in range(count):
        header, arrays = split(good)
        for _ in range(chance.choice([1, 1, 2, 4])):
            if chance.random() < 0.7:
                tree = json.loads(header["__metadata__"]["tree"])
                header["__metadata__"]["tree"] = json.dumps(changed_json(tree, chance))
            else:
                again = changed_json(header, chance)
                if not isinstance(again, dict) or not isinstance(again.get("__metadata__"), dict):
                    continue
                if not isinstance(again["__metadata__"].get("tree"), str) or not _json(again["__metadata__"]["tree"]):
                    continue
                header = again
        if chance.random() < 0.3 and arrays:
            place = chance.randrange(len(arrays))
            arrays = arrays[:place] + bytes([chance.randrange(256)]) + arrays[place + 1 :]
        yield joined(header, arrays)


def _json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
