"""make bench-readme: the newest full run into docs/performance/, and the texts that are made from it written anew."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks import report

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs/performance"
BEGIN, END = "<!-- {}: written by make bench-readme -->", "<!-- end of {} -->"


def between(text: str, name: str, content: str) -> str:
    """The text with what stands between the markers of this name replaced. ValueError where they are not there."""
    begin, end = BEGIN.format(name), END.format(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the markers {begin} and {end} must stand in the text once each")
    head, rest = text.split(begin)
    return f"{head}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def texts(results: dict[str, Any]) -> dict[Path, str]:
    """What each file that has a written part is to say."""
    from benchmarks import scale  # needs matplotlib

    found = {ROOT / "README.md": between((ROOT / "README.md").read_text(), "speed", report.readme(results))}
    page = ROOT / "docs/performance.md"
    text = between(page.read_text(), "goals", "\n".join(report.goals_table(report.Results(results))))
    picture = "![bars of the step's time, with the six matrix products as the limit](performance/step.svg)"
    text = between(text, "step", "\n".join([*report.step_table(report.Results(results)), "", picture]))
    text = between(text, "tables", report.tables(results))
    picture = "![time and peak memory over hidden size, batch, vocabulary and nodes of a chain](performance/scale.svg)"
    text = between(text, "scale", f"{picture}\n\n{scale.grown(results)}")
    found[page] = between(text, "threads", scale.threads(results))
    return found


def stored() -> dict[str, Any] | None:
    """The run that the texts are made from, where there is one."""
    path = KEPT / "bench.json"
    return json.loads(path.read_text()) if path.is_file() else None


def main() -> int:
    new = ROOT / "out/bench/bench.json"
    if new.is_file():
        if json.loads(new.read_text())["quick"]:
            print(f"error: {new} is of a quick run; run make bench first", file=sys.stderr)
            return 1
        KEPT.mkdir(parents=True, exist_ok=True)
        shutil.copy(new, KEPT / new.name)
    results = stored()
    if results is None:
        print("error: there is no run yet; run make bench first", file=sys.stderr)
        return 1
    from benchmarks import plot, scale

    plot.step(results, KEPT / "step.svg")
    scale.draw(results, KEPT / "scale.svg")
    for path, text in texts(results).items():
        path.write_text(text)
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
