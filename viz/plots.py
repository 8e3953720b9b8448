"""The lecture's plots, each a function from arrays to a matplotlib Figure: `viz.plots.saturation(h)`.

Arrays are Tensors, numpy arrays or lists. A Figure is one of its own and not pyplot's, so that no display is needed and
none is opened: `save(figure, "h.png")` writes it, a notebook in which matplotlib is set up shows it. Sources: the
lecture (makemore part 4) for dlogits, part 3 for activations, saturation, gradients and ratios, part 2 for the losses
and the embedding. matplotlib is imported when the first plot is made; ImportError says what to install.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minigrad import Tensor

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

__all__ = [
    "activations", "dlogits", "embedding", "gradient_ratios", "gradients", "loss", "saturation", "save", "update_ratios"
]  # fmt: skip

INK, SOFT, RULE, BLUE, ORANGE = "#22303c", "#5d6c78", "#e6ebef", "#1f6fb2", "#d1622b"
# Okabe and Ito's colours, which colour-blind readers tell apart; a line's dashes tell it too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#3b3b3b")
DASHES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
FEW_POINTS = 30  # up to there each is marked
MANY_POINTS = 5_000  # more are drawn as the least and the greatest of each stretch, which looks the same
MANY_CHARS = 40  # more have no room beside each other

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.edgecolor": "#b4bfc8",
    "axes.labelcolor": SOFT, "axes.titlecolor": INK, "axes.titlesize": 10.5, "axes.titlelocation": "left",
    "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "grid.color": RULE, "xtick.color": SOFT, "ytick.color": SOFT, "legend.frameon": False, "figure.dpi": 100,
    "svg.hashsalt": "minigrad",
}  # fmt: skip


def loss(losses: Any, steps: Any = None, *, means: Any = None, window: int | None = None) -> Figure:
    """The losses (n,) in log10 and their running mean over `window` points, n / 200 by default.

    steps (n,): at which step each was; 0 to n - 1 by default. means (n,): what the running mean is taken of where
    each is the mean of the steps since the one before, as in a run's metrics; the losses themselves by default. The
    mean is of the log10, as the lecture's. What has no log10 (0, nan, inf) is a gap. Raises ValueError for a negative
    loss, or lengths that differ.
    """
    y = _log10(_vector("losses", losses), "losses")
    x = _steps(steps, len(y))
    smooth = y if means is None else _log10(_vector("means", means, len(y)), "means")
    window = _window(window, len(y), 200)
    middle, mean = _running(x, smooth, window)
    with _style():
        fig = _figure(9, 4.8, "Loss of the training batches, log10", _mean_of(window, x))
        ax = fig.add_subplot()
        ax.plot(*_few(x, y), color=BLUE, alpha=0.3, lw=0.7)
        ax.plot(*_few(middle, mean), color=BLUE, lw=2, marker=_marker(mean))
        shown = y[np.isfinite(y)]
        if shown.size:  # the first steps' fall would leave the rest flat
            low, high = np.percentile(shown, [0.2, 99.7])
            seen = mean[np.isfinite(mean)]
            low, high = min([low, *seen]), max([high, *seen])
            pad = 0.04 * (high - low) or 0.05
            ax.set_ylim(low - pad, high + pad)
        _over_steps(ax, x)
        ax.set_ylabel("log10(loss)")
        right = ax.secondary_yaxis("right", functions=(_power_of_10, lambda v: np.log10(np.maximum(v, 1e-300))))
        right.set_ylabel("loss")
        right.spines["right"].set_visible(False)
    return fig


def dlogits(dlogits: Any, chars: Sequence[str] | None = None) -> Figure:
    """dlogits (n, vocab) as the lecture's imshow, in grey: a row sums to 0, and its dark place is the target.

    The gradient pulls down on what is bright and up on what is dark. chars: what each column stands for.
    """
    d = _matrix("dlogits", dlogits)
    if chars is not None and len(chars) != d.shape[1]:
        raise ValueError(f"chars has {len(chars)} entries, but dlogits has {d.shape[1]} columns")
    rows = f"{len(d)} rows of a batch; each sums to 0, the dark place is the target"
    with _style():
        fig = _figure(6.4, 6.6, "dlogits", rows)
        ax = fig.add_subplot()
        image = ax.imshow(d, cmap="gray", interpolation="nearest", aspect="auto" if _long(d) else "equal")
        fig.colorbar(image, ax=ax, shrink=0.7, label="gradient of the loss").outline.set_visible(False)
        ax.set_ylabel("row of the batch")
        ax.set_xlabel("next character" if chars is not None else "column of the logits")
        if chars is not None and len(chars) <= MANY_CHARS:
            ax.set_xticks(range(len(chars)), chars, size=8.5)
            ax.tick_params(axis="x", length=0)
    return fig


def activations(values: Mapping[str, Any], bins: int = 60, *, threshold: float = 0.97) -> Figure:
    """A histogram of each value by name, of any shape, with mean and standard deviation.

    For one that lies in -1 .. 1 and is called h or tanh, the share of |h| > `threshold`, as part 3 prints it.
    """
    notes = {}
    for name, value in values.items():
        if name == "h" or "tanh" in name:
            notes[name] = f"\n{np.mean(np.abs(_array(name, value)) > threshold):.1%} has |{name}| > {threshold:g}"
    return _histograms(values, bins, "Activations", BLUE, notes)


def gradients(grads: Mapping[str, Any], bins: int = 60) -> Figure:
    """A histogram of each gradient by the name of what it is of, with mean and standard deviation."""
    return _histograms({f"d{name}": grad for name, grad in grads.items()}, bins, "Gradients", ORANGE, {})


def saturation(h: Any, threshold: float = 0.99) -> Figure:
    """Where tanh's output h (n, hidden) is saturated: |h| > threshold in white, as in part 3.

    There 1 - h**2 is near 0 and lets hardly any gradient pass. A column that is all white is a neuron that no row of
    this batch can teach.
    """
    array = _matrix("h", h)
    on = np.abs(array) > threshold
    dead = int(on.all(0).sum())
    share = f"white: |h| > {threshold:g}, {on.mean():.1%} of {array.shape[0]} rows x {array.shape[1]} neurons; "
    share += f"{dead or 'no'} neuron{'s' * (dead > 1)} saturated in all rows"
    with _style():
        fig = _figure(11, 3.2 if array.shape[1] >= 3 * array.shape[0] else 7, "Saturation of tanh", share)
        ax = fig.add_subplot()
        aspect: Any = "auto" if _long(array) else "equal"
        ax.imshow(on, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect=aspect)
        ax.set_xlabel("neuron")
        ax.set_ylabel("row of the batch")
        for side in ("top", "right"):
            ax.spines[side].set_visible(True)
    return fig


def update_ratios(steps: Any, ratios: Mapping[str, Any], *, window: int | None = None, floor: float = -6) -> Figure:
    """How much of itself each parameter changes in a step: log10 of update std / data std, (n,) by name.

    steps (n,). Thin lines are single steps, thick ones the running mean over `window` points, n / 50 by default.
    About -3 is a good pace (part 3): far above learns in jumps, far below crawls. None, nan and 0 are gaps; what
    stays below `floor` is named and not drawn.
    """
    return _ratios(steps, ratios, window, floor, "Update to data", "log10(std of update / std of data)", guide=-3)


def gradient_ratios(steps: Any, ratios: Mapping[str, Any], *, window: int | None = None, floor: float = -6) -> Figure:
    """The same for log10 of gradient std / data std."""
    return _ratios(steps, ratios, window, floor, "Gradient to data", "log10(std of gradient / std of data)", None)


def embedding(C: Any, chars: Sequence[str] | None = None) -> Figure:
    """The rows of an embedding C (vocab, 2) as points in the plane, each with its character."""
    points = _matrix("C", C)
    if points.shape[1] != 2:
        raise ValueError(f"C has shape {points.shape}, but only an embedding of 2 dimensions is points in a plane")
    labels = [str(i) for i in range(len(points))] if chars is None else list(chars)
    if len(labels) != len(points):
        raise ValueError(f"chars has {len(labels)} entries, but C has {len(points)} rows")
    with _style():
        fig = _figure(7, 7.4, "Embedding", "what the network puts close together it treats alike")
        ax = fig.add_subplot()
        ax.grid()
        ax.scatter(points[:, 0], points[:, 1], s=260, color=BLUE, edgecolor="white")
        for (x, y), label in zip(points, labels, strict=True):
            ax.text(x, y, label, ha="center", va="center_baseline", color="white", weight="bold", parse_math=False)
        ax.set_xlabel("dimension 0")
        ax.set_ylabel("dimension 1")
        ax.margins(0.07)
    return fig


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as .png or .svg, the same bytes for the same figure: no date is in them.

    Raises ValueError for another suffix, OSError where the file cannot be written.
    """
    place = Path(path)
    form = place.suffix.lower().removeprefix(".")
    if form not in ("png", "svg"):
        raise ValueError(f"cannot write {str(place)!r}: the name must end in .png or .svg")
    title = figure.get_suptitle()
    # of an SVG also no address of any kind
    about = {"Date": None, "Creator": None, "Format": None, "Type": None, "Title": title} if form == "svg" else {}
    content = io.BytesIO()
    with _style():
        figure.savefig(content, format=form, dpi=160, metadata=about, facecolor="white")
    place.write_bytes(content.getvalue())


# -------------------------------------------------------------------------------------------- what is given


def _array(name: str, given: Any) -> NDArray[np.float64]:
    """A float64 array of it, None as nan. Raises ValueError for what are no numbers or none at all."""
    data = given.detach().numpy() if isinstance(given, Tensor) else given
    try:
        array = np.asarray(data, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None
    if not array.size:
        raise ValueError(f"{name} has shape {array.shape}: there is nothing in it to draw")
    return array


def _vector(name: str, given: Any, length: int | None = None) -> NDArray[np.float64]:
    array = _array(name, given)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, but must have one dimension")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} has {len(array):,} entries, but there are {length:,} points")
    return array


def _matrix(name: str, given: Any) -> NDArray[np.float64]:
    array = _array(name, given)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}, but must have two dimensions")
    return array


def _steps(steps: Any, length: int) -> NDArray[np.float64]:
    return np.arange(length, dtype=np.float64) if steps is None else _vector("steps", steps, length)


def _log10(array: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    if (array < 0).any():
        i = int(np.argmax(array < 0))
        raise ValueError(f"{name}[{i}] is {array[i]:g}, and a number below 0 has no log10; give them as they are")
    return np.log10(np.where((array > 0) & np.isfinite(array), array, np.nan))


def _power_of_10(exponent: Any) -> Any:
    return 10.0 ** np.asarray(exponent)


def _window(window: int | None, length: int, parts: int) -> int:
    if window is None:
        return max(1, length // parts)
    if not 1 <= window <= length:
        raise ValueError(f"window is {window}, but must be from 1 to the {length:,} points there are")
    return window


def _running(
    x: NDArray[np.float64], y: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle and the mean of each `window` neighbours; a gap counts for nothing."""
    known = np.isfinite(y)
    total, count = (
        np.concatenate([[0.0], np.cumsum(part)]) for part in (np.where(known, y, 0.0), known.astype(np.float64))
    )
    total, count = total[window:] - total[:-window], count[window:] - count[:-window]
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return (x[: len(mean)] + x[window - 1 :]) / 2, mean


def _few(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(x) <= MANY_POINTS:
        return x, y
    starts = np.arange(0, len(x), -(-2 * len(x) // MANY_POINTS))
    least, greatest = np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)
    return np.repeat(x[starts], 2), np.stack([least, greatest], 1).ravel()


# -------------------------------------------------------------------------------------------- how it looks


def _style() -> Any:
    """matplotlib's defaults and STYLE, whatever the user's own settings are."""
    try:
        import matplotlib.style
    except ImportError:
        raise ImportError("plots need matplotlib: pip install matplotlib") from None
    return matplotlib.style.context(["default", STYLE])


def _figure(width: float, height: float, title: str, below: str) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    room = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - 0.72 / height), w_pad=0.1, h_pad=0.1)
    fig = Figure(figsize=(width, height), layout=room)
    top = 1 - 0.42 / height  # both lines in inches from the top
    fig.suptitle(title, x=0.12 / width, y=1 - 0.1 / height, ha="left", va="top", size=13, weight="bold")
    fig.text(0.12 / width, top, below, color=SOFT, ha="left", va="top", size=9.5)
    return fig


def _long(array: NDArray[Any]) -> bool:
    return max(array.shape) > 12 * min(array.shape)


def _over_steps(ax: Any, x: NDArray[np.float64]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True) if len(x) > 1 else FixedLocator(x.tolist()))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    ax.grid(axis="y")
    ax.margins(x=0.01 if len(x) > 1 else 0.5)


def _marker(y: NDArray[np.float64]) -> str:
    return "o" if len(y) <= FEW_POINTS else ""  # one between two gaps is no line


def _mean_of(window: int, x: NDArray[np.float64]) -> str:
    if window == 1:
        return "a point for each logged step"
    return f"thin: single batches; thick: running mean over {window * (x[-1] - x[0]) / (len(x) - 1):,.0f} steps"


def _histograms(values: Mapping[str, Any], bins: int, title: str, color: str, notes: Mapping[str, str]) -> Figure:
    """A panel a value: part 3 lays them over each other, but these differ too much in size for one axis."""
    if not values:
        raise ValueError("there is no value to draw: give a dict from name to array")
    arrays = {name: _array(name, value).ravel() for name, value in values.items()}
    columns = min(len(arrays), 4 if len(arrays) > 6 or len(arrays) == 4 else 3)
    rows = -(-len(arrays) // columns)
    with _style():
        fig = _figure(3.1 * columns + 0.4, 2.5 * rows + 0.8, title, f"{bins} bins each; the line is at 0")
        for i, (name, array) in enumerate(arrays.items()):
            ax = fig.add_subplot(rows, columns, i + 1)
            finite = array[np.isfinite(array)]
            lost = "" if len(finite) == len(array) else f"\n{len(array) - len(finite):,} nan or inf left out"
            about = f"mean {finite.mean():.3g}, std {finite.std():.3g}" if finite.size else "all nan or inf"
            if finite.size:
                _histogram(ax, finite, bins, color)
            # names are shown as they are: a $ begins no formula
            ax.set_title(name, weight="bold", parse_math=False)
            ax.text(
                0.02, 0.98, about + notes.get(name, "") + lost, transform=ax.transAxes, va="top", size=8, color=SOFT,
                parse_math=False, bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1},
            )  # fmt: skip
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
    return fig


def _histogram(ax: Any, array: NDArray[np.float64], bins: int, color: str) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = float(array.min()), float(array.max())
    size = max(abs(low), abs(high))
    if high - low <= max(1e-9 * size, 1e-300):  # all the same: bins that thin would have no width
        pad = size / 2 if size > 1e-300 else 0.5
        low, high = low - pad, high + pad
    counts, edges = np.histogram(array, bins, (low, high))
    ax.stairs(counts, edges, fill=True, color=color, alpha=0.3)
    ax.stairs(counts, edges, color=color, lw=1.2)
    ax.set_ylim(0, counts.max() * 1.45)  # room for the text
    if low < 0 < high:
        ax.vlines(0, 0, counts.max() * 1.05, color=SOFT, lw=0.7, ls=(0, (2, 3)))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.ticklabel_format(axis="x", scilimits=(-3, 4), useMathText=True)


def _ratios(
    steps: Any, ratios: Mapping[str, Any], window: int | None, floor: float, title: str, label: str, guide: float | None
) -> Figure:
    if not ratios:
        raise ValueError("there is no ratio to draw: give a dict from a parameter's name to its ratios")
    logs = {name: _log10(_vector(name, y), name) for name, y in ratios.items()}
    x = _vector("steps", steps)
    for name, y in logs.items():
        _vector(name, y, len(x))
    window = _window(window, len(x), 50)
    with _style():
        fig = _figure(9.6, 5, f"{title}, per parameter", _mean_of(window, x))
        ax = fig.add_subplot()
        for i, (name, y) in enumerate(logs.items()):
            look: Any = {"color": COLORS[i % len(COLORS)], "ls": DASHES[i % len(DASHES)]}
            middle, mean = _running(x, y, window)
            known = y[np.isfinite(y)]
            if not known.size or np.median(known) < floor:
                why = f"below {floor:g}" if known.size else "no ratio"
                ax.plot([], [], lw=2, alpha=0.4, label=f"{name} ({why})", **look)
                continue
            y = np.where(y >= floor, y, np.nan)
            if window > 1:
                ax.plot(*_few(x, y), color=look["color"], lw=0.6, alpha=0.25)
            ax.plot(*_few(middle, mean), lw=2, label=name, marker=_marker(mean), **look)
        if guide is not None:
            ax.axhline(guide, color=INK, lw=1, ls=(0, (2, 3)), label=f"{guide:g}, a good pace")
        _over_steps(ax, x)
        ax.set_ylabel(label)
        for text in fig.legend(loc="outside right center", handlelength=3.2).get_texts():
            text.set_parse_math(False)
    return fig
