"""GRPO with vLLM servers on the GPUs that train, in turns.  Has not run yet: see docs/gpu-status.md.

What it will show: that trainer and servers fit the GPU in turns (sleep, wake weights, transfer by CUDA IPC, wake
cache), that a server in bf16 with compilation and CUDA graphs draws from the weights of the step (the divergence per
token stays far below the limit that stops a run), and that fp8 servers stay within the limit.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(("engine", "limit"), [("vllm", 1e-3), ("vllm-fp8", 2e-2)])
def test_a_colocated_run_draws_from_the_weights_of_every_step(engine: str, limit: float, tmp_path: Path) -> None:
    if engine == "vllm-fp8" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("needs a GPU that computes in fp8")
    # one process on one GPU; a rate at which ten steps would leave servers with old weights far behind
    sizes = ["parallel.tp=1", "parallel.dp=1", "parallel.sequence_parallel=false", "model.arch=qwen3-tiny"]
    overrides = [*sizes, "model.precision=bf16", f"rollout.engine={engine}", "train.steps=10", "optim.lr=1e-3"]
    done = subprocess.run(
        [
            sys.executable,
            "recipes/grpo_stage1_7b.py",
            "--tiny",
            *overrides,
            "optim.weight_decay=10",
            f"run_dir={tmp_path / 'run'}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 10 and max(row["mismatch_kl"] for row in rows) < limit
    assert all(row["seconds"]["transfer"] > 0 for row in rows)
    events = [json.loads(line)["event"] for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert "server_lost" not in events
