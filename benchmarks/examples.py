"""The networks of examples/ on minigrad and on torch: how far the losses part, and the time of a step.

    python benchmarks/examples.py [--steps 300] [name ...]

Each example is run from its own file, for torch with the two import lines changed, and nothing more: `import torch` and
`import torch.nn.functional as F`. The streams of random numbers are the same, and so are the start and the batches.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NETWORKS = ("bigram", "mlp", "wavenet", "bow", "rnn", "gru", "transformer")


class _Finder:
    """Finds the modules of examples/ and runs them on the library asked for."""

    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        file = EXAMPLES / f"{name}.py"
        return importlib.util.spec_from_file_location(name, file, loader=self) if file.is_file() else None

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        file = EXAMPLES / f"{module.__name__}.py"
        exec(compile(on(self.library, file.read_text()), file, "exec"), module.__dict__)


def on(library: str, text: str) -> str:
    """The text with the lecture's two import lines changed."""
    text = re.sub(r"^import minigrad as torch$", f"import {library} as torch", text, flags=re.M)
    return re.sub(r"^import minigrad\.nn\.functional as F$", f"import {library}.nn.functional as F", text, flags=re.M)


@contextlib.contextmanager
def imported(name: str, library: str) -> Iterator[ModuleType]:
    """examples/name.py, and what it imports from there, on "minigrad" or "torch"; forgotten again afterwards."""
    ours = {file.stem for file in EXAMPLES.glob("*.py")}
    before = {module: sys.modules.pop(module) for module in ours & sys.modules.keys()}
    finder = _Finder(library)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    try:
        yield importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
        for module in ours & sys.modules.keys():
            del sys.modules[module]
        sys.modules.update(before)


def run(name: str, library: str, argv: Sequence[str]) -> tuple[list[float], str]:
    """The losses of the steps and what was printed."""
    printed = io.StringIO()
    with imported(name, library) as example, contextlib.redirect_stdout(printed):
        losses = example.main(argv)
    return losses, printed.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", default=NETWORKS, help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1, help="of BLAS and torch")
    parser.add_argument("--rounds", type=int, default=3, help="the best time counts")
    args = parser.parse_args()
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(args.threads)

    print("             last loss: minigrad   torch     largest difference   ms a step: minigrad   torch    ratio")
    for name in args.name:
        times, losses = {}, {}
        for _ in range(args.rounds):
            for library in ("minigrad", "torch"):
                losses[library], printed = run(name, library, ["--steps", str(args.steps)])
                found = re.search(r"([0-9.]+) ms each", printed)
                ms = float(found[1]) if found else float("nan")
                times[library] = min(ms, times.get(library, ms))
        apart = max(abs(a - b) for a, b in zip(losses["minigrad"], losses["torch"], strict=True))
        a, b = times["minigrad"], times["torch"]
        print(
            f"{name:12s} {losses['minigrad'][-1]:20.6f} {losses['torch'][-1]:9.6f} {apart:16.1e} "
            f"{a:22.2f} {b:11.2f} {a / b:8.2f}"
        )


if __name__ == "__main__":
    main()
