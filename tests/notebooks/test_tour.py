"""The tour runs from top to bottom, and what is stored in it is what it gives."""

import re
from pathlib import Path

import nbformat
import pytest

from notebooks.refresh import HERE, execute

TOUR = HERE / "tour.ipynb"


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(TOUR, as_version=4)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("ipython")
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):  # nobody's own settings
        patch.setenv(variable, str(folder))
    yield execute(TOUR)
    patch.undo()


def kinds(cell):
    """What a cell shows: the stream's name, or the forms of a result."""
    return [output.get("name") or sorted(output.data) for output in cell.get("outputs", ())]


def text(cell):
    return "".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_it_runs_and_shows_what_is_stored(stored, fresh):
    nbformat.validate(stored)
    assert len(stored.cells) == len(fresh.cells)
    count = 0
    for before, now in zip(stored.cells, fresh.cells, strict=True):
        assert before.source == now.source
        assert kinds(before) == kinds(now), now.source
        assert "stderr" not in kinds(now), now.outputs
        if now.cell_type == "code":
            count += 1
            assert before.execution_count == now.execution_count == count
            # the same words; the numbers may part in their last digits, and with them what is drawn by chance
            if "multinomial" not in now.source:
                assert words(text(before)) == words(text(now)), now.source


def words(said):
    return re.sub(r"[-+.\d]+(e[-+]?\d+)?", "#", said).split()


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def test_26_exercises_each_with_a_solution_that_is_exact(fresh):
    exercises, solutions = tagged(fresh, "exercise"), tagged(fresh, "solution")
    assert len(exercises) == len(solutions) == 26
    for exercise, solution in zip(exercises, solutions, strict=True):
        name = re.search(r'^attempt\("(\w+)"', exercise.source, flags=re.M)[1]
        assert f"d{name} = ..." in exercise.source
        assert text(exercise).startswith(f"d{name} has shape (")
        assert f'cmp("{name}", d{name}, {name});' in solution.source
        row = f"{name:15s} | exact: True  | approximate: True  | maxdiff: 0.0"
        assert text(solution).strip() == row
        assert solution.metadata["jupyter"]["source_hidden"]
    table = next(cell for cell in fresh.cells if "cmp.all" in cell.source and cell.cell_type == "code")
    assert text(table) == "<26 gradients: 26 exact, 0 wrong>"


def test_what_is_learnt(fresh):
    losses = next(text(cell) for cell in fresh.cells if cell.cell_type == "code" and "split_names" not in cell.source
                  and re.match(r"train +\d", text(cell)))  # fmt: skip
    train, val = (float(line.split()[1]) for line in losses.splitlines())
    assert 2.2 < train < 2.4
    assert abs(train - val) < 0.05


def test_it_is_small_and_says_nothing_of_the_machine():
    raw = TOUR.read_text()
    assert len(raw) < 1_500_000
    for folder in (str(Path.home()), str(HERE), "/tmp/", "site-packages"):
        assert folder == "/" or folder not in raw
