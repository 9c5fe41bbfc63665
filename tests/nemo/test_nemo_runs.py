"""Recipes in small by `nemorun`, on this machine and on a live Slurm: bit for bit what `python recipes/...` makes."""

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
RECIPES = ("sft_7b", "grpo_stage1_7b")
TIMES = re.compile(r"seconds|_s$|per_second|time|tokens_per|mfu|share")


@pytest.fixture(scope="module", params=RECIPES)
def reference(request, tmp_path_factory):
    """A recipe and the run directory of `python recipes/NAME.py --tiny`."""
    run_dir = tmp_path_factory.mktemp("reference") / request.param
    call(sys.executable, REPOSITORY / "recipes" / f"{request.param}.py", "--tiny", f"run_dir={run_dir}")
    return request.param, run_dir


def call(*command: object, cwd: Path | None = None, **environ: str) -> str:
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environ
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def nemorun(name: str, folder: Path, home: Path, *words: str, **environ: str) -> str:
    factory = f"{name}(dir='{folder}', tiny=True)"
    command = ["nemorun", "fleming", "train", "--yes", "--factory", factory, *words]
    return call(*command, cwd=folder, NEMORUN_HOME=str(home), **environ)


def same_run(found: Path, expected: Path) -> None:
    """Losses, gradient norms, rewards, answers and weights agree in every bit."""
    for file in ("metrics.jsonl", "eval_samples.jsonl"):
        assert rows(found / file) == rows(expected / file), file
    steps = sorted(p.name for p in (expected / "checkpoints").glob("step_*"))
    assert steps and steps == sorted(p.name for p in (found / "checkpoints").glob("step_*"))
    for step in steps:
        assert bytes_of(found / "checkpoints" / step) == bytes_of(expected / "checkpoints" / step), step


def rows(file: Path) -> list[dict[str, object]]:
    return [
        {key: value for key, value in json.loads(line).items() if not TIMES.search(key)}
        for line in file.read_text().splitlines()
    ]


def bytes_of(checkpoint: Path) -> dict[str, bytes]:
    """Every tensor of a checkpoint, weights and optimizer, as its bytes; the files themselves may be laid out anew."""
    import torch
    from torch.distributed import checkpoint as dcp

    reader = dcp.FileSystemReader(checkpoint)
    known = reader.read_metadata().state_dict_metadata
    tensors = {name: torch.empty(m.size, dtype=m.properties.dtype) for name, m in known.items() if hasattr(m, "size")}
    dcp.load(tensors, storage_reader=reader, no_dist=True)
    assert tensors
    return {name: tensor.view(torch.uint8).numpy().tobytes() for name, tensor in tensors.items() if tensor.numel()}


def test_on_two_local_processes(reference, tmp_path, own_home):
    """With an exp_manager block, which names the run directory of both ranks and repeats the numbers from one."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    name, expected = reference
    block = ["exp_manager=fleming", f"exp_manager.exp_dir={tmp_path}", "exp_manager.name=it", "exp_manager.version=v1"]
    nemorun(name, tmp_path, own_home, "run.executor=fleming_local", "run.executor.ntasks_per_node=2", *block)
    found = tmp_path / "it" / "v1"
    same_run(found, expected)
    logged = EventAccumulator(str(found)).Reload().Scalars("loss")
    assert [(point.step, struct.pack("f", point.value)) for point in logged] == [
        (row["step"], struct.pack("f", row["loss"])) for row in rows(expected / "metrics.jsonl")
    ]


@pytest.mark.slurm
def test_on_two_nodes_of_a_slurm(reference, slurm, tmp_path, own_home):
    """The script that SlurmExecutor writes is sent by it, runs without a container, and its tasks are the ranks."""
    name, expected = reference
    words = ["nodes=2", "ntasks_per_node=1", "account=root"]
    options = [f"run.executor.{word}" for word in words]
    nemorun(name, tmp_path, own_home, "run.executor=fleming_slurm", *options, "run.detach=true", **slurm.environ)
    job = slurm.call("squeue", "--noheader", "--format=%i").split()[0]
    ended = slurm.wait(job, limit_s=600)
    assert ended == "COMPLETED", [log.read_text() for log in own_home.rglob("*.out")]
    same_run(tmp_path / name, expected)
