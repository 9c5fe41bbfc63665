"""The comparison with published measurements, and the page that shows it."""

from pathlib import Path

import pytest

from fleming_nemo.planner import published, scaling

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text()
RUNS = published.runs()


def test_three_runs_calibrate_one_constant_each():
    calibrating = [run for run in RUNS if run.calibrates]
    assert sorted(run.calibrates for run in calibrating) == ["DECODE_HBM", "MATMUL_BF16", "MATMUL_FP8"]
    assert all(abs(run.error) < 0.005 for run in calibrating)
    assert len(RUNS) - len(calibrating) >= 12


def test_training_of_nvidias_stack_is_predicted_within_a_tenth():
    predicted = [r for r in RUNS if not r.calibrates and r.name.startswith("Llama 3") and "torchtitan" not in r.source]
    assert len(predicted) == 5
    assert max(abs(run.error) for run in predicted) < 0.1


def test_grpo_is_predicted_within_a_quarter():
    predicted = [run for run in RUNS if not run.calibrates and run.name.startswith("GRPO")]
    assert len(predicted) == 5
    assert max(abs(run.error) for run in predicted) < 0.25


def test_the_page_shows_what_the_code_gives():
    """After a change: `python -m fleming_nemo.planner.published`, and the same with `scaling`, print the tables."""
    assert published.table() in PAGE
    assert published.assumptions() in PAGE


@pytest.mark.parametrize("arch", scaling.MODELS)
@pytest.mark.parametrize("batch", scaling.TABLES)
def test_the_page_shows_the_layouts_that_the_search_finds(arch, batch):
    assert scaling.table(arch, batch) in PAGE
