"""viz.plots: what each figure shows, its bytes, and what it refuses."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import minigrad as mg
from viz import plots

PROJECT = Path(__file__).resolve().parents[2]


def rng():
    return np.random.default_rng(7)


def texts(figure):
    return "\n".join(text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text")))


FIGURES = {
    "loss": lambda: plots.loss(3 - np.linspace(0, 1, 1000)),
    "dlogits": lambda: plots.dlogits(rng().normal(size=(5, 4)), "abcd"),
    "activations": lambda: plots.activations({"x": rng().normal(size=(3, 20)), "h": np.tanh(rng().normal(size=50))}),
    "gradients": lambda: plots.gradients({"W": rng().normal(size=(3, 20)) * 1e-9}),
    "saturation": lambda: plots.saturation(np.tanh(rng().normal(size=(8, 40)) * 3)),
    "update_ratios": lambda: plots.update_ratios(np.arange(200), {"W": np.full(200, 1e-3), "b": np.full(200, 1e-2)}),
    "gradient_ratios": lambda: plots.gradient_ratios([0, 10], {"W": [0.1, None]}),
    "embedding": lambda: plots.embedding(rng().normal(size=(3, 2)), ["$a$", "<b>", "&"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_each_is_a_figure_with_labelled_axes_and_the_same_bytes_twice(name, tmp_path):
    figure, again = FIGURES[name](), FIGURES[name]()
    assert type(figure) is Figure
    assert figure.get_suptitle()
    for ax in figure.axes:
        assert (ax.get_xlabel() and ax.get_ylabel()) or ax.get_title(loc="left") or ax.get_label() == "<colorbar>"
    for form in ("png", "svg"):
        plots.save(figure, tmp_path / f"a.{form}")
        plots.save(again, tmp_path / f"b.{form}")
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()
    svg = (tmp_path / "a.svg").read_text()
    root = ET.fromstring(svg)
    assert root.findtext("{http://www.w3.org/2000/svg}title") == figure.get_suptitle()
    assert not re.search(r"dc:date|matplotlib\.org", svg)
    links = {value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")}
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


def test_the_users_own_settings_change_nothing(tmp_path):
    import matplotlib

    plots.save(FIGURES["loss"](), tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "none", "axes.facecolor": "red"}):
        plots.save(FIGURES["loss"](), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_no_display_and_no_pyplot_and_matplotlib_only_when_it_draws():
    code = (
        "import sys, viz; assert 'matplotlib' not in sys.modules; viz.plots.saturation([[0.5, 1.0]]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env={"PYTHONPATH": str(PROJECT)}, timeout=60)
    assert done.returncode == 0


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plots.saturation([[0.5]])


def test_loss_is_log10_with_a_running_mean_of_it():
    losses = [1.0, 10.0, 100.0, 1000.0]
    thin, thick = plots.loss(losses, [0, 5, 10, 15], window=2).axes[0].lines
    assert thin.get_xydata().tolist() == [[0, 0], [5, 1], [10, 2], [15, 3]]
    assert thick.get_xydata().tolist() == [[2.5, 0.5], [7.5, 1.5], [12.5, 2.5]]
    # the mean of the steps between, where a run has it
    _, thick = plots.loss(losses, means=[10.0, 10.0, 1.0, 1.0], window=4).axes[0].lines
    assert thick.get_xydata().tolist() == [[1.5, 0.5]]


def test_what_has_no_log10_is_a_gap():
    thin, thick = plots.loss([10.0, 0.0, np.nan, np.inf, 10.0, 1000.0], window=2).axes[0].lines
    assert np.isnan(thin.get_ydata()).tolist() == [False, True, True, True, False, False]
    np.testing.assert_equal(thick.get_ydata(), [1, np.nan, np.nan, 1, 2])
    plots.loss([np.nan, np.nan])


def test_the_lectures_window_for_its_200_000_steps(tmp_path):
    losses = 2 + rng().random(200_000)
    losses[7:9] = np.nan, 500
    losses[4000:4400] = np.nan
    figure = plots.loss(losses)
    assert "running mean over 1,000 steps" in texts(figure)
    thin, thick = (line.get_ydata() for line in figure.axes[0].lines)
    assert len(thin) <= plots.MANY_POINTS and np.isnan(thin).any()
    assert (np.nanmin(thin), np.nanmax(thin)) == (np.nanmin(np.log10(losses)), np.log10(500))
    np.testing.assert_allclose(thick[-1], max(np.log10(losses[a - 1000 : a]).mean() for a in range(199_961, 200_001)))
    plots.save(figure, tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").stat().st_size < 1_000_000


def test_dlogits_is_the_image_of_the_array_in_grey():
    logits = mg.tensor(rng().normal(size=(6, 4)), requires_grad=True)
    loss = mg.nn.functional.cross_entropy(logits, np.array([0, 1, 2, 3, 0, 1]))
    loss.backward()
    ax = plots.dlogits(logits.grad, "wxyz").axes[0]
    image = ax.images[0]
    assert image.get_cmap().name == "gray"
    np.testing.assert_array_equal(image.get_array(), logits.grad.numpy().astype(float))
    assert [t.get_text() for t in ax.get_xticklabels()] == list("wxyz")
    assert len(plots.dlogits(np.zeros((3, 50)), ["c"] * 50).axes[0].get_xticklabels()) != 50


def test_saturation_is_white_where_h_is():
    h = np.array([[0.995, -0.995, 0.5], [0.995, 0.0, -0.5]])
    figure = plots.saturation(mg.tensor(h))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), [[1, 1, 0], [1, 0, 0]])
    assert "|h| > 0.99, 50.0% of 2 rows x 3 neurons; 1 neuron saturated in all rows" in texts(figure)
    assert "no neuron saturated" in texts(plots.saturation(h, threshold=0.999))


def test_histograms_count_every_element_and_say_mean_and_std():
    x = rng().normal(size=(10, 30))
    figure = plots.activations({"x": x, "h": [0.0, 0.98, -0.99, 0.5]}, bins=7)
    counts = [ax.patches[0].get_data().values for ax in figure.axes]
    assert [len(c) for c in counts] == [7, 7] and [c.sum() for c in counts] == [300, 4]
    assert f"mean {x.mean():.3g}, std {x.std():.3g}" in texts(figure)
    assert "50.0% has |h| > 0.97" in texts(figure)
    assert [ax.get_title(loc="left") for ax in plots.gradients({"W": x}).axes] == ["dW"]


def test_histograms_of_what_is_hard_to_bin(tmp_path):
    values = {
        "$a": [np.nan, 1.0], "none": [np.inf], "same": np.full(5, 1e-9), "zeros": np.zeros((2, 2)),
        "close": [1.0, np.nextafter(1.0, 2)], "tiny": [0.0, 5e-324], "whole": np.arange(5), "one": mg.tensor(3.0),
    }  # fmt: skip
    figure = plots.activations(values)
    assert "1 nan or inf left out" in texts(figure) and "all nan or inf" in texts(figure)
    plots.save(figure, tmp_path / "hard.png")


def test_ratios_are_log10_and_what_is_far_below_is_named():
    figure = plots.update_ratios([0, 100, 200], {"W": [1e-3, 1e-2, None], "b": [1e-9, 1e-9, 0], "c": [None] * 3})
    ax = figure.axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [-3, -2, np.nan])
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    assert labels == ["W", "b (below -6)", "c (no ratio)", "-3, a good pace"]
    assert "good pace" not in texts(plots.gradient_ratios([0], {"W": [0.1]}))
    low = plots.update_ratios([0, 1], {"b": [1e-9, 1e-9]}, floor=-10)
    assert low.legends[0].get_texts()[0].get_text() == "b"


def test_embedding_has_each_character_at_its_point():
    C = rng().normal(size=(3, 2))
    ax = plots.embedding(mg.tensor(C, requires_grad=True), "xyz").axes[0]
    assert {t.get_text(): t.get_position() for t in ax.texts if t.get_text()} == {
        c: pytest.approx(tuple(point), abs=1e-6) for c, point in zip("xyz", C, strict=True)
    }
    assert [t.get_text() for t in plots.embedding(C).axes[0].texts] == ["0", "1", "2"]


def test_torch_tensors_and_lists_are_taken():
    assert plots.saturation(torch.ones(2, 3)).axes[0].images[0].get_array().all()
    plots.gradients({"W": [[1, 2], [3, 4]]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.loss([]), r"losses has shape \(0,\): there is nothing in it"),
        (lambda: plots.loss([[1.0]]), "losses has shape .* one dimension"),
        (lambda: plots.loss([1, 2], [0]), "steps has 1 entries, but there are 2 points"),
        (lambda: plots.loss([1, 2], means=[1]), "means has 1 entries"),
        (lambda: plots.loss([1, -2]), r"losses\[1\] is -2, and a number below 0 has no log10"),
        (lambda: plots.loss([1, 2], window=3), "window is 3, but must be from 1 to the 2 points"),
        (lambda: plots.loss([1, 2], window=0), "window is 0"),
        (lambda: plots.loss(["a"]), "losses must be an array of numbers"),
        (lambda: plots.loss(None), "losses has shape .* one dimension"),
        (lambda: plots.dlogits([1.0]), "dlogits has shape .* two dimensions"),
        (lambda: plots.dlogits([[1.0]], "ab"), "chars has 2 entries, but dlogits has 1 columns"),
        (lambda: plots.saturation(np.zeros((0, 3))), "nothing in it"),
        (lambda: plots.activations({}), "no value to draw"),
        (lambda: plots.update_ratios([0], {}), "no ratio to draw"),
        (lambda: plots.update_ratios([0, 1], {"W": [1]}), "W has 1 entries"),
        (lambda: plots.embedding(np.zeros((5, 3))), r"C has shape \(5, 3\), but only .* 2 dimensions"),
        (lambda: plots.embedding(np.zeros((5, 2)), "ab"), "chars has 2 entries, but C has 5 rows"),
        (lambda: plots.save(plots.saturation([[1]]), "x.gif"), "must end in .png or .svg"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
