"""models.checkpoint: what goes on from a file is what was never stopped; damage, changes, the order of files."""

import io
import json
import re
import struct
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy

import minigrad as mg
from models import checkpoint
from models.checkpoint import CheckpointError, Store, content, read
from models.errors import BadInput
from models.mlp import MLP, PARAMETERS, Config
from models.names import Vocabulary, build_dataset
from models.saved import Saved
from models.train import Plan, Trainer

WORDS = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "zoe", "quinn"]
VOCAB = Vocabulary(WORDS)
DATA = build_dataset(WORDS, VOCAB, 3)
NAMES = {"count": len(WORDS), "sha256": "0" * 64}
PLANS = [
    {}, {"optimizer": "adamw"}, {"chunked": True}, {"optimizer": "adamw", "chunked": True, "batch": 7, "lr": 0.02},
]  # fmt: skip


def trainer(config=None, eager=False, **plan):
    config = config or Config(len(VOCAB), hidden=12)
    g = mg.Generator().manual_seed(config.seed)
    return Trainer(MLP(config, g), Plan(**{"steps": 60, **plan}), *DATA, g, eager=eager)


def after(steps, **plan):
    run = trainer(**plan)
    run.run(stop=lambda: len(run.losses) == steps)
    return run


def file_of(run, path, **more):
    path.write_bytes(content(run, VOCAB, NAMES, **more))
    return path


def gone_on(found, eager=False):
    """A new run, as a new process makes it, with what was read put into it."""
    run = Trainer(MLP(found.config), found.plan, *DATA, mg.Generator(), eager=eager)
    found.restore(run)
    return run


def same(a, b):
    assert all(np.array_equal(x, b.model.state_dict()[name]) for name, x in a.model.state_dict().items())
    assert a.losses.tobytes() == b.losses.tobytes()
    assert np.array_equal(a.generator.get_state(), b.generator.get_state())
    x, y = checkpoint.optimizer_state(a.optimizer), checkpoint.optimizer_state(b.optimizer)
    assert x.keys() == y.keys()
    for i in x:
        assert all(np.array_equal(x[i][k], y[i][k]) for k in x[i].keys() | y[i].keys())


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("at", [1, 29, 31, 59, 60])
@pytest.mark.parametrize(("before", "then"), [(False, False), (True, True), (False, True), (True, False)])
def test_to_the_last_bit_as_a_run_that_was_never_stopped(tmp_path, plan, at, before, then):
    """before, then: whether the steps are run op by op (--eager) or replayed, before and after the stop."""
    whole, part = trainer(eager=then, **plan), after(at, eager=before, **plan)
    whole.run()
    run = gone_on(read(file_of(part, tmp_path / "x")), then)
    same(run, part)
    run.run()
    same(run, whole)
    for line in (*run.metrics, *whole.metrics):
        del line["steps_per_s"]
    assert run.metrics == whole.metrics


def test_each_of_many_stops(tmp_path):
    whole = trainer(optimizer="adamw")
    whole.run()
    run = trainer(optimizer="adamw")
    for at in (3, 4, 20, 21, 40):
        run.run(stop=lambda at=at: len(run.losses) == at)  # noqa: B023
        run = gone_on(read(file_of(run, tmp_path / "x")))
    run.run()
    same(run, whole)


def test_a_calibrated_network_keeps_its_statistics(tmp_path):
    run = after(5)
    run.model.calibrate(DATA[0])
    assert set(read(file_of(run, tmp_path / "x")).state.model) == {*PARAMETERS, "bnmean", "bnvar"}


def test_others_can_read_it_and_there_is_no_pickle(tmp_path):
    path = file_of(after(9, optimizer="adamw"), tmp_path / "x.safetensors")
    arrays = safetensors.numpy.load_file(path)
    assert {*PARAMETERS, "generator", "losses", "optimizer.0.exp_avg"} <= arrays.keys()
    assert arrays["losses"].shape == (9,) and arrays["generator"].shape == (5056,)
    header = json.loads(path.read_bytes()[8:][: struct.unpack("<Q", path.read_bytes()[:8])[0]])
    assert re.fullmatch("[0-9a-f]{64}", header["__metadata__"]["sha256"])
    assert mg.load(path, mmap=True)["losses"].shape == (9,)


# ---------------------------------------------------------------------------------------- what cannot be used


def test_every_kind_of_damage_is_one_line(tmp_path):
    path = file_of(after(9, optimizer="adamw"), tmp_path / "x")
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    damaged = [b"", good[:-1], good[: len(good) // 2], good[:100], b"\0" * len(good), good + b"\0", b"PK" + good[2:]]
    for at in rng.integers(len(good), size=60):
        damaged.append(good[:at] + bytes([good[at] ^ int(rng.integers(1, 256))]) + good[at + 1 :])
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CheckpointError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
        assert len(str(error.value)) < 250 + len(str(path))


def rewritten(good, **changes):
    """The file with something else in it, and a checksum that is right."""
    held = mg.load(io.BytesIO(good))
    for name, value in changes.items():
        (held if name in held else held["makemore"])[name] = value
    buffer = io.BytesIO()
    mg.save({name: value for name, value in held.items() if value is not None}, buffer)
    return buffer.getvalue()


HUGE = {"vocab_size": len(VOCAB), "context": 3, "embd": 10**9, "hidden": 10**9, "seed": 1}
PLAN = {"steps": 60, "batch": 32, "lr": None, "optimizer": "sgd", "chunked": False}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "its version is 2, and this program reads 1: use a newer one"),
        ({"format": "makemore-mlp"}, "not a checkpoint of this program"),
        ({"config": HUGE}, "C has shape"), ({"config": None}, "damaged"), ({"plan": {"steps": 5}}, "its step"),
        ({"plan": {**PLAN, "steps": "many"}}, "damaged"), ({"plan": {**PLAN, "optimizer": "sgd"}}, "its optimizer"),
        ({"plan": {**PLAN, "batch": 0}}, "batch is 0"), ({"chars": "ab"}, "its vocabulary"), ({"chars": 5}, "damaged"),
        ({"step": 10}, "its losses"), ({"step": -1}, "its step"), ({"step": True}, "its step"),
        ({"losses": np.zeros(9)}, "its losses"), ({"losses": None}, "damaged"), ({"seconds": -1.0}, "its seconds"),
        ({"seconds": float("nan")}, "its seconds"), ({"skipped": [9]}, "its skipped"), ({"skipped": 3}, "damaged"),
        ({"measured": [1]}, "damaged"), ({"measured": [70, 1.0]}, "its metrics"), ({"metrics": "[" * 10**5}, "damaged"),
        ({"metrics": '[{"step": 9, "loss": 1, "mean_loss": 1}]'}, "its metrics"), ({"metrics": "{}x"}, "damaged"),
        ({"metrics": '[{"step": 1, "loss": "x", "mean_loss": 1}]'}, "loss is 'x'"), ({"names": {}}, "damaged"),
        ({"generator": np.zeros(3, np.uint8)}, "5056"), ({"generator": np.zeros(5056, np.uint8)}, "Invalid mt19937"),
        ({"generator": "x"}, "its random stream"), ({"b1": mg.zeros(13)}, "b1 has shape"), ({"b1": None}, "missing"),
        ({"C": mg.full((len(VOCAB), 10), float("nan"))}, "not finite"), ({"optimizer": {0: {"step": 1}}}, "optimizer"),
        ({"optimizer": {99: {}}}, "its optimizer"), ({"optimizer": [1]}, "damaged"), ({"changes": [1]}, "its changes"),
        ({"optimizer": {0: {"step": 10**9, "exp_avg": mg.zeros(1), "exp_avg_sq": mg.zeros(1)}}}, "its optimizer"),
        ({"optimizer": {0: {"step": 1, "exp_avg": mg.zeros(1), "exp_avg_sq": mg.zeros(1)}}}, "its optimizer"),
        ({"every": "x"}, "its interval"), ({"makemore": 3}, "not a checkpoint"),
    ],
)  # fmt: skip
def test_a_file_that_says_something_else(tmp_path, changes, reason):
    path = file_of(after(9, optimizer="adamw"), tmp_path / "x")
    good = path.read_bytes()
    path.write_bytes(rewritten(good))
    read(path)
    path.write_bytes(rewritten(good, **changes))
    with pytest.raises(CheckpointError, match=reason):
        read(path)


# ------------------------------------------------------------------------------------------------ the files


def test_the_last_k_are_kept_in_the_order_they_were_written_in(tmp_path):
    store = Store(tmp_path, 3)
    for step in (100, 200, 50, 60, 70):  # a run begun anew has lower steps, and is newer
        store.write(step, b"")
    assert [p.name for p in store.files()] == [f"0000{i}-step-{n}.safetensors" for i, n in ((3, 50), (4, 60), (5, 70))]
    (store.folder / "00009-step-5.safetensors.bak").write_text("mine")
    (store.folder / "notes.txt").write_text("mine")
    (store.folder / ".00009-step-5.safetensors.abc.part").write_text("half")
    (tmp_path / ".new-abc").mkdir()
    store.sweep()
    store.write(80, b"")
    assert sorted(p.name for p in store.folder.iterdir()) == [
        *(f"0000{i}-step-{n}.safetensors" for i, n in ((4, 60), (5, 70), (6, 80))), "00009-step-5.safetensors.bak",
        "notes.txt",
    ]  # fmt: skip
    assert not (tmp_path / ".new-abc").exists()
    assert [p.name for p in Store(tmp_path, 1).files()] == [p.name for p in store.files()]
    for path in store.files():
        path.unlink()
    (store.folder / "99999-step-1.safetensors").write_bytes(b"")
    store.write(90, b"")
    assert store.files()[-1].name == "100000-step-90.safetensors"


def test_a_damaged_newest_one_falls_back_and_says_so(tmp_path):
    store, run = Store(tmp_path, 3), trainer()
    for at in (10, 20, 30):
        run.run(stop=lambda at=at: len(run.losses) == at)
        store.write(at, content(run, VOCAB, NAMES))
    files, said = store.files(), []
    assert Store(tmp_path, 3).newest(said.append).step == 30 and not said
    files[2].write_bytes(files[2].read_bytes()[:-500])
    assert store.newest(said.append).step == 20
    assert len(said) == 1 and re.match(r".*00003-step-30.*: .*cut short.*; going back to the one before$", said[0])
    files[1].write_bytes(b"")
    assert store.newest(said.append).step == 10 and len(said) == 3
    files[0].write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match="no checkpoint in .* can be used: .*00003-step-30"):
        store.newest(said.append)
    with pytest.raises(CheckpointError, match="no checkpoint in .*nowhere/checkpoints: without --resume"):
        Store(tmp_path / "nowhere", 3).newest(said.append)


# ------------------------------------------------------------------------------------------------- options


def options(**given):
    names = ("steps", "hidden", "embd", "context", "batch", "lr", "optimizer", "seed", "chunked", "checkpoint_every")
    plain = {"keep": 3, "resume": True, "force": False, "quiet": True, "on_nan": "stop"}
    return SimpleNamespace(**dict.fromkeys(names), **{**plain, **{k: v for k, v in given.items() if k in plain}})


def saved(tmp_path, names=NAMES, vocab=VOCAB, **given):
    asked = options(**given)
    vars(asked).update(given)
    found = Saved(tmp_path, asked)
    return found, found.begin(vocab, names, "names.txt")


@pytest.fixture
def half(tmp_path):
    """A folder with the checkpoint of a run at step 30 of 60."""
    Store(tmp_path, 3).write(30, content(after(30), VOCAB, NAMES, every=10))
    return tmp_path


def test_what_is_not_said_is_as_in_the_checkpoint(half):
    found, (config, plan, changes) = saved(half)
    assert (config, plan) == (Config(len(VOCAB), hidden=12), Plan(steps=60, lr=0.1)) and changes == []
    assert found.every == 10
    assert saved(half, hidden=12, lr=0.1, steps=60, batch=32, optimizer="sgd", checkpoint_every=7)[0].every == 7


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lr": 0.2}, r"--lr 0.2 \(0.1 in the checkpoint\)"), ({"steps": 99}, r"--steps 99 \(60 in"),
        ({"batch": 8, "chunked": True}, r"--batch 8 \(32 in the checkpoint\), --chunked true \(false in"),
        ({"optimizer": "adamw"}, r"--optimizer adamw \(sgd in the checkpoint\)"),
        ({"names": {"count": 9, "sha256": "1"}}, r"names.txt, 9 names \(8 then\)"),
        ({"names": {"count": 8, "sha256": "1"}}, r"names.txt, 8 names \(other names or another order then\)"),
    ],
)  # fmt: skip
def test_what_differs_is_refused_and_can_be_forced(half, given, says):
    with pytest.raises(BadInput, match=f"not what .*00001-step-30.* was made with: {says}.*; --force goes on"):
        saved(half, **given)
    found, (config, plan, changes) = saved(half, force=True, **given)
    assert config == Config(len(VOCAB), hidden=12) and re.search(f"from step 30: {says[:9]}", changes[0])
    for name, value in given.items():
        assert name == "names" or getattr(plan, name) == value
    run = Trainer(MLP(config), plan, *DATA, mg.Generator())
    found.restore(run, changes)
    run.step()


@pytest.mark.parametrize("given", [{"hidden": 20}, {"embd": 2}, {"context": 4}, {"seed": 1}])
def test_another_network_cannot_be_forced(half, given):
    name, value = next(iter(given.items()))
    for force in (False, True):
        with pytest.raises(BadInput, match=rf"is of another network: --{name} {value} \(.* in the checkpoint\)"):
            saved(half, force=force, **given)


def test_other_letters_cannot_be_forced(half):
    with pytest.raises(BadInput, match=r"the letters of names.txt \(new: x; gone: z\)"):
        saved(half, force=True, vocab=Vocabulary([w.replace("z", "x") for w in WORDS]))
    with pytest.raises(BadInput, match="--steps 20: the run has 30 already"):
        saved(half, force=True, steps=20)


def test_a_new_run_does_not_take_the_place_of_an_unfinished_one(half):
    with pytest.raises(BadInput, match=r"holds a run of 30 of 60 steps: --resume goes on with it, --force begins anew"):
        saved(half, resume=False)
    assert saved(half, resume=False, force=True)[1][2] == []
    Store(half, 3).write(60, content(after(60), VOCAB, NAMES, every=10))
    saved(half, resume=False)  # that one is done
    Store(half, 3).write(30, content(after(30), VOCAB, NAMES))
    saved(half, resume=False)  # and that one asked for no checkpoints
