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


def texts(results: dict[str, Any], scale: dict[str, Any] | None) -> dict[Path, str]:
    """What each file that has a written part is to say."""
    found = {ROOT / "README.md": between((ROOT / "README.md").read_text(), "speed", report.readme(results))}
    page = ROOT / "docs/performance.md"
    text = between(page.read_text(), "goals", "\n".join(report.goals_table(report.Results(results))))
    text = between(text, "step", "\n".join(report.step_table(report.Results(results))))
    text = between(text, "tables", report.tables(results))
    if scale is not None:
        from benchmarks import scale as scales

        text = between(text, "scale", scales.markdown(scale))
    found[page] = text
    return found


def stored(name: str) -> dict[str, Any] | None:
    """docs/performance/name.json, where it is there."""
    path = KEPT / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def main() -> int:
    new = ROOT / "out/bench/bench.json"
    for path in (new, ROOT / "out/bench/scale.json"):
        if path.is_file():
            KEPT.mkdir(parents=True, exist_ok=True)
            if path == new and json.loads(path.read_text())["quick"]:
                print(f"error: {path} is of a quick run; run make bench first", file=sys.stderr)
                return 1
            shutil.copy(path, KEPT / path.name)
    results, scale = stored("bench"), stored("scale")
    if results is None:
        print("error: there is no run yet; run make bench first", file=sys.stderr)
        return 1
    from benchmarks import plot

    plot.step(results, KEPT / "step.svg")
    if scale is not None:
        from benchmarks import scale as scales

        scales.draw(scale, KEPT / "scale.svg")
    for path, text in texts(results, scale).items():
        path.write_text(text)
        print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
