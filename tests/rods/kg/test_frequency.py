"""Frequencies: what they say about the share of patients."""

import pytest

from fleming_nemo.rods.kg.frequency import absent, combined, parse, wilson


def test_one_patient_is_not_always():
    low, high = wilson(1, 1)
    assert low == pytest.approx(0.2065, abs=1e-3) and high == 1


def test_wilson_against_published_figures():
    # Newcombe 1998, table I: 81/263 -> 0.2553 to 0.3662 (method 3)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize("text", ["0/0", "5/4", "120%", "often", "HP:0000118", "-1/4"])
def test_what_is_no_frequency(text):
    with pytest.raises(ValueError, match="expected n/m"):
        parse(text)


def test_combined():
    assert combined([None, None]) is None
    assert combined([(1, 4), (3, 4)]) == wilson(4, 8)
    assert combined([(0.3, 0.79), parse("90%")]) == (0.3, 0.9)


def test_absent():
    assert absent(parse("0/3")) and absent(parse("HP:0040285"))
    assert not absent(parse("1/3")) and not absent(parse("")) and not absent(parse("HP:0040284"))
