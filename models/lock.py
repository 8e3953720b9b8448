"""One run at a time in a folder: a lock that the system takes away with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.storage import Unwritable

NAME = ".lock"


class Lock:
    """A folder's file .lock, held; the number of the process is in it, for people."""

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, out / NAME
        self._handle = -1
        self.removed = False  # whether the folder was, and made again
        self._take()

    def still(self) -> None:
        """Make the folder again, and lock it, if somebody removed it. Raises OSError, Unwritable."""
        if self._here():
            return
        self._let_go()
        self.removed = True
        self.out.mkdir(parents=True, exist_ok=True)
        self._take()

    def close(self) -> None:
        """Let go of it, and take the file away."""
        if self._here():
            self.path.unlink(missing_ok=True)
        self._let_go()

    def _take(self) -> None:
        while True:
            # No link is followed: it could lead to any file.
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._here():  # else who had it took the file away in between
                    os.ftruncate(self._handle, 0)
                    os.write(self._handle, f"{os.getpid()}\n".encode())
                    return
            except BlockingIOError:
                who = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip()
                self._let_go()
                process = f" (process {who})" if who.isdecimal() else ""
                raise Unwritable(
                    f"{self.out}: another run{process} is going on there; wait for its end or name another --out"
                ) from None
            except BaseException:
                if self._here() and os.fstat(self._handle).st_size == 0:  # a disk so full that no number fits
                    self.path.unlink(missing_ok=True)
                self._let_go()
                raise
            self._let_go()

    def _let_go(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def _here(self) -> bool:
        try:
            there = os.stat(self.path, follow_symlinks=False)
            return self._handle >= 0 and os.path.samestat(there, os.fstat(self._handle))
        except OSError:
            return False


@contextmanager
def locked(out: Path) -> Iterator[Lock]:
    """Hold the folder, which must be there. Raises Unwritable, which names the other run, or says what is wrong."""
    try:
        lock = Lock(out)
    except Unwritable:
        raise
    except OSError as error:
        raise Unwritable(f"{out / NAME}: cannot be locked: {error.strerror or error}; name another --out") from None
    try:
        yield lock
    finally:
        lock.close()
