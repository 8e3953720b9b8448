"""The cost model of several processes: fitted to times that it made itself it finds its constants again."""

import pytest

from benchmarks.processes import ROWS, allreduces, draw, fit, predict, table

TRUE = {"a": 3e-4, "b": 2.5e-6, "d": 3e-8, "alpha": 2e-6, "beta": 5e-10}


def results(cores):
    def message(p, m):
        return (
            max(1, p / cores) * 2 * (p.bit_length() - 1) * TRUE["alpha"]
            + max(1, p / cores) * 2 * (p - 1) / p * m * TRUE["beta"]
        )

    found = []
    for p in (1, 2, 4):
        step = {str(b): predict(TRUE, b, p, cores) for b in (32, 4096)}
        found.append({"processes": p, "step": step, "median": step, "processor": step})
    found[0]["rows"] = {str(r): predict(TRUE, r, 1) for r in ROWS}
    found[0]["draw"] = {str(r): 1e-6 + TRUE["d"] * r for r in ROWS}
    for f in found[1:]:
        f["allreduce"] = {str(m): message(f["processes"], m) for m in (800, 48_000, 400_000)}
    return {"cores": cores, "measured": found, "constants": fit(found, cores)}


@pytest.mark.parametrize("cores", [2, 4])
def test_the_constants_are_found_again(cores, tmp_path):
    found = results(cores)
    assert found["constants"] == pytest.approx(TRUE, rel=1e-6)
    assert all(line.split("|")[7].strip() == "1.00" for line in table(found)[2:])
    draw(found, tmp_path / "scaling.svg")
    assert (tmp_path / "scaling.svg").read_text().startswith("<?xml")


def test_more_processes_take_less_until_messages_take_more():
    assert predict(TRUE, 4096, 4) < predict(TRUE, 4096, 2) < predict(TRUE, 4096, 1)
    assert predict(TRUE, 4096, 4, cores=1) > predict(TRUE, 4096, 1)
    assert len(allreduces()) == 5 and allreduces()[0] == 800
