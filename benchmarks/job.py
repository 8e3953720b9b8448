"""What a subject is given: how much time it has, who takes part, and where its results go."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers import Absent, find

AGREE = 1e-4  # losses and other values of all contenders, before any time counts
PATIENCE = 150  # seconds that a contender may take to get ready, compilation and checked steps included


class TooLong(Exception):
    """A contender took longer than it may."""


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TooLong inside when the time is over."""

    def over(number: int, frame: Any) -> None:
        raise TooLong(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Job:
    """One process's part of a run; rows and absent are its results."""

    threads: int = 1
    quick: bool = False
    without: Sequence[str] = ()  # contenders that ended an earlier process of this task
    task: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    tell: Callable[[str], None] = lambda name: None  # who gets ready now, so that a crash has a name

    def seconds(self, full: float, quick: float) -> float:
        """How long to measure."""
        return quick if self.quick else full

    def attempt(self, name: str, prepare: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """What prepare() gives, or None where this contender takes no part, with the reason in absent."""
        if name in self.without or name in self.absent:
            return None
        self.tell(name)
        try:
            with limit(patience):
                return prepare()
        except ImportError as error:
            self.absent[name] = f"{error.name or error} is not installed"
        except (Absent, TooLong) as error:
            self.absent[name] = str(error)
        except Exception as error:  # whatever it is, the rest goes on
            said = " ".join(str(error).split())
            self.absent[name] = f"{type(error).__name__}: {said[:200]}"
        return None

    def agreeing(
        self, table: dict[str, tuple[str, str]], names: Sequence[str], prepare: Callable[[Any], tuple[Any, Any]],
        reference: str, relative: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """The contenders of a table that are there and agree with the reference, which comes first in names.

        prepare(function) gets a contender ready: (what is to be timed, its values as a list, or None for none).
        Values may differ by 1e-4, of the largest where relative.
        """
        ready: dict[str, Any] = {}
        expected: Any = None
        for name in sorted(names, key=lambda name: name != reference):
            both = self.attempt(name, lambda name=name: prepare(find(table, name)))
            if both is None:
                if name == reference:
                    raise SystemExit(f"{reference}, which all are compared with: {self.absent.get(name, 'it crashed')}")
                continue
            timed, values = both
            if name == reference:
                expected = values
            elif values is not None:
                scale = max(1.0, max(abs(v) for v in expected)) if relative else 1.0
                apart = max(abs(a - b) for a, b in zip(values, expected, strict=True)) / scale
                if not apart <= AGREE:  # nan is no agreement
                    self.absent[name] = f"its values differ by {apart:.1g} from those of {reference}: no time counts"
                    continue
            ready[name] = timed
        return {name: ready[name] for name in names if name in ready}
