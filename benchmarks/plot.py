"""The step's times as bars, with the six matrix products drawn in as the limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "minigrad"

import matplotlib.pyplot as plt  # noqa: E402

LIMIT = "matrix products alone"
OURS, OTHERS = "#c0392b", "#7f8c9a"


def step(results: dict[str, Any], path: Path) -> None:
    """Bars of the lecture's step, a panel for each number of threads; quartiles as thin lines."""
    rows = [row for row in results["rows"] if row["subject"] == "step"]
    threads = sorted({row["threads"] for row in rows})
    figure, axes = plt.subplots(
        1, len(threads), figsize=(6.2 * len(threads), 5.2), layout="constrained", squeeze=False, sharex=True
    )
    for ax, n in zip(axes[0], threads, strict=True):
        here = sorted((row for row in rows if row["threads"] == n), key=lambda row: -row["median"])
        limit = next((row["median"] for row in here if row["peer"] == LIMIT), None)
        here = [row for row in here if row["peer"] != LIMIT]
        names = [row["peer"] for row in here]
        middle = [row["median"] for row in here]
        spread = [[row["median"] - row["q1"] for row in here], [row["q3"] - row["median"] for row in here]]
        colours = [OURS if name.startswith("minigrad") else OTHERS for name in names]
        ax.barh(names, middle, xerr=spread, color=colours, error_kw={"lw": 0.8, "ecolor": "#333"})
        for y, row in enumerate(here):
            text = f"{row['median']:,.0f}"
            ax.annotate(text, (row["q3"], y), (6, 0), textcoords="offset points", va="center", fontsize=8)
        if limit is not None:
            ax.axvline(limit, color="black", lw=1, ls="--")
            ax.annotate(
                f"the six matrix products: {limit:.0f} us", (limit, len(names) - 0.4), (4, 0), fontsize=8,
                textcoords="offset points", va="bottom", annotation_clip=False,
            )  # fmt: skip
        ax.set_xscale("log")
        ax.margins(x=0.12)
        ax.set_xlabel("us a step (log scale), median and quartiles")
        ax.set_title(f"{n} BLAS thread{'s' if n > 1 else ''}", pad=18)
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """As SVG or PNG by its name, the same bytes for the same figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
