"""Every layout against one process, over eight steps: the table that `make test-parity` prints.

Loss and gradient norm of SFT and of GRPO, from the same weights and over the same sequences, in fp32 within 1e-5 and in
bf16, where every layout rounds in other places, within 5e-3 (of the loss itself; relative for the gradient norm).

Not covered: several nodes, NCCL, Transformer Engine.
"""

from pathlib import Path
from typing import Any

import pytest
import tiny
import work
from harness import Case, Harness, value
from layouts import config, world

from fleming_nemo.config.schema import RunConfig

# one fixture runs all cases, and the time limit counts it in
pytestmark = [pytest.mark.slow, pytest.mark.parity, pytest.mark.timeout(1800)]

LAYOUTS = (
    "tp2",
    "tp2+sp",
    "pp2",
    "pp2 vp2",
    "cp2",
    "dp2",
    "dp2 overlap",
    "tp2 pp2",
    "tp2 cp2",
    "tp2+sp pp2 vp2",
    "recompute",
    "packed",
    "packed cp2",
    "packed tp2+sp",
    "packed pp2 vp2",
    "packed dp2 overlap recompute",
)
TIED = ("tp2", "pp2", "pp2 vp2", "tp2 pp2", "packed cp2")
"""Layouts for the model whose embedding and output weights are one tensor: the cuts that separate or share them."""
CASES = [("qwen2.5-tiny", layout) for layout in LAYOUTS] + [("qwen3-tiny", layout) for layout in LAYOUTS]
CASES += [("nano", layout) for layout in TIED] + [("llama-tiny", layout) for layout in TIED]
TOLERANCE = {"fp32": 1e-5, "bf16": 5e-3}
STEPS = range(8)
SEQUENCES = 16
"""Of a step: fewer of them, and what bf16 rounds off them would not average out."""


def parity_config(arch: str, layout: str, precision: str) -> RunConfig:
    cfg = config(arch, layout, precision, micro_batch=4)
    # Adam's first steps have the size of the rate, whatever the gradient: with a larger one the noise of rounding grows
    cfg.optim.lr = 3e-4
    return cfg


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path]) -> dict[str, Any]:
    harness.run(
        [
            Case(
                f"{arch} {layout} {precision}",
                work.both_objectives,
                (parity_config(arch, layout, precision), weights[arch], STEPS, SEQUENCES),
                world(layout),
            )
            for arch, layout in CASES
            for precision in TOLERANCE
        ]
    )
    return harness.results


@pytest.fixture(scope="module")
def alone(weights: dict[str, Path]) -> dict[tuple[str, str, str], work.Metrics]:
    """What one process reports with padded sequences, by architecture, precision and objective."""
    return {
        (arch, precision, kind): tiny.train(
            tiny.engine(parity_config(arch, "", precision), folder), kind, STEPS, SEQUENCES
        )
        for arch, folder in weights.items()
        for precision in TOLERANCE
        for kind in ("sft", "grpo")
    }


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize(("arch", "layout"), CASES)
def test_layout(
    arch: str, layout: str, precision: str, results: dict[str, Any], alone: Any, parity_table: list[tuple[Any, ...]]
) -> None:
    found = value(results, f"{arch} {layout} {precision}")
    row: list[float] = []
    for kind in ("sft", "grpo"):
        pairs = list(zip(found[kind], alone[arch, precision, kind], strict=True))
        row.append(max(abs(got["loss"] - expected["loss"]) for got, expected in pairs))
        row.append(max(abs(got["grad_norm"] / expected["grad_norm"] - 1) for got, expected in pairs))
    parity_table.append((layout, arch, precision, *row))
    assert max(row) <= TOLERANCE[precision]


def test_the_comparison_can_fail(alone: Any) -> None:
    """The steps change the loss, and the numbers tell architectures, precisions and objectives apart."""
    for metrics in alone.values():
        assert all(m["grad_norm"] > 0.001 for m in metrics)
        assert len({m["loss"] for m in metrics}) == len(metrics)
    assert len({metrics[0]["loss"] for metrics in alone.values()}) == len(alone)
    for arch in tiny.ARCHITECTURES:
        fp32, bf16 = (alone[arch, precision, "sft"][-1]["loss"] for precision in ("fp32", "bf16"))
        assert fp32 != pytest.approx(bf16, abs=1e-5)
