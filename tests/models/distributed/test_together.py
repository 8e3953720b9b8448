"""What some processes do together is what one does alone. Threads stand for the processes; see test_mpirun.py."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import ops
from models.distributed import Alone, Lost, all_reduce, all_reduce_gradients, sync_batch_norm
from models.distributed.launch import First
from models.distributed.mpi import connect
from models.distributed.trainer import Parallel
from models.errors import BadInput, Failed
from models.mlp import MLP, Config
from models.train import Diverged, Plan, Stop, Trainer
from tests.models.distributed.together import Thread, together
from tests.models.running import PROJECT

rng = np.random.default_rng(0)
X, Y = rng.integers(0, 9, (500, 3)), rng.integers(0, 9, 500)
CONFIG = Config(9, hidden=12, embd=4, seed=5)


def trainer(plan, comm=None, skip=False):
    generator = mg.Generator().manual_seed(5)
    model = MLP(CONFIG, generator)
    if comm is None:
        return Trainer(model, plan, X, Y, generator, skip)
    return Parallel(model, plan, X, Y, generator, skip, comm=comm)


@pytest.mark.parametrize(("rows", "size"), [(32, 1), (32, 4), (33, 4), (35, 4), (3, 4), (0, 2)])
def test_each_row_belongs_to_one_process(rows, size):
    shards = [Thread(rank, size, None, None).shard(rows) for rank in range(size)]
    assert [i for s in shards for i in range(rows)[s]] == list(range(rows))
    lengths = [s.stop - s.start for s in shards]
    assert max(lengths) - min(lengths) <= 1


def test_all_reduce_adds_and_so_does_its_gradient():
    weights = rng.standard_normal((3, 4))
    values = rng.standard_normal((3, 4))

    def one(comm):
        x = mg.tensor(values[comm.rank], requires_grad=True)
        y = all_reduce(x, comm)
        (mg.tensor(weights[comm.rank]) * y).sum().backward()
        return y.detach().numpy(), x.grad.numpy()

    for y, grad in together(3, one):
        assert np.allclose(y, values.sum(0), atol=1e-15) and np.allclose(grad, weights.sum(0), atol=1e-15)


def test_the_gradient_of_all_reduce_has_a_gradient():
    values = rng.standard_normal(3)

    def one(comm):
        x = mg.tensor(values[comm.rank], requires_grad=True)
        (slope,) = mg.grad(all_reduce(x, comm) ** 3, x, create_graph=True)  # of all three losses: 3 * 3 * (sum x)**2
        return slope.item(), mg.grad(slope, x)[0].item()

    total = values.sum()
    for slope, curve in together(3, one):  # all three slopes are differentiated too
        assert slope == pytest.approx(9 * total**2) and curve == pytest.approx(54 * total)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("correction", [0, 1])
def test_sync_batch_norm_is_batch_norm_of_all_rows(size, correction):
    x, up = rng.standard_normal((10, 5)) * 3 + 7, rng.standard_normal((10, 5))
    gain, bias = rng.standard_normal((1, 5)), rng.standard_normal((1, 5))

    def run(norm, rows):
        inputs = [mg.tensor(a.copy(), requires_grad=True) for a in (x[rows], gain, bias)]
        y = norm(*inputs)
        (y * mg.tensor(up[rows])).sum().backward()
        return [y.detach().numpy(), *(t.grad.numpy() for t in inputs)]

    whole = run(lambda *a: ops.BatchNorm.apply(*a, dim=(0,), eps=1e-5, correction=correction), slice(None))
    parts = together(
        size,
        lambda comm: run(lambda *a: sync_batch_norm(*a, rows=10, comm=comm, correction=correction), comm.shard(10)),
    )
    y, dx, dgain, dbias = zip(*parts, strict=True)
    for got, wanted in zip((np.concatenate(y), np.concatenate(dx), sum(dgain), sum(dbias)), whole, strict=True):
        assert np.abs(got - wanted).max() < 1e-12


def test_sync_batch_norm_of_too_few_rows():
    x = mg.ones(1, 2)
    with pytest.raises(ValueError, match="correction 1 needs more than 1 rows"):
        sync_batch_norm(x, x, x, 1, Alone())


def test_all_gradients_go_as_one_flat_buffer():
    def one(comm):
        a, b, c = (mg.zeros(2, 3), mg.zeros(4, dtype=mg.float64), mg.zeros(2))
        frozen = mg.zeros(1)
        for p in (a, b, c):
            p.requires_grad = True
        a.grad = mg.full((2, 3), float(comm.rank))
        if comm.rank == 0:
            b.grad = mg.ones(4, dtype=mg.float64)
        told = all_reduce_gradients([a, frozen, b, c], comm, extra=[comm.rank + 1])
        assert len(comm.calls) == 1 and comm.calls[0].shape == (6 + 4 + 2 + 1,)
        assert a.grad.dtype == mg.float32 and b.grad.dtype == mg.float64 and frozen.grad is None
        return a.grad.numpy(), b.grad.numpy(), c.grad.numpy(), told

    for a, b, c, told in together(2, one):
        assert (a == 0.5).all() and a.shape == (2, 3)
        assert (b == 0.5).all() and (c == 0).all()
        assert told.tolist() == [3]  # a sum, not a mean


def test_sum_and_what_is_neither():
    p = mg.zeros(2, requires_grad=True)
    p.grad = mg.ones(2)
    together(1, lambda comm: all_reduce_gradients([p], comm, reduce="sum"))
    assert p.grad.tolist() == [1, 1]
    with pytest.raises(ValueError, match="'max'"):
        all_reduce_gradients([p], Alone(), reduce="max")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_run_of_some_is_a_run_of_one(size, optimizer):
    plan = Plan(steps=60, batch=16, optimizer=optimizer)
    alone = trainer(plan)
    alone.run()

    def one(comm):
        run = trainer(plan, comm)
        assert run.run()
        return run

    runs = together(size, one)
    for run in runs:
        for name, p in run.model.named_parameters().items():
            assert np.array_equal(p.array, getattr(runs[0].model, name).array), name  # the same bits in each
            if (optimizer, name) != ("adamw", "b1"):  # batch norm takes it away again: AdamW scales rounding up to lr
                assert np.abs(p.array - getattr(alone.model, name).array).max() < 5e-6, name
        assert np.abs(np.array(run.losses) - np.array(alone.losses)).max() < 5e-6
        assert np.array_equal(run.generator.get_state(), alone.generator.get_state())


def test_five_allreduces_a_step_and_one_of_them_the_gradients():
    def one(comm):
        run = trainer(Plan(steps=1, batch=8), comm)
        run.step()
        return [call.size for call in comm.calls], sum(p.array.size for p in run.model.parameters())

    for sizes, elements in together(2, one):
        assert sizes == [12, 12, 12, 12, elements + 3]  # the sums of batch norm, forward and backward


@pytest.mark.parametrize("call", [1, 3, 5])
def test_a_process_is_lost_and_the_step_was_not_made(call):
    plan = Plan(steps=30, batch=8, optimizer="adamw")

    def unbroken(comm):
        run = trainer(plan, comm)
        run.run()
        return run

    def broken(comm):
        run = trainer(plan, comm)
        for _ in range(10):
            run.step()
        before = run.state()
        with pytest.raises(Lost):
            run.step()
        after = run.state()
        assert after.step == before.step == 10 and np.array_equal(after.generator, before.generator)
        assert all(np.array_equal(after.model[name], before.model[name]) for name in before.model)
        run.run()  # as from a checkpoint, where all are there again
        return run

    (whole, _), (ours, _) = together(2, unbroken), together(2, broken, lose=50 + call)
    assert ours.losses == whole.losses


def test_all_stop_at_the_step_at_which_one_is_asked_to():
    def one(comm):
        stop = Stop()
        run = trainer(Plan(steps=100, batch=8), comm)
        ends = run.agree(stop)
        step = run.step

        def asked():
            if comm.rank == 1 and len(run.losses) == 6:
                stop.number = signal.SIGINT
            return step()

        run.step = asked
        assert not run.run(stop=ends)
        return len(run.losses), stop.number

    assert together(3, one) == [(7, signal.SIGINT)] * 3


def test_a_run_that_diverges_ends_in_all():
    def one(comm):
        run = trainer(Plan(steps=20, batch=8, lr=1e30), comm)
        with pytest.raises(Diverged if comm.rank == 0 else Lost):
            run.run()
        comm.barrier.abort()

    with np.errstate(all="ignore"):
        together(2, one)


def test_steps_are_skipped_in_all_alike():
    def one(comm):
        run = trainer(Plan(steps=12, batch=8, lr=1e30), comm, skip=True)
        with np.errstate(all="ignore"):
            run.run()
        return run

    first, second = together(2, one)
    assert len(first.losses) == len(second.losses) == 12
    assert first.skipped and first.skipped == second.skipped
    assert np.array_equal(first.losses, second.losses, equal_nan=True)
    for p, q in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert np.array_equal(p.array, q.array)


def test_parameters_that_went_apart_are_noticed():
    def one(comm):
        run = trainer(Plan(steps=5, batch=8), comm)
        run.check_same()
        if comm.rank == 1:
            run.model.C.array[0, 0] += 1e-3
            with pytest.raises(Failed, match="rank 1 are not those of rank 0"):
                run.check_same()
        else:
            run.check_same()

    together(2, one)


@pytest.mark.parametrize(
    ("plan", "size", "text"),
    [
        (Plan(steps=5, batch=3), 4, "3 rows cannot be divided among 4 processes"),
        (Plan(steps=5, chunked=True), 2, "leave out --chunked or --ddp"),
    ],
)
def test_what_cannot_be_divided_is_refused(plan, size, text):
    first = First(Thread(0, size, None, None))
    generator = mg.Generator().manual_seed(5)
    with pytest.raises(BadInput, match=text):
        first.trainer(MLP(CONFIG, generator), plan, X, Y, generator, False, False)


def test_without_mpi4py(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(BadInput, match=r"pip install 'minigrad\[mpi\]'"):
        connect()


def test_the_engine_and_the_command_know_nothing_of_it():
    code = (
        "import sys, minigrad, models.cli; "
        "print([m for m in sys.modules if m.startswith(('mpi4py', 'models.distributed'))]); "
        "import models.job, models.distributed.launch; print('mpi4py' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
