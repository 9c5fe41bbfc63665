"""Warnings and refusals: each says what to change, and the change helps."""

import json

import pytest
from works import work

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply
from fleming_nemo.config.schema import DataConfig, ModelConfig, RunConfig, TrainConfig
from fleming_nemo.planner import hardware, plan
from fleming_nemo.planner.workload import from_config

H100 = hardware.GPUS["h100"]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"arch": "qwen3-32b"}, "weights, gradients and optimizer alone are too large; raise parallel.tp or pp"),
        ({"tp": 4, "dp": 8, "peak_tokens": 65536}, "activations are the largest part; raise model.recompute"),
        ({"tp": 4, "dp": 8, "peak_tokens": 262144, "recompute": -1}, "logits are the largest part; lower train.pack"),
    ],
)
def test_too_large(changes, sentence):
    (warning,) = [w for w in plan.warnings(plan.plan(work(**changes))) if w.startswith("does not fit")]
    assert sentence in warning


def test_slow():
    def found(**changes):
        return " ".join(plan.warnings(plan.plan(work(**changes))))

    few = {"arch": "qwen3-32b", "tp": 8, "pp": 4, "sequence_parallel": True}
    assert "pipeline stages wait 36% of the time: only 4 passes for 4 stages" in found(**few, passes=4)
    assert "wait" not in found(**few, passes=64)
    assert "parallel.tp=16 leaves the 8 GPUs that NVLink joins" in found(tp=16)
    assert "parallel.sequence_parallel=true would" in found(tp=2) and "parallel.sequence" not in found(**few)
    assert "parallel.overlap=true would" in found(dp=64, overlap=False)


def run(*changes):
    cfg = RunConfig(model=ModelConfig(arch="qwen3-32b"), train=TrainConfig(seq_length=8192, pack_tokens=8192))
    return apply(cfg, changes)


def test_fits_says_yes_or_what_to_do():
    eight = ("parallel.tp=8", "parallel.pp=2", "parallel.sequence_parallel=true")
    assert plan.fits(run(*eight), 16, H100).fits
    with pytest.raises(
        UserError, match="qwen3-32b needs 4.. GB on each GPU of pipeline stage 0, but h100 has 80 GB: we"
    ):
        plan.fits(run(), 16, H100)
    with pytest.raises(UserError, match="a100-80 cannot compute in fp8; set model.precision=bf16"):
        plan.fits(run("model.precision=fp8", *eight), 16, hardware.GPUS["a100-80"])


def test_packs_hold_whole_sequences_and_are_levelled():
    full = from_config(run("parallel.tp=8", "train.pack_tokens=16384"), 16, H100)
    assert (full.dp, full.passes, full.pass_tokens, full.peak_tokens) == (2, 32, 16384, 16384)
    grouped = from_config(run("parallel.tp=4", "parallel.pp=4", "parallel.vp=2", "train.global_batch=6"), 16, H100)
    assert (grouped.passes, grouped.pass_tokens, grouped.step_tokens) == (8, 8192, 6 * 8192)


def test_lengths_come_from_the_data(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"tokens": 1_000_000, "documents": 1000}))
    cfg = run("parallel.tp=8", "parallel.sequence_parallel=true")
    cfg.data = DataConfig(dir=str(tmp_path))
    work = from_config(cfg, 16, H100)
    assert (work.length, work.step_tokens, work.peak_tokens) == (1000, 128_000, 8192)
    assert work.passes == 8  # 64,000 tokens on each of two ranks
    assert work.pass_tokens == 8000


def test_gpus_by_name():
    with pytest.raises(UserError, match="there is no GPU 'h10' in the planner's table; did you mean h100"):
        hardware.find_gpu("h10")
    assert hardware.recognise("NVIDIA H100 80GB HBM3") is H100
    assert hardware.recognise("NVIDIA H100 PCIe") is hardware.recognise("NVIDIA H100 80GB HBM3 MIG 1g.10gb") is None
