"""FLOPs against torch's own count of a real model, and what a metrics row says about speed."""

import dataclasses

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.model import gpt
from fleming_nemo.planner.hardware import GPUS
from fleming_nemo.training.throughput import Throughput, peak_flops, step_flops


def counted(arch: str, recompute: int, length: int) -> dict[str, int]:
    """Operations that torch sees in a forward and backward pass of one sequence, by the name of the operator."""
    cfg = tiny.config(arch)
    cfg.model.recompute = recompute
    (network,) = gpt.build(ARCHS[arch], cfg.model, cfg.parallel)
    tokens = torch.arange(length)[None]
    counter = FlopCounterMode(display=False)
    # the plain attention: torch counts its products one by one, the whole square of them
    with counter, sdpa_kernel(SDPBackend.MATH):
        network(tokens, tokens, None).sum().backward()
    return {str(name): count for name, count in counter.get_flop_counts()["Global"].items()}


def shape_of(arch: str) -> ArchShape:
    """With as many output rows as the model really has."""
    return dataclasses.replace(ARCHS[arch], vocab_size=ARCHS[arch].padded_vocab_size(1))


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_flops_are_those_of_the_model(arch: str) -> None:
    """Matrices agree exactly; of the square of scores that torch multiplies, the causal half counts."""
    length = 40
    shape, seen = shape_of(arch), counted(arch, recompute=0, length=length)
    square = 12 * shape.num_layers * shape.num_heads * shape.head_dim * length * length
    assert seen.pop("aten.bmm") == square
    matrices = sum(seen.values())
    assert matrices > 0 and step_flops(shape, [length]) == matrices + square * (length + 1) / (2 * length)


@pytest.mark.usefixtures("one_process")
def test_recomputation_is_no_work() -> None:
    arch, length = "qwen3-tiny", 24
    plain, again = (sum(counted(arch, recompute, length).values()) for recompute in (0, -1))
    assert again > 1.2 * plain
    assert step_flops(shape_of(arch), [length]) < plain


@given(lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_sequences_do_not_attend_to_each_other(lengths: list[int]) -> None:
    shape = ARCHS["qwen2.5-7b"]
    apart = step_flops(shape, lengths)
    assert apart == pytest.approx(sum(step_flops(shape, [n]) for n in lengths))
    together = step_flops(shape, [sum(lengths)])
    pairs = sum(lengths) ** 2 - sum(n * n for n in lengths)
    assert together - apart == pytest.approx(6 * shape.num_layers * shape.num_heads * shape.head_dim * pairs, abs=1e6)


@pytest.mark.parametrize(
    "device, precision, gpu, field",
    [
        ("NVIDIA H100 80GB HBM3", "bf16", "h100", "bf16_flops"),
        ("NVIDIA H100 80GB HBM3", "fp8", "h100", "fp8_flops"),
        ("NVIDIA H200", "bf16", "h200", "bf16_flops"),
        ("NVIDIA H20", "bf16", "h20", "bf16_flops"),
        ("NVIDIA A100-SXM4-80GB", "bf16", "a100-80", "bf16_flops"),
        ("NVIDIA B200", "fp8", "b200", "fp8_flops"),
        ("NVIDIA GB200", "bf16", "gb200", "bf16_flops"),
    ],
)
def test_the_peak_is_the_data_sheets(device: str, precision: str, gpu: str, field: str) -> None:
    assert peak_flops(device, precision) == getattr(GPUS[gpu], field) > 1e14


@pytest.mark.parametrize(
    "device, precision",
    [
        ("", "bf16"),  # a CPU
        ("NVIDIA GeForce RTX 4090", "bf16"),
        ("NVIDIA H100 PCIe", "bf16"),  # slower than the SXM module
        ("NVIDIA H200 NVL", "bf16"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bf16"),
        ("NVIDIA H100 80GB HBM3", "fp32"),
        ("NVIDIA A100-SXM4-80GB", "fp8"),  # has no such type
    ],
)
def test_no_peak_is_made_up(device: str, precision: str) -> None:
    assert peak_flops(device, precision) is None
    row = Throughput(ARCHS["qwen2.5-7b"], precision, device, processes=8).row([100, 300], seconds=2.0)
    assert row == {"tokens_per_second": 200}


def test_mfu_is_the_share_of_all_gpus() -> None:
    shape = ARCHS["qwen2.5-7b"]
    lengths, gpus = [4096] * 256, 16
    clock = Throughput(shape, "bf16", "NVIDIA H100 80GB HBM3", gpus)
    seconds = step_flops(shape, lengths) / (gpus * 989e12) / 0.4
    assert clock.row(lengths, seconds) == {"tokens_per_second": round(256 * 4096 / seconds), "mfu": 0.4}
    # in GRPO the step is longer than the training in it
    assert clock.row(lengths, 3 * seconds, training_seconds=2 * seconds)["mfu"] == 0.2
    # sanity: parameters without the embedding, times six, and some attention
    per_token = step_flops(shape, lengths) / sum(lengths)
    assert 6 * 7.07e9 < per_token < 6 * 7.07e9 * 1.1
