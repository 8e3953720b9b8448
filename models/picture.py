"""loss.png: the loss of a run on a logarithmic axis, its spread from batch to batch and its mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.train import Plan

BINS = 100

_INK, _SOFT, _BLUE, _ORANGE = "#22303c", "#6b7b88", "#1f6fb2", "#d1622b"


def draw_loss(path: Path, losses: Sequence[float], plan: Plan, split_losses: dict[str, float], title: str) -> None:
    """Draw the losses of the steps done, and the losses over whole splits by name at the right edge.

    The axis is log10 as the lecture's picture has it, but says the loss itself. Each of some hundred stretches of
    steps is drawn as its mean and the bands that hold 90 and 50 percent of its batches.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    y = np.asarray(losses, np.float64)
    width = max(1, len(y) // BINS)
    whole = len(y) // width * width
    parts = y[:whole].reshape(-1, width)
    x = (np.arange(len(parts)) + 0.5) * width
    p5, p25, p75, p95 = np.percentile(parts, [5, 25, 75, 95], axis=1)
    mean = parts.mean(1)

    settings: Any = {
        "font.family": "DejaVu Sans", "font.size": 10.5, "text.color": _INK, "axes.edgecolor": "#c6cfd6",
        "axes.labelcolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "axes.linewidth": 0.8,
    }  # fmt: skip
    with plt.rc_context(settings):
        fig, ax = plt.subplots(figsize=(9, 5), dpi=160)
        if width > 1:
            ax.fill_between(x, p5, p95, color=_BLUE, alpha=0.13, lw=0)
            ax.fill_between(x, p25, p75, color=_BLUE, alpha=0.22, lw=0)
        ax.plot(x, mean, color=_BLUE, lw=1.8, solid_joinstyle="round", marker="o" if len(x) == 1 else None)
        ax.set_yscale("log")
        low = min([p5.min(), *split_losses.values()])
        high = max([p95[1:].max() if len(x) > 1 else p95.max(), mean.max(), *split_losses.values()])
        pad = (high / low) ** 0.06 if high > low else 1.1
        low, high = low / pad, high * pad
        ax.set_ylim(low, high)
        ax.set_xlim(0, len(y))

        ticks = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ax.yaxis.set_major_locator(FixedLocator([t for t in ticks if low <= t <= high]))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.grid(axis="y", color="#e6ebef", lw=0.8)
        ax.set_axisbelow(True)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.tick_params(length=0, pad=6)
        ax.set_xlabel("step")

        half = (plan.steps + 1) // 2
        if 0 < half < len(y):
            ax.axvline(half, color=_SOFT, lw=0.9, ls=(0, (2, 3)))
            change = f"learning rate {plan.base_lr:g} → {plan.base_lr / 10:g}"
            ax.annotate(change, (half, high), (0, 4), textcoords="offset points", color=_SOFT, ha="center", size=9.5)
        _mark(ax, split_losses, len(y), np.log(high / low))

        fig.suptitle(
            "Cross-entropy of the training batches, log scale", x=0.075, y=0.965, ha="left", size=14, weight="bold"
        )
        what = f"mean of {width:,} steps; bands hold 50% and 90% of the batches" if width > 1 else "one point a step"
        fig.text(0.075, 0.88, f"{title}   ·   {what}", color=_SOFT, size=9.5, ha="left")
        fig.subplots_adjust(left=0.075, right=0.86, top=0.81, bottom=0.12)
        fig.savefig(path)
        plt.close(fig)


def _mark(ax: Any, split_losses: dict[str, float], end: int, height: float) -> None:
    """The splits' losses at the right edge, a label each, moved apart where they are closer than a line of text."""
    above = -np.inf
    for name, loss in sorted(split_losses.items(), key=lambda item: item[1]):
        at = max(np.log(loss), above + 0.055 * height)
        above = at
        color = _BLUE if name == "train" else _ORANGE
        ax.plot([end], [loss], marker="o", ms=6.5, mec="white", color=color, clip_on=False, zorder=5)
        ax.annotate(
            f"{name} {loss:.4f}", (end, loss), (1.018, np.exp(at)), textcoords=("axes fraction", "data"),
            color=color, va="center", size=10.5, weight="bold", annotation_clip=False,
        )  # fmt: skip
