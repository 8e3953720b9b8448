"""The mutation check itself: right rules pass, wrong ones are made and caught, and nothing of them stays."""

import pytest

import minigrad as mg

from . import mutants, mutate
from .mutate import Mutant

# A mistake of each kind, and tests of the suite that must notice it.
FIXED = {
    "Mul.dx: dz * y -> dz / y": ("* for /", "x * y,"),
    "LogSoftmax.dx: dy - Exp.apply(y) * Sum.apply(dy, dim=dim, keepdim=True) -> "
    "dy + Exp.apply(y) * Sum.apply(dy, dim=dim, keepdim=True)": ("+ for -", "log_softmax dim=0,"),
    "Exp.dx: y -> x": ("another value kept", "exp,"),
    "Tril.dx: np.tril(dy, diagonal) -> np.tril(dy)": ("argument dropped", "tril,"),
    "Where.dx: np.where(c, dz, 0.0) -> dz": ("branch", "where,"),
    "Sin.dx: Cos.apply(x) -> x": ("call dropped", "sin,"),
    "Clamp.dx: x >= lo -> x > lo": ("comparison", "clamp at its bounds,"),
    "Clamp.dx: (x >= lo) & (x <= hi) -> (x >= lo) | (x <= hi)": ("condition", "clamp both,"),
    "Log2.dx: 0.6931471805599453 -> 1.6931471805599454": ("constant", "log2,"),
    "Add.dx: return dz -> return dz * 2": ("counted twice", "x + y,"),
    "CumSum.dx: dim -> 0": ("dim", "cumsum dim=-1,"),
    "Tanh.dx: (1 - h * h) * dh -> dh": ("factor dropped", "tanh,"),
    "Add.dy: return dz -> return None": ("gradient left out", "x + y,"),
    "Mul.dx: dy in its place, and it in dy's": ("gradients swapped", "x * y,"),
    "BatchNorm.backward: True -> False": ("keepdim", "batch_norm,"),
    "Exp.dx: y -> mutant_constant(y)": ("link to the graph dropped", "exp,"),
    "Sub.dy: -dz -> dz": ("sign flipped", "x - y,"),
    "Cat.backward: start += shape[dim] -> gone": ("statement dropped", "cat,"),
    "Mul.dx: whole_sum in place of unbroadcasting": ("sum for unbroadcast", "x * y,"),
    "Softmax.dx: dy - Sum.apply(y * dy, dim=dim, keepdim=True) -> dy": ("term dropped", "softmax dim=0,"),
    "MatMul.dA: B.swapaxes(-1, -2) -> B": ("transpose dropped", "@,"),
    "Mul.dx: first_only in place of unbroadcasting": ("unbroadcast missing", "x * y,"),
}


def fixed(name: str) -> tuple[Mutant, list[mutants.Check]]:
    """The mutant of that name, and the rows that must notice it."""
    subject = next(subject for subject in mutate.subjects() if subject.name == name.split(":")[0])
    (mutant,) = [mutant for mutant in mutate.of(subject) if str(mutant) == name]
    return mutant, mutants.checks(lambda title: title.startswith(f"test_row[{FIXED[name][1]} float"))


@pytest.mark.parametrize("name", FIXED)
def test_a_mistake_is_made_and_caught(name: str) -> None:
    mutant, suite = fixed(name)
    assert mutant.kind == FIXED[name][0]
    assert len(suite) == 2, [check.name for check in suite]
    assert mutants.try_unmutated(suite) == []
    assert all(mutant.subject in check.runs for check in suite)
    assert mutants.caught_by(mutant, suite) is not None
    assert mutants.try_unmutated(suite) == []


def test_each_kind_has_a_fixed_mistake() -> None:
    assert {kind for kind, _ in FIXED.values()} | {"index dropped"} == {m.kind for m in mutate.mutants()}


def test_a_right_rule_is_not_caught() -> None:
    """An equivalent mutant passes: what catches the others is what they do, not that they were exchanged."""
    subject = next(subject for subject in mutate.subjects() if subject.name == "Relu.dx")
    (mutant,) = [mutant for mutant in mutate.of(subject) if mutant.what == "y -> x"]
    suite = mutants.checks(lambda title: title.startswith("test_row[relu, "))
    assert len(suite) == 2 and mutants.caught_by(mutant, suite) is None


def test_a_mutant_is_gone_after_its_block() -> None:
    mutant, _ = fixed("Sub.dy: -dz -> dz")

    def slope() -> float:
        x = mg.tensor(2.0, requires_grad=True)
        return mg.grad(1 - x, x)[0].item()

    assert slope() == -1
    with mutate.applied(mutant):
        assert slope() == 1
    assert slope() == -1


def test_every_gradient_has_mutants() -> None:
    without = {subject.name for subject in mutate.subjects()} - {m.subject.name for m in mutate.mutants()}
    assert not {name for name in without if not name.startswith("Expand")}, without


def test_report_names_survivors_that_are_not_listed_and_listed_ones_that_do_not_survive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    survivor, caught = fixed("Sub.dy: -dz -> dz")[0], fixed("Add.dx: return dz -> return dz * 2")[0]
    monkeypatch.setattr(mutants, "SURVIVORS", {str(caught): "a reason", "Gone.dx: a -> b": "another"})
    wrong = mutants.report({survivor: None, caught: "a test"})
    assert wrong == [
        f"survives, and has no reason in SURVIVORS: {survivor}",
        f"is in SURVIVORS, but is caught or gone: {caught}",
        "is in SURVIVORS, but is caught or gone: Gone.dx: a -> b",
        "fewer than 98 per cent are caught",
    ]
    monkeypatch.setattr(mutants, "SURVIVORS", {str(survivor): "a reason"})
    assert mutants.report({survivor: None, **dict.fromkeys(mutate.of(caught.subject), "a test")}, whole=False) == []
    assert "a reason" in capsys.readouterr().out
