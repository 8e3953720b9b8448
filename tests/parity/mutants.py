"""Does the parity suite notice a wrong gradient? `make mutants` makes each rule's backward wrong and looks.

One at a time, each gradient of minigrad.ops, each function that those call, and the engine's undoing of broadcasting
gets one simple mistake (mutate.py makes them), and those tests of the suite that run the function are run on it until
one fails. A mutant that no test fails on survives. At least 98 % must be caught, and each survivor must stand in
SURVIVORS below with the reason why it computes the same gradients after all.

torch's answers do not change with a mutant: they are worked out once, then each mutant is tried in a process forked
from there.
"""

import argparse
import gc
import inspect
import itertools
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from typing import Any

import torch
from tqdm import tqdm

from . import mutate, test_edges, test_table
from .mutate import Mutant, Subject

BAR = 98.0  # per cent
SUITE = (test_table, test_edges)

# Survivors that were looked at: the mutant, and why it is equivalent. One that is caught or gone must leave the table.
FAST = "a faster way to the same sums"
TIE = "what is equal was chosen before"
SHARED = "only decides which elements share the gradient: no slope goes through it"
LINK = "the ways to link a kept value to its input carry the same gradient"
SHAPED = "it has its input's shape already: no broadcasting is undone"
SPENT = "the same sums in memory of their own: tests/test_op.py looks at whose it is"
RETURNED = "p = 1 and p = 2 have returned before"
SURVIVORS: dict[str, str] = {
    "Clamp.dlo: lo -> y": "x < y where and only where x < lo, given lo < hi, and y < hi is then the same",
    "Clamp.dx: hi -> y": "where x >= lo, y is the smaller of x and hi: x <= y is x <= hi",
    "Einsum.backward: ''.join(names) -> ''": "a factor of ones too many",
    "Einsum.backward: given.add(letter) -> gone": "a factor of ones too many",
    "Einsum.backward: given.add(letter) -> given": "a factor of ones too many",
    "Linear.dW: first_only in place of unbroadcasting": SHAPED,
    "Linear.dW: whole_sum in place of unbroadcasting": SHAPED,
    "Linear.dx: first_only in place of unbroadcasting": SHAPED,
    "Linear.dx: whole_sum in place of unbroadcasting": SHAPED,
    "MatMul.dB: 2 -> 1 (2)": FAST,
    "MatMul.dB: if A.ndim > len(B_shape) == 2 -> gone": FAST,
    "Maximum.dx: x < y -> x <= y": TIE,
    "Maximum.dy: x > y -> x >= y": TIE,
    "Minimum.dx: x > y -> x >= y": TIE,
    "Minimum.dy: x < y -> x <= y": TIE,
    "Norm.dx: 0.0 -> 1.0 (3)": "where y = 0 every x is 0, and so is the slope that this multiplies",
    "Norm.dx: 1 -> 2 (3)": "p = 1 is also right by the general way: |x| ** 0 is 1",
    "Norm.dx: if p == 1 -> gone": "p = 1 is also right by the general way: |x| ** 0 is 1",
    "Norm.dx: p < 1 -> p <= 1": RETURNED,
    "Norm.dx: p > 2 -> p >= 2": RETURNED,
    "Norm.dx: x -> mutant_constant(x)": SHARED,
    "Permute.dx: 0 -> 1": "each of them is written over",
    "PowScalar.dx: x if n == 2 else PowScalar.apply(x, n=n - 1) -> PowScalar.apply(x, n=n - 1)": FAST,
    "Relu.dx: if isinstance(dy, np.generic) -> gone": FAST,
    "Relu.dx: y -> x": "x <= 0 where and only where y <= 0",
    "centred: Cast.apply(x, dtype=np.float64) -> x": "but for float32's rounding, which `make parity` measures",
    **{
        f"flat_positions: {mutant}": FAST
        for mutant in (
            "if len(index) == 1 and shape[0] <= index[0].size -> gone",
            "len(index) == 1 and shape[0] <= index[0].size -> len(index) == 1",
            "shape[0] <= index[0].size -> shape[0] < index[0].size",
            "shape[0] <= index[0].size -> shape[0] >= index[0].size",
        )
    },
    "kept: dim is None or len(y.shape) == len(x_shape) -> dim is None": "it has the shape that it is then given",
    "linked: if source.dtype is value.dtype -> gone": LINK,
    "linked: if source.dtype is value.dtype -> if not source.dtype is value.dtype": LINK,
    "linked: source.dtype is value.dtype -> source.dtype is not value.dtype": LINK,
    "linked: wrap(value) -> value": "an array serves as a constant as well",
    "slope: 0.0 -> 1.0": "there are no elements that it could multiply",
    "BatchNorm.backward: np.multiply(diff, var_inv * dgain / (n - correction), out=into) -> "
    "np.multiply(diff, var_inv * dgain / (n - correction))": SPENT,
    "CrossEntropy.dlogits: np.multiply(e, (scale[:, None] if reduction == 'none' else scale) / totals, out=into) -> "
    "np.multiply(e, (scale[:, None] if reduction == 'none' else scale) / totals)": SPENT,
}


# -------------------------------------------------------------------------------------------------------- the suite


@dataclass(eq=False)
class Check:
    """One test of the suite with its parameters, which subjects it runs, and how long it takes."""

    name: str
    test: Callable[..., None]
    parameters: dict[str, Any]
    runs: set[Subject] = field(default_factory=set)
    seconds: float = 0.0

    def __call__(self) -> None:
        """Run it as pytest does: a warning is an error, but for what numpy says in the engine."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="minigrad")
            warnings.filterwarnings("ignore", message=".*degrees of freedom")
            self.test(**self.parameters)


def checks(only: Callable[[str], bool] = lambda name: True) -> list[Check]:
    """The parametrized tests of the suite, a check for each set of parameters, those whose name is wanted."""
    found = []
    for module in SUITE:
        for name, test in vars(module).items():
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
            if not name.startswith("test_") or name in ("test_every_rule_stands_in_a_row", "test_rules_named_are_run"):
                continue  # the last two are about the table
            for values in itertools.product(*[mark.args[1] for mark in marks]):
                parameters: dict[str, Any] = {}
                for mark, value in zip(marks, values, strict=True):
                    names = [mark.args[0]] if isinstance(mark.args[0], str) else list(mark.args[0])
                    parameters.update(zip(names, [value] if len(names) == 1 else value, strict=True))
                if set(parameters) == set(inspect.signature(test).parameters):
                    title = f"{name}[{', '.join(map(_title, parameters.values()))}]" if parameters else name
                    if only(title):
                        found.append(Check(title, test, parameters))
    return found


def _title(value: Any) -> str:
    return str(value[0]) if isinstance(value, tuple) else str(value) if not callable(value) else value.__name__


@contextmanager
def torch_remembered() -> Iterator[None]:
    """torch's answers are worked out once for the same call on the same arrays."""
    memory: dict[Any, Any] = {}

    def remembering(function: Callable[..., Any]) -> Callable[..., Any]:
        def answer(m: Any, what: Any, *rest: Any) -> Any:
            if m is not torch:
                return function(m, what, *rest)
            arrays = [(a.dtype.str, a.shape, a.tobytes()) for a in (rest[0] if rest else [])]
            key = (function, getattr(what, "call", what), *arrays)
            if key not in memory:
                memory[key] = function(m, what, *rest)
            return dict(memory[key]) if isinstance(memory[key], dict) else memory[key]

        return answer

    before = [(module, name, vars(module)[name]) for module in SUITE for name in ("run", "attempt")]
    try:
        for module, name, function in before:
            setattr(module, name, remembering(function))
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def try_unmutated(suite: Iterable[Check]) -> list[str]:
    """Run all checks on the right rules, noting what each runs and how long it takes; what fails, and how."""
    failed = []
    ran: set[Subject] = set()
    with mutate.observed(ran):
        for check in suite:
            ran.clear()
            start = time.perf_counter()
            try:
                check()
            except Exception as error:
                failed.append(f"{check.name}: {type(error).__name__} {error}")
            check.seconds, check.runs = time.perf_counter() - start, set(ran)
    return failed


def concerned(subject: Subject, suite: Iterable[Check]) -> list[Check]:
    """The checks that run the subject: first those that run little else."""
    return sorted((c for c in suite if subject in c.runs), key=lambda c: (len(c.runs), c.seconds))


# ------------------------------------------------------------------------------------------------------ the mutants


def caught_by(mutant: Mutant, suite: Iterable[Check]) -> str | None:
    """The check that notices the mutant and what it says, or None if all pass."""
    with mutate.applied(mutant):
        for check in suite:
            try:
                check()
            except BaseException as error:  # whatever a wrong rule brings about
                return f"{check.name}: {type(error).__name__} {error}"
    return None


@dataclass
class Running:
    """A mutant that is being tried in a process of its own."""

    mutant: Mutant
    process: Any
    deadline: float


def try_all(mutants: list[Mutant], suite: list[Check], jobs: int) -> dict[Mutant, str | None]:
    """What each mutant is caught by (None: survived), tried in forked processes, so many at a time.

    A mutant that ends its process or takes ten times as long as the right rule is caught by that.
    """
    context = get_context("fork")
    chosen = {subject: concerned(subject, suite) for subject in {mutant.subject for mutant in mutants}}
    todo, running = iter(mutants), dict[Any, Running]()
    found: dict[Mutant, str | None] = {}

    def start(mutant: Mutant) -> None:
        ours, theirs = context.Pipe(duplex=False)
        relevant = chosen[mutant.subject]
        process = context.Process(target=_in_child, args=(theirs, mutant, relevant), daemon=True)
        process.start()
        theirs.close()
        limit = 20 + 10 * sum(check.seconds for check in relevant)
        running[ours] = Running(mutant, process, time.monotonic() + limit)

    gc.collect()
    gc.freeze()  # what is shared with the forked processes stays unwritten
    tqdm.monitor_interval = 0  # no thread: it would not survive a fork
    with tqdm(total=len(mutants), unit=" mutants", disable=None) as bar:
        for mutant in itertools.islice(todo, jobs):
            start(mutant)
        while running:
            ready = connection.wait(list(running), timeout=1)
            late = [pipe for pipe, one in running.items() if time.monotonic() > one.deadline and pipe not in ready]
            for pipe in [*ready, *late]:
                one = running.pop(pipe)
                if pipe in late:
                    one.process.kill()
                    found[one.mutant] = "it never ends"
                else:
                    try:
                        found[one.mutant] = pipe.recv()
                    except EOFError:
                        found[one.mutant] = "it ends the process"
                one.process.join()
                pipe.close()
                bar.update()
                bar.set_postfix(survive=sum(how is None for how in found.values()), refresh=False)
                for mutant in itertools.islice(todo, 1):
                    start(mutant)
    gc.unfreeze()
    return found


def _in_child(pipe: Any, mutant: Mutant, suite: list[Check]) -> None:
    """Try a mutant and say what came of it."""
    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        pipe.send(caught_by(mutant, suite))


# -------------------------------------------------------------------------------------------------------- the report


def report(found: dict[Mutant, str | None], whole: bool = True) -> list[str]:
    """Print the table by kind and the survivors with their reasons; return what is not as it must be."""
    total, caught = Counter(m.kind for m in found), Counter(m.kind for m, how in found.items() if how is not None)
    print(f"{'mistake':28}{'mutants':>9}{'caught':>9}{'survive':>9}{'per cent':>10}")
    for kind in sorted(total):
        print(_line(kind, total[kind], caught[kind]))
    print(_line("all", total.total(), caught.total()))
    survivors = {str(m) for m, how in found.items() if how is None}
    subjects = {m.subject.name for m in found}
    listed = {name: why for name, why in SURVIVORS.items() if whole or name.split(":")[0] in subjects}
    if survivors & set(listed):
        print("\nThese survive, and are equivalent:")
    for name in sorted(survivors & set(listed)):
        print(f"    {name}\n        {listed[name]}")
    wrong = [f"survives, and has no reason in SURVIVORS: {name}" for name in sorted(survivors - set(listed))]
    wrong += [f"is in SURVIVORS, but is caught or gone: {name}" for name in sorted(set(listed) - survivors)]
    if whole and 100 * caught.total() < BAR * total.total():
        wrong.append(f"fewer than {BAR:g} per cent are caught")
    return wrong


def _line(kind: str, total: int, caught: int) -> str:
    return f"{kind:28}{total:9}{caught:9}{total - caught:9}{100 * caught / total:10.2f}"


def main() -> int:
    """Try all mutants, or those of the subjects named on the command line; exit status 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="only these ops (Mul), gradients (Mul.dx) or helpers (kept)")
    parser.add_argument("--how", action="store_true", help="say for each mutant what caught it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time (%(default)s)")
    asked = parser.parse_args()
    known = {name for subject in mutate.subjects() for name in (subject.name, subject.name.split(".")[0])}
    if unknown := sorted(set(asked.names) - known):
        parser.error(f"no gradient or helper is called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    torch.set_num_threads(1)
    start = time.monotonic()
    mutants = [
        mutant
        for mutant in mutate.mutants()
        if not asked.names or {mutant.subject.name, mutant.subject.name.split(".")[0]} & set(asked.names)
    ]
    suite = checks()
    with torch_remembered():
        print(f"The suite on the right rules: {len(suite)} tests", flush=True)
        if failed := try_unmutated(suite):
            print("\n".join(failed), f"\nerror: {len(failed)} fail without a mutant: mend these first", file=sys.stderr)
            return 1
        functions = len({mutant.subject for mutant in mutants})
        print(f"{len(mutants)} mutants of {functions} functions, {asked.jobs} at a time", flush=True)
        found = try_all(mutants, suite, asked.jobs)
    if asked.how:
        for mutant in mutants:
            print(f"{mutant.kind:28}{mutant}\n    {(found[mutant] or 'survives')[:300]}")
    wrong = report(found, whole=not asked.names)
    print("\n".join(["", *wrong]) if wrong else "", f"{time.monotonic() - start:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
