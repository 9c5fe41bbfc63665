"""Loss and gradient norm do not depend on how a run is laid out over processes and micro-batches.

Every layout starts from one Hugging Face folder, takes three steps of SFT and three of GRPO (with made-up advantages
and rollout log-probabilities) over the same sequences, and must report what one process reports, in fp32 within 1e-5.

In bf16, where every layout rounds in other places, one step must agree within 5e-3.  `test_parity.py` holds the whole
table: more layouts, eight steps, both precisions.

Not covered: several nodes, NCCL.
"""

from pathlib import Path
from typing import Any

import pytest
import tiny
import work
from harness import Case, Harness, value
from layouts import config, world

from fleming_nemo.config.presets import ARCHS

LAYOUTS = [("qwen2.5-tiny", layout) for layout in ("tp2+sp", "pp2", "cp2", "dp2", "pp2 vp2", "packed tp2+sp")]
LAYOUTS += [("qwen3-tiny", layout) for layout in ("tp2", "tp2+sp cp2", "dp2 overlap", "packed cp2")]
# embedding and output weights are one tensor in it, and on two stages under pipeline parallelism
LAYOUTS += [("nano", layout) for layout in ("tp2 pp2", "pp2 vp2", "packed pp2")]
LAYOUTS += [("llama-tiny", "tp2 dp2")]
MICRO_BATCHES = [("dp2", 1), ("dp2", 4), ("pp2", 4), ("cp2", 4)]
BF16 = ("tp2+sp", "pp2", "packed cp2")
UPDATES = ("packed cp2", "packed tp2+sp", "packed pp2 vp2", "packed dp2 overlap", "tp2")
LOPSIDED = ("tp2", "pp2", "cp2", "dp2", "packed dp2")


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path]) -> dict[str, Any]:
    cases = [Case(f"{a} {n}", work.both_objectives, (config(a, n), weights[a]), world(n)) for a, n in LAYOUTS]
    arch = "qwen2.5-tiny"
    for layout, size in MICRO_BATCHES:
        cfg = config(arch, layout, micro_batch=size)
        cases.append(Case(f"{layout} micro-batch {size}", work.both_objectives, (cfg, weights[arch])))
    for layout in BF16:
        cfg = config(arch, layout, "bf16")
        cases.append(Case(f"bf16 {layout}", work.both_objectives, (cfg, weights[arch], range(1))))
    for layout in UPDATES:
        cases.append(
            Case(f"updates {layout}", work.several_updates, (config(arch, layout), weights[arch]), world(layout))
        )
    for layout in LOPSIDED:
        cases.append(Case(f"lopsided {layout}", work.lopsided, (config(arch, layout), weights[arch])))
    for layout in ("tp2", "dp2"):
        cases.append(Case(f"random {layout}", work.random_start, (config(arch, layout),)))
    harness.run(cases)
    return harness.results


@pytest.fixture(scope="module")
def alone(weights: dict[str, Path]) -> dict[tuple[str, str], work.Metrics]:
    """What one process reports, by architecture and objective."""
    return {
        (arch, kind): tiny.train(tiny.engine(tiny.config(arch), folder), kind)
        for arch, folder in weights.items()
        for kind in ("sft", "grpo")
    }


@pytest.fixture(scope="module")
def updates_alone(weights: dict[str, Path]) -> dict[str, work.Metrics]:
    """What one process reports."""
    return work.updates_of_a_batch(tiny.config(), weights["qwen2.5-tiny"])


def assert_equal(got: work.Metrics, expected: work.Metrics) -> None:
    for step, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert g.keys() == e.keys()
        for name in e:
            tolerance = 1e-5 if name in ("loss", "grad_norm") else 1e-4
            assert g[name] == pytest.approx(e[name], rel=tolerance, abs=tolerance), f"{name} of step {step}"


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize(("arch", "layout"), LAYOUTS)
def test_layout(arch: str, layout: str, kind: str, results: dict[str, Any], alone: Any) -> None:
    assert_equal(value(results, f"{arch} {layout}")[kind], alone[arch, kind])


@pytest.mark.parametrize("layout", UPDATES)
def test_several_updates_of_a_batch(
    layout: str, results: dict[str, Any], updates_alone: dict[str, work.Metrics]
) -> None:
    """Ratios of tokens and of whole responses, clipping, a reference, truncated importance sampling."""
    for name, expected in updates_alone.items():
        assert_equal(value(results, f"updates {layout}")[name], expected)
        assert all(row["clipped"] > 0 and row["reference_kl"] > 0 for row in expected[1:])


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize(("layout", "size"), MICRO_BATCHES)
def test_micro_batches_of_several_ranks(layout: str, size: int, kind: str, results: dict[str, Any], alone: Any) -> None:
    assert_equal(value(results, f"{layout} micro-batch {size}")[kind], alone["qwen2.5-tiny", kind])


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize("size", [1, 3, 4, 8])
@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny"])
def test_micro_batches_of_one_process(arch: str, size: int, kind: str, alone: Any, weights: dict[str, Path]) -> None:
    engine = tiny.engine(tiny.config(arch, micro_batch=size), weights[arch])
    assert_equal(tiny.train(engine, kind), alone[arch, kind])


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize("size", [48, 96, 1000])
def test_packs_of_one_process(size: int, kind: str, alone: Any, weights: dict[str, Path]) -> None:
    """From packs that hold hardly more than one sequence to one pack of all."""
    cfg = tiny.config("qwen3-tiny")
    cfg.train.pack_tokens = size
    assert_equal(tiny.train(tiny.engine(cfg, weights["qwen3-tiny"]), kind), alone["qwen3-tiny", kind])


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize("layout", BF16)
def test_bf16(layout: str, kind: str, results: dict[str, Any], weights: dict[str, Path]) -> None:
    cfg = tiny.config("qwen2.5-tiny", precision="bf16")
    (expected,) = tiny.train(tiny.engine(cfg, weights["qwen2.5-tiny"]), kind, range(1))
    (got,) = value(results, f"bf16 {layout}")[kind]
    assert got["loss"] == pytest.approx(expected["loss"], rel=5e-3)
    assert got["grad_norm"] == pytest.approx(expected["grad_norm"], rel=5e-3)


@pytest.mark.parametrize("layout", LOPSIDED)
def test_ranks_with_nothing_to_train(layout: str, results: dict[str, Any], weights: dict[str, Path]) -> None:
    engine = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    batches = tiny.batches(engine.cfg, tiny.lopsided_samples())
    expected = [engine.train_step(batches, tiny.objective_of(kind), 1e-3) for kind in ("sft", "grpo", "sft")]
    assert_equal(value(results, f"lopsided {layout}"), expected)


def test_random_weights_do_not_depend_on_the_layout(results: dict[str, Any]) -> None:
    assert value(results, "random tp2") == pytest.approx(value(results, "random dp2"), abs=1e-5)


def test_the_comparison_can_fail(alone: Any, weights: dict[str, Path]) -> None:
    """The steps change the loss, and the metrics tell the architectures, objectives and batches apart."""
    for metrics in alone.values():
        assert all(m["grad_norm"] > 0.001 for m in metrics)
    engine = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    same = [engine.train_step(tiny.batches(engine.cfg, tiny.samples()), tiny.objective_of("sft"), 2e-3) for _ in "abc"]
    assert same[0]["loss"] - same[2]["loss"] > 0.05
    assert ARCHS["nano"].tied
    assert len({metrics[0]["loss"] for metrics in alone.values()}) == len(alone)
