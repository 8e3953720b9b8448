"""models.train: the trajectory against torch's, the schedule, metrics, what stops a run; progress, sizes, pictures."""

import io
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import minigrad as mg
from models import sizes
from models.mlp import MLP, PARAMETERS, SEED, Config
from models.names import Vocabulary, build_dataset, read_names, split_names
from models.picture import draw_loss
from models.progress import Lines
from models.results import filled
from models.storage import all_or_nothing
from models.train import Diverged, Plan, Trainer, interrupt_ends_step

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """At this size torch's threads wait for each other, on a busy machine for most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data():
    words = read_names(PROJECT / "names.txt")
    return build_dataset(split_names(words)[0], Vocabulary(words), 3)


def trainer(data, config=None, **plan):
    g = mg.Generator().manual_seed(SEED)
    model = MLP(config or Config(27), g)
    return Trainer(model, Plan(**plan), *data, g)


def torch_losses(ours, steps):
    """The lecture's loop of cell 22 in torch, from our parameters and our generator's state."""
    state = ours.model.state_dict()
    p = [torch.tensor(state[name], requires_grad=True) for name in PARAMETERS]
    C, W1, b1, W2, b2, bngain, bnbias = p
    g = torch.Generator()
    g.set_state(torch.tensor(ours.generator.get_state()))
    X, Y = torch.tensor(ours.X), torch.tensor(ours.Y)
    if ours.plan.optimizer == "sgd":
        optimizer = torch.optim.SGD(p, lr=ours.plan.base_lr)
    else:
        optimizer = torch.optim.AdamW(p, lr=ours.plan.base_lr)
    losses = []
    for i in range(steps):
        ix = torch.randint(0, X.shape[0], (ours.plan.batch,), generator=g)
        emb = C[X[ix]]
        hprebn = emb.view(emb.shape[0], -1) @ W1 + b1
        bnvar_inv = (hprebn.var(0, keepdim=True, unbiased=True) + 1e-5) ** -0.5
        hpreact = bngain * (hprebn - hprebn.mean(0, keepdim=True)) * bnvar_inv + bnbias
        loss = F.cross_entropy(torch.tanh(hpreact) @ W2 + b2, Y[ix])
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = ours.plan.base_lr if i < steps / 2 else ours.plan.base_lr / 10
        optimizer.step()
        losses.append(loss.item())
    return losses, p


@pytest.mark.parametrize(
    "plan",
    [{}, {"chunked": True}, {"optimizer": "adamw"}, {"batch": 7, "lr": 0.02}],
    ids=["fused", "chunked", "adamw", "small"],
)
def test_300_steps_as_torch(data, plan):
    ours = trainer(data, steps=300, **plan)
    expected, params = torch_losses(ours, 300)
    assert ours.run()
    np.testing.assert_allclose(ours.losses, expected, rtol=0, atol=1e-4)
    for (name, p), q in zip(ours.model.named_parameters().items(), params, strict=True):
        if name == "b1" and ours.plan.optimizer == "adamw":
            continue  # batch norm makes it useless: its gradient is rounding noise, which Adam scales up to full steps
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=0, atol=2e-4)


def test_the_lectures_losses(lecture_dir):
    """Cell 22 prints 3.7805 at step 0 and 2.1775 at 10,000; bngain and bnbias it drew from an unseeded stream."""
    words = read_names(lecture_dir / "names.txt")
    X, Y = build_dataset(split_names(words)[0], Vocabulary(words), 3)
    assert X.shape == (182625, 3)
    ours = trainer((X, Y))
    assert ours.step() == pytest.approx(3.7805, abs=0.15)


def test_a_run_repeats_itself(data):
    a, b = trainer(data, steps=40), trainer(data, steps=40)
    assert a.run() and b.run()
    assert a.losses == b.losses
    assert all(
        np.array_equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    )


def test_the_learning_rate_falls_at_half():
    assert [Plan(steps=4).lr_at(i) for i in range(4)] == [0.1, 0.1, 0.01, 0.01]
    assert Plan(steps=200_000).lr_at(99_999) == 0.1 and Plan(steps=200_000).lr_at(100_000) == 0.01
    assert [Plan(steps=3, lr=1.0).lr_at(i) for i in range(3)] == [1.0, 1.0, 0.1]
    assert Plan(optimizer="adamw").base_lr == 0.003


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 1}, {"lr": math.nan}, {"lr": -0.1}, {"lr": math.inf}, {"optimizer": "adam"}]
)
def test_plans_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plan(**wrong)


def test_metrics(data):
    ours = trainer(data, Config(27, hidden=5), steps=2500)
    ours.run()
    assert [m["step"] for m in ours.metrics[:3]] == [0, 2, 4] and ours.metrics[-1]["step"] == 2499
    assert len(ours.metrics) == 1251
    for m in ours.metrics[1:3]:
        pair = ours.losses[m["step"] - 1 : m["step"] + 1]
        assert m["mean_loss"] == pytest.approx(sum(pair) / 2, abs=1e-5)
        assert m["loss"] == pytest.approx(pair[1], abs=1e-5)
        assert m["lr"] == 0.1 and m["steps_per_s"] > 0


def test_a_loss_that_is_no_number_stops_the_run(data):
    ours = trainer(data, Config(27, hidden=5), steps=1000, lr=1e30)
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="the loss is nan at step"):
        ours.run()
    assert 0 < len(ours.losses) < 20
    assert np.isfinite(ours.losses).all()


class Poisoned(Trainer):
    """A run whose loss is nan, by an op, for the batches of some steps; or whose gradients are inf."""

    def _prepare(self):
        super()._prepare()
        plain = self.loss

        def loss(Xb, Yb):
            found = plain(Xb, Yb)
            i = len(self.losses)
            if self.wrong.get(i) == "loss":
                found = found + (self.model.b2 * 0).sum().log() * 0  # log(0) * 0
            if self.wrong.get(i) == "gradient":
                found = found + (self.model.bngain * 0).abs().pow(0.5).sum() * 0 + (self.model.b2 * 0).sum().sqrt()
            return found * 1e37 if self.wrong.get(i) == "large" else found

        self.loss = loss


def poisoned(data, wrong, lr=None, **options):
    g = mg.Generator().manual_seed(SEED)
    kind = type("Run", (Poisoned,), {"wrong": wrong})  # the class has it: the steps are repeated by another run
    return kind(MLP(Config(27, hidden=5), g), Plan(steps=40, lr=lr), *data, g, eager=True, **options)


@pytest.mark.parametrize(
    ("kind", "op", "parameter", "step"),
    [("loss", "log", "b2", 7), ("gradient", "backward of sqrt", "", 8)],
)
def test_the_first_op_and_parameter_are_named(data, kind, op, parameter, step):
    """An inf in a gradient is there one step before the loss knows of it."""
    run = poisoned(data, {7: kind})
    with np.errstate(all="ignore"), pytest.raises(Diverged) as error:
        run.run()
    cause = error.value.cause
    assert (error.value.step, cause.step, cause.op) == (step, 7, op), str(error.value)
    assert f"at step {step}: " in str(error.value) and f"{op} made the first " in str(error.value)
    assert "`found = found + " in str(error.value) and parameter in str(error.value)
    assert isinstance(error.value.__cause__, mg.AnomalyError) and "\n" not in str(error.value)


def test_an_update_that_is_too_large_is_named(data):
    """Loss and gradients are numbers, and what the learning rate makes of them is none."""
    run = poisoned(data, {0: "large"}, lr=300.0)
    with (
        np.errstate(all="ignore"),
        pytest.raises(Diverged, match=r"the update of \w+ made the first inf, with") as error,
    ):
        run.run()
    assert error.value.cause.op == "the update" and error.value.cause.step == 0 and error.value.step == 1


@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.parametrize("wrong", [[7], [0], [39], [7, 8, 9], [3, 20]])
def test_a_skipped_step_draws_its_batch_and_changes_nothing(data, kind, wrong):
    run = poisoned(data, dict.fromkeys(wrong, kind), skip_nan=True)
    with np.errstate(all="ignore"):
        assert run.run()
    assert run.skipped == wrong and len(run.losses) == 40
    assert [i for i, loss in enumerate(run.losses) if math.isnan(loss)] == wrong
    plain = poisoned(data, {})
    for i in range(40):
        if i in wrong:
            plain.draw()
            plain.losses.append(math.nan)
        else:
            plain.step()
    assert all(np.array_equal(x, plain.model.state_dict()[name]) for name, x in run.model.state_dict().items())
    assert np.array_equal(run.generator.get_state(), plain.generator.get_state())
    assert [m["step"] for m in run.metrics] == [i for i in range(40) if i not in wrong]
    assert np.isfinite(filled(run.losses)).all()


def test_too_many_skipped_steps_stop_the_run(data):
    run = trainer(data, Config(27, hidden=5), steps=1000, lr=1e30)
    run.skip_nan = True
    with np.errstate(all="ignore"), pytest.raises(Diverged):
        run.run()
    assert len(run.skipped) == 100


def test_stop_after_a_step_and_go_on(data):
    ours, whole = trainer(data, steps=30), trainer(data, steps=30)
    asked = []
    assert not ours.run(stop=lambda: asked.append(1) or len(asked) == 12)
    assert len(ours.losses) == 12 and ours.metrics[-1]["step"] == 11
    assert ours.run() and whole.run()
    assert ours.losses == whole.losses


def test_the_first_interrupt_is_noted_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with interrupt_ends_step() as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGINT)
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


# ------------------------------------------------------------------------------------ lines, sizes, pictures


@pytest.mark.parametrize(
    ("steps", "printed"),
    [(200_000, [*range(0, 200_000, 10_000), 199_999]), (100, [*range(0, 100, 5), 99]), (3, [0, 1, 2])],
)
def test_lines(steps, printed):
    file = io.StringIO()
    lines = Lines(steps, file)
    for i in range(steps):
        lines.update(i, 2.5)
    got = file.getvalue().splitlines()
    assert [int(line.split("/")[0]) for line in got] == printed
    assert got[0].startswith(f"      0/{steps:7d}: 2.5000  ") and got[0].endswith(" steps/s")


def test_sizes(monkeypatch):
    lecture = sizes.estimate(Config(27), Plan(), 228_146)
    assert lecture < 2**30
    sizes.check_fits(Config(27), Plan(), 228_146)
    for config, plan in [
        (Config(27, hidden=10**9), Plan()), (Config(27, context=10**6), Plan()), (Config(27), Plan(batch=10**9)),
        (Config(27), Plan(steps=10**12)), (Config(27, embd=10**12, hidden=10**12, context=10**12), Plan()),
    ]:  # fmt: skip
        with pytest.raises(sizes.TooLarge, match="would need about [0-9,.]+ GiB"):
            sizes.check_fits(config, plan, 228_146)
    monkeypatch.setattr(sizes, "memory", lambda: lecture)
    with pytest.raises(sizes.TooLarge):
        sizes.check_fits(Config(27), Plan(), 228_146)


@pytest.mark.parametrize("losses", [[3.3], [3.3, 3.1, 2.9], list(np.linspace(3.5, 2.1, 1234)), [2.0] * 500])
def test_the_picture_of_any_run(tmp_path, losses):
    draw_loss(tmp_path / "loss.png", losses, Plan(steps=1234), {"train": 2.07, "val": 2.07}, "a run")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_all_or_nothing(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError), all_or_nothing(tmp_path) as stage:
        (stage / "a").write_text("new")
        raise KeyError
    assert (tmp_path / "a").read_text() == "old"
    with all_or_nothing(tmp_path) as stage:
        (stage / "a").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
