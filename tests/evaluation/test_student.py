import random

import pytest

from fleming_nemo.evaluation.student import mean_interval, t_quantile


@pytest.mark.parametrize(
    "freedom, quantile",
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_the_printed_tables(freedom, quantile):
    assert t_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


def test_one_value_has_no_interval_and_equal_values_an_empty_one():
    assert mean_interval([0.3]) == (0.3, None)
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.0)


def test_the_interval_holds_the_truth_19_times_out_of_20():
    noise = random.Random(0)
    held = 0
    for _ in range(2000):
        mean, half = mean_interval([noise.gauss(7, 3) for _ in range(4)])
        held += abs(mean - 7) <= half
    assert 0.935 < held / 2000 < 0.965
