"""The lecture's notebook (part 4) run with its two import lines changed, and what it prints beside what it stored.

`make lecture` runs all of it and prints a report. The notebook is read where it lies, ../shared/lecture beside the
checkout; nothing of it is kept here.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import random
import re
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LECTURE = Path(__file__).resolve().parents[3] / "shared" / "lecture"
NOTEBOOK = "makemore_part4_backprop.ipynb"
IMPORTS = {
    "import torch": "import minigrad as torch",
    "import torch.nn.functional as F": "import minigrad.nn.functional as F",
}
LOOP = 22  # the cell with the training loop
NUMBER = re.compile(r"-?\d+\.?\d*(e-?\d+)?")


@dataclass
class Cell:
    """A code cell: its number in the notebook, its source, what it stored, and what it prints here."""

    number: int
    source: str
    stored: str
    printed: str = ""
    error: str = ""

    @property
    def verdict(self) -> str:
        """How the output compares: identical, alike (the same but for numbers), different, or no output."""
        if not self.stored and not self.printed:
            return "no output"
        if self.printed == self.stored:
            return "identical"
        ours, theirs = (NUMBER.sub("#", text).replace(" ", "") for text in (self.printed, self.stored))
        return "alike" if ours == theirs else "different"


def plain(text: str) -> str:
    """Without what a stored output may have lost or a display may break otherwise: <tags> and runs of blanks."""
    return " ".join(re.sub(r"<[^>]*>", "", text).split())


def read(path: Path) -> list[Cell]:
    """The code cells, their outputs as plain text without the figures."""
    cells = []
    for number, cell in enumerate(json.loads(path.read_text())["cells"]):
        if cell["cell_type"] == "code":
            texts = [o.get("text") or o.get("data", {}).get("text/plain", []) for o in cell["outputs"]]
            stored = " ".join("".join(text) for text in texts)
            cells.append(Cell(number, "".join(cell["source"]), plain(stored)))
    return cells


def changed(source: str, imports: dict[str, str]) -> tuple[str, int]:
    """A cell's source with the imports changed, and how many lines that were; notebook magic is left out."""
    lines, count = [], 0
    for line in source.splitlines():
        if line.strip() in imports:
            line, count = imports[line.strip()], count + 1
        lines.append("" if line.startswith("%") else line)
    return "\n".join(lines), count


def run(folder: Path, steps: int | None = None, seed: int = 0, library: str = "minigrad") -> tuple[list[Cell], dict]:
    """Run all cells in order; returns them and the names they left.

    steps: how long the training loop is (None: as the notebook has it). seed: for the global generator, from which the
    notebook draws bngain and bnbias without seeding it. library: "torch" changes no import.
    """
    import matplotlib

    matplotlib.use("Agg")
    m = __import__(library)
    cells, names, lines = read(folder / NOTEBOOK), {"__name__": "notebook"}, 0
    before, state = Path.cwd(), random.getstate()
    os.chdir(folder)  # for names.txt
    m.manual_seed(seed)
    try:
        for cell in cells:
            source, count = changed(cell.source, IMPORTS if library == "minigrad" else {})
            lines += count
            if steps is not None:
                source = source.replace("max_steps = 200000", f"max_steps = {steps}")
            cell.printed, cell.error = execute(source, names, f"cell {cell.number}", live=cell.number == LOOP)
    finally:
        os.chdir(before)
        random.setstate(state)
        import matplotlib.pyplot as plt

        plt.close("all")
    if library == "minigrad" and lines != len(IMPORTS):
        raise RuntimeError(f"{lines} import lines were changed, not {len(IMPORTS)}: is it another notebook?")
    return cells, names


class Tee(io.StringIO):
    """Keeps what is printed, and shows it too where a loop is long."""

    live = False

    def write(self, text: str) -> int:
        if self.live:
            sys.stderr.write(text)
        return super().write(text)


def execute(source: str, names: dict[str, Any], title: str, live: bool = False) -> tuple[str, str]:
    """One cell as a notebook runs it: what it printed, with the value of a last expression, and its error."""
    out, error = Tee(), ""
    out.live = live and sys.stderr.isatty()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the notebook leaves names.txt open
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # torch's
        try:
            body = ast.parse(source, title)
            last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
            exec(compile(body, title, "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), title, "eval"), names)  # type: ignore[attr-defined]
                if value is not None:
                    print(repr(value))
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
    return plain(out.getvalue()), error


def losses(text: str) -> dict[int, str]:
    """The loop's printed lines: step -> loss, as printed."""
    return {int(step): loss for step, loss in re.findall(r"(\d+)/ *\d+: (\d+\.\d+)", text)}


def report(cells: list[Cell], seconds: float) -> str:
    """Cells run and raised, outputs by verdict, the losses beside the stored ones, what the last cells say."""
    raised = [f"cell {c.number}: {c.error}" for c in cells if c.error]
    verdicts = [c.verdict for c in cells]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("identical", "alike", "different", "no output"))
    lines = [f"{len(cells)} code cells run in {seconds:.0f} s, {len(raised)} raised", *raised, f"outputs: {counts}"]
    for c in cells:
        if c.verdict in ("alike", "different"):
            lines += [f"cell {c.number}, {c.verdict}", f"    here   {c.printed[:300]}", f"    stored {c.stored[:300]}"]
    loop = next(c for c in cells if c.number == LOOP)
    ours, theirs = losses(loop.printed), losses(loop.stored)
    parts = [step for step in theirs if step in ours and ours[step] != theirs[step]]
    lines.append("step: loss here, stored")
    lines += [f"{step:7d}: {ours[step]} {theirs[step]}" for step in theirs if step in ours]
    lines.append(f"the printed digits part at step {parts[0]}" if parts else "the printed digits are the same")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the lecture's notebook on minigrad and report.")
    parser.add_argument("--steps", type=int, help="steps of the training loop (the notebook's 200,000)")
    parser.add_argument(
        "--seed", type=int, default=0, help="for the global generator, which the notebook does not seed"
    )
    parser.add_argument("--lecture", type=Path, default=LECTURE, help="folder of the notebook and names.txt")
    args = parser.parse_args()
    if not (args.lecture / NOTEBOOK).is_file():
        parser.exit(1, f"error: {args.lecture / NOTEBOOK} is not there: name its folder with --lecture\n")
    start = time.perf_counter()
    cells, _ = run(args.lecture, args.steps, args.seed)
    print(report(cells, time.perf_counter() - start))


if __name__ == "__main__":
    main()
