"""`mpirun -n 2 makemore train --ddp`, on tiny runs. Without MPI these are skipped; test_together.py needs none."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import Store, read
from tests.models.running import COMMAND, ENVIRONMENT, train

MISSING = [
    what for what, there in (("mpirun (make browser installs it)", shutil.which("mpirun")),
                             ("mpi4py", importlib.util.find_spec("mpi4py"))) if not there
]  # fmt: skip
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"training by several processes is not tried: {' and '.join(MISSING)} missing"
)

# For Open MPI: as root in a container, and more processes than processors.
SETTINGS = {
    **ENVIRONMENT, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}  # fmt: skip
TINY = ["--hidden", 20, "--batch", 30, "--quiet"]


def start(size, *arguments, cwd):
    command = ["mpirun", "-n", str(size), *COMMAND, "train", "--ddp", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=SETTINGS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def end(process, status=0):
    try:
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == status, (process.returncode, out, err)
    assert "Traceback" not in err
    return out, err


def parallel(size, *arguments, cwd, status=0):
    return end(start(size, *arguments, cwd=cwd), status)


def ranks(process, size):
    """The process of each rank, once all are there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(process.pid):
                    rank = re.search(rb"\0(?:OMPI_COMM_WORLD_RANK|PMI_RANK)=(\d+)", (folder / "environ").read_bytes())
                    found |= {int(rank[1]): int(folder.name)} if rank else {}
            except (OSError, IndexError):
                continue
        if len(found) == size:
            return found
        time.sleep(0.05)
    raise AssertionError("the processes did not start")


def wait_for_checkpoint(out):
    until = time.monotonic() + 60
    while not Store(out, 3).files():
        assert time.monotonic() < until, "no checkpoint was written"
        time.sleep(0.02)


def newest(out):
    return read(Store(out, 3).files()[-1])


def same(a, b, tolerance):
    """Checkpoints of two ends, but for rounding."""
    assert a.step == b.step
    for name, array in a.state.model.items():
        assert np.abs(array - b.state.model[name]).max() < tolerance, name
    assert np.abs(np.array(a.losses) - np.array(b.losses)).max() < tolerance
    assert np.array_equal(a.state.generator, b.state.generator)


def test_two_processes_are_one_run(tmp_path):
    options = [*TINY, "--steps", 100, "--checkpoint-every", 50]
    alone = train(*options, "--out", "alone", cwd=tmp_path)
    out, _ = parallel(2, *options, "--out", "two", cwd=tmp_path)
    same(newest(tmp_path / "alone"), newest(tmp_path / "two"), 1e-5)
    assert out.split() == alone.stdout.split()  # losses and samples, once: the second process says nothing
    files = [
        sorted(path.relative_to(tmp_path / o).as_posix() for path in (tmp_path / o).rglob("*"))
        for o in ("alone", "two")
    ]
    assert files[0] == files[1]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_and_leaves_a_checkpoint(tmp_path, rank):
    options = [*TINY, "--steps", 200_000, "--checkpoint-every", 100]
    process = start(2, *options, cwd=tmp_path)
    found = ranks(process, 2)
    wait_for_checkpoint(tmp_path / "out")
    os.kill(found[rank], signal.SIGKILL)
    _, err = end(process, 137)
    message = rf"rank {rank} \(process {found[rank]}\) of this run ended before the others, after step ([\d,]+);"
    step = int(re.search(message, err)[1].replace(",", ""))
    assert "--resume goes on from it" in err
    left = newest(tmp_path / "out")
    assert left.step == step >= 100
    # One process goes on from there.
    end_at = step + 20
    train("--resume", "--force", "--quiet", "--steps", end_at, cwd=tmp_path)
    assert newest(tmp_path / "out").step == end_at


def test_two_processes_go_on_from_a_checkpoint(tmp_path):
    train(*TINY, "--steps", 60, "--checkpoint-every", 30, "--out", "whole", cwd=tmp_path)
    (tmp_path / "out/checkpoints").mkdir(parents=True)
    half = Store(tmp_path / "whole", 3).files()[0]
    assert read(half).step == 30
    shutil.copy(half, tmp_path / "out/checkpoints")
    parallel(2, "--resume", "--quiet", cwd=tmp_path)
    same(newest(tmp_path / "whole"), newest(tmp_path / "out"), 1e-5)


def test_a_signal_to_one_stops_all_at_one_step(tmp_path):
    process = start(2, *TINY, "--steps", 200_000, "--checkpoint-every", 100, cwd=tmp_path)
    found = ranks(process, 2)
    wait_for_checkpoint(tmp_path / "out")
    os.kill(found[1], signal.SIGTERM)
    out, _ = end(process, 143)
    step = int(re.search(r"stopped by SIGTERM after ([\d,]+) of", out)[1].replace(",", ""))
    assert newest(tmp_path / "out").step == step and (tmp_path / "out/model.safetensors").exists()


def test_bad_input_is_said_once(tmp_path):
    _, err = parallel(2, "--names", "nowhere.txt", cwd=tmp_path, status=2)
    assert err.count("makemore train: error: ") == 1 and "nowhere.txt" in err
    assert list(tmp_path.iterdir()) == []
