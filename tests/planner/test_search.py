import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply
from fleming_nemo.config.schema import ModelConfig, RunConfig, TrainConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.planner.hardware import GPUS
from fleming_nemo.planner.plan import plan
from fleming_nemo.planner.search import EQUAL, MARGIN, search
from fleming_nemo.planner.workload import from_config


def run(arch="qwen3-32b", length=8192, **train):
    return RunConfig(
        model=ModelConfig(arch=arch), train=TrainConfig(seq_length=length, **({"pack_tokens": length} | train))
    )


@pytest.mark.parametrize(
    "cfg, gpus",
    [(run(), 16), (run(length=16384), 64), (run("qwen2.5-7b", pack_tokens=0), 16), (run("nano", 256), 4)],
    ids=["32B", "32B long", "7B unpacked", "nano"],
)
def test_layouts_are_valid_fit_and_come_fastest_first(cfg, gpus):
    found = search(cfg, gpus, GPUS["h100"])
    assert found
    for layout in found:
        validate(layout.cfg, gpus)
        assert layout.plan.memory.total <= MARGIN * layout.plan.work.gpu.memory
        # what is printed leads to the same plan
        again = plan(from_config(apply(cfg, layout.overrides.split()), gpus, GPUS["h100"]))
        assert again == layout.plan
    speeds = [layout.plan.tokens_per_second for layout in found]
    assert all(b <= a * EQUAL**2 for a, b in zip(speeds, speeds[1:], strict=False))


def test_more_gpus_are_not_slower():
    seconds = [search(run("qwen2.5-7b"), gpus, GPUS["h100"], count=1)[0].plan.seconds for gpus in (8, 16, 32, 64)]
    assert seconds == sorted(seconds, reverse=True)


def test_generation_needs_one_stage():
    cfg = run("qwen2.5-7b", 10240, pack_tokens=0)
    cfg.task, cfg.rollout.max_response, cfg.rollout.decode_batch = "grpo", 8192, 64
    assert {(f.plan.work.pp, f.plan.work.cp) for f in search(cfg, 16, GPUS["h100"])} == {(1, 1)}


def test_nothing_fits():
    with pytest.raises(UserError, match="no layout of qwen3-32b fits 8 h100 with sequences of 8192 tokens; use more"):
        search(run(), 8, GPUS["h100"])
    assert search(run(), 8, GPUS["h200"])


def test_nothing_divides():
    with pytest.raises(
        UserError, match="no layout of qwen2.5-7b is possible on 11 GPUs; the simplest one: train.global_b"
    ):
        search(run("qwen2.5-7b", pack_tokens=0), 11, GPUS["h100"])
