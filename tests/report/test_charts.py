"""Charts as SVG: deterministic, labelled, small, with running means that ignore gaps."""

import math

import numpy as np

from fleming_nemo.report.charts import Bar, Line, Point, accuracy_bars, running_mean, step_chart


def test_bars_show_values_and_gaps():
    bars = [Bar("base", "Base model", 0.25, (0.2, 0.3)), Bar("sft", "SFT", None, None)]
    svg = accuracy_bars("bars", bars, chance=0.22)
    for text in ("25.0%", "not run yet", "guessing 22.0%"):
        assert f">{text}</text>" in svg
    assert 'aria-label="Accuracy of every stage: Base model 25.0%; SFT not run yet"' in svg


def test_a_stage_without_interval_or_chance_is_drawn():
    assert ">100.0%</text>" in accuracy_bars("bars", [Bar("sft", "SFT", 1.0, None)], chance=None)


def test_names_keep_ids_apart_and_bytes_equal():
    line = Line("sft", [1, 2, 3], [3.0, 2.0, 1.0])
    first, again, other = (step_chart(name, [line]) for name in ("loss", "loss", "other"))
    assert first == again
    assert 'id="loss-figure_1"' in first
    assert 'id="other-figure_1"' in other


def test_a_long_run_stays_small():
    steps = np.arange(50_000)
    svg = step_chart("long", [Line("sft", steps, np.random.default_rng(0).random(50_000))])
    assert len(svg) < 40_000


def test_one_step_and_one_point_are_enough():
    svg = step_chart("one", [Line("grpo_stage1", [1], [0.5])], points=[Point("sft", 0, 0.4, (0.4, 0.4))], percent=True)
    assert svg.startswith("<svg")


def test_a_running_mean_keeps_gaps_and_leaves_them_out_of_its_neighbours():
    mean = running_mean(np.array([1.0, math.nan, 3.0, 5.0]), window=3)
    assert math.isnan(mean[1])
    assert mean[[0, 2, 3]].tolist() == [1.0, 4.0, 4.0]
