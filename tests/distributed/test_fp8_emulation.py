"""Emulated fp8 over tensor-parallel ranks: as real recipes, the ones whose scales are local do not depend on the split.

A sum of other order can move a value over the edge between two float8 numbers, so the agreement is not that of fp32.
"""

from typing import Any

import fp8_work
import pytest
import tiny
import torch
from harness import Case, Harness, value

pytestmark = pytest.mark.slow

SPLITS: dict[str, dict[str, Any]] = {"tp2": {"tp": 2}, "tp2+sp": {"tp": 2, "sequence_parallel": True}}
INDEPENDENT = ("blockwise", "mxfp8", "delayed")
"""Scales of blocks inside a rank's part, or of the largest value over all ranks."""


@pytest.fixture(scope="module")
def results(harness: Harness) -> dict[str, Any]:
    cases = [
        Case(f"fp8 {recipe} {split}", fp8_work.train, (tiny.config(**SPLITS[split]), recipe))
        for recipe, split in [*((r, "tp2") for r in (*INDEPENDENT, "tensorwise")), ("blockwise", "tp2+sp")]
    ]
    harness.run(cases)
    return harness.results


@pytest.fixture(scope="module")
def alone(one_process: None) -> dict[str, Any]:
    """What one process reports."""
    made = {}
    for recipe in (*INDEPENDENT, "tensorwise"):
        torch.manual_seed(7)  # the ranks' seed: the same random weights
        made[recipe] = fp8_work.steps(tiny.config(), recipe)
    return made


@pytest.mark.parametrize(("recipe", "split"), [*((r, "tp2") for r in INDEPENDENT), ("blockwise", "tp2+sp")])
def test_the_split_does_not_show(recipe: str, split: str, results: dict[str, Any], alone: dict[str, Any]) -> None:
    got, expected = value(results, f"fp8 {recipe} {split}"), alone[recipe]
    for step, (g, e) in enumerate(zip(got, expected, strict=True)):
        assert g["loss"] == pytest.approx(e["loss"], abs=1e-3), f"step {step}"
        assert g["grad_norm"] == pytest.approx(e["grad_norm"], rel=1e-3), f"step {step}"


def test_a_scale_of_each_rank_does(results: dict[str, Any], alone: dict[str, Any]) -> None:
    """The largest value of a rank's part is another one than that of the whole."""
    got, expected = value(results, "fp8 tensorwise tp2")[0]["loss"], alone["tensorwise"][0]["loss"]
    assert got == pytest.approx(expected, abs=0.05)
    assert abs(got - expected) > 2e-3
