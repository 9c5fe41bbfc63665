"""Checkpoints between processes: the same layout goes on bit by bit, another one within fp32's noise."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import work
from harness import Case, Harness, value

SIZES: dict[str, dict[str, Any]] = {"tp2": {"tp": 2}, "dp2": {}, "pp2": {"pp": 2}, "cp2": {"cp": 2}}
SAME = ("tp2", "dp2", "pp2")
OTHER = (("tp2", "dp2"), ("dp2", "tp2"), ("pp2", "dp2"), ("tp2", "pp2"), ("dp2", "cp2"))
ARCH = {"tp2": "qwen3-tiny", "dp2": "qwen2.5-tiny", "pp2": "nano"}
"""Architecture of the checkpoint that a layout saves; nano's tied embedding lies on both pipeline stages."""


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cases = []
    for layout in SAME:
        cfg = tiny.config(ARCH[layout], **SIZES[layout])
        run_dir = tmp_path_factory.mktemp(layout)
        cases.append(Case(f"save {layout}", work.save_midway, (cfg, weights[ARCH[layout]], run_dir)))
        for target in [layout, *(b for a, b in OTHER if a == layout)]:
            cfg = tiny.config(ARCH[layout], **SIZES[target])
            cases.append(Case(f"{layout} to {target}", work.go_on, (cfg, run_dir), after=f"save {layout}"))
    cases.append(
        Case("weights", work.start_from, (tiny.config(ARCH["pp2"], **SIZES["dp2"]), run_dir), after="save pp2")
    )
    harness.run(cases)
    return harness.results


@pytest.mark.parametrize("layout", SAME)
def test_the_same_layout_goes_on_bit_by_bit(layout: str, results: dict[str, Any]) -> None:
    unbroken, resumed = value(results, f"save {layout}"), value(results, f"{layout} to {layout}")
    assert resumed["metrics"] == unbroken["metrics"]
    assert resumed["state"] == unbroken["state"]
    assert unbroken["metrics"][0]["loss"] != unbroken["metrics"][2]["loss"]


@pytest.mark.parametrize(("source", "target"), OTHER)
def test_another_layout_goes_on_within_noise(source: str, target: str, results: dict[str, Any]) -> None:
    """Three steps: an optimizer whose moments or step count got lost would show from the first update on."""
    unbroken, resumed = value(results, f"save {source}"), value(results, f"{source} to {target}")
    for got, expected in zip(resumed["metrics"], unbroken["metrics"], strict=True):
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_weights_alone_start_the_next_stage(results: dict[str, Any]) -> None:
    expected = value(results, "save pp2")["metrics"][0]["loss"]  # of the same samples, before the update
    assert value(results, "weights") == pytest.approx(expected, abs=1e-5)
