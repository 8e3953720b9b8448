"""What a reader may do with a file that is not what it should be: say so in its own error, and nothing else."""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 5  # of processor time, on a busy machine; a reader of these small files takes some milliseconds
FORBIDDEN = (
    "exec", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen",
    "pickle.find_class", "marshal.loads", "code.__new__", "ctypes.dlopen", "socket.connect", "socket.bind",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.truncate",
    "shutil.rmtree", "urllib.Request", "webbrowser.open",
)  # fmt: skip

_watching = False
_seen: list[str] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _watching:
        return
    writes = event == "open" and (
        (isinstance(args[1], str) and set(args[1]) & set("wax+"))
        or (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
    )
    if writes or event in FORBIDDEN:
        _seen.append(f"{event}{args!r}"[:200])


sys.addaudithook(_hook)  # there is no taking it away again; it does nothing outside watched()


@contextmanager
def watched() -> Iterator[None]:
    """AssertionError for code that is run, a process, a connection or a file that is opened for writing inside."""
    global _watching
    _seen.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    assert not _seen, _seen


def reads(reader: Callable[[], Any], size: int, documented: type[Exception] | tuple[type[Exception], ...]) -> Any:
    """What the reader returns, or None where it raised a documented error of one line.

    AssertionError for any other error, for more than SECONDS, for memory that the file's size does not account for, and
    for what watched() forbids.
    """
    tracemalloc.start()
    begin = time.process_time()
    found = None
    try:
        with watched():
            found = reader()
    except documented as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 1000, text
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    seconds = time.process_time() - begin
    assert seconds < SECONDS, f"{seconds:.1f} s for {size:,} bytes"
    assert peak < 3_000_000 + 120 * size, f"{peak:,} bytes of memory for a file of {size:,}"
    return found
