"""The gate on the mismatch of rollout engine and trainer, and the verdict of the check at learning rate 0."""

import math

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.grpo.drift import DriftGate
from fleming_nemo.grpo.drift_check import verdict


def steps(gate: DriftGate, kls: list[float], first: int = 1) -> None:
    for step, kl in enumerate(kls, first):
        gate.judge(step, kl, 0.5, writer=True)


def test_three_steps_above_the_limit_stop_the_run() -> None:
    gate = DriftGate(0.02)
    steps(gate, [0.03, 0.03, 0.01, 0.03, 0.03])
    with pytest.raises(UserError, match=r"3.00e-02 per token at step 6 .* above grpo.max_mismatch = 0.02 for 3 steps"):
        steps(gate, [0.03], first=6)


def test_what_is_no_number_counts_as_above() -> None:
    with pytest.raises(UserError, match="nan per token at step 3"):
        steps(DriftGate(0.02), [math.nan] * 3)


def test_five_times_the_first_steps_is_a_warning_once(capsys: pytest.CaptureFixture[str]) -> None:
    gate = DriftGate(0.02)
    steps(gate, [4e-4] * 10 + [1.9e-3])
    assert capsys.readouterr().err == ""
    steps(gate, [2.1e-3, 3e-3], first=12)
    assert capsys.readouterr().err.count("drifts away from the trainer, KL 2.1e-03 per token against 4.0e-04") == 1


def test_a_level_far_below_what_matters_is_no_drift(capsys: pytest.CaptureFixture[str]) -> None:
    steps(DriftGate(0.02), [1e-12] * 10 + [1e-9])
    assert capsys.readouterr().err == ""


def test_a_resumed_gate_counts_on() -> None:
    gate, resumed = DriftGate(0.02), DriftGate(0.02)
    steps(gate, [0.03, 0.03])
    resumed.load_state_dict(gate.state_dict())
    with pytest.raises(UserError, match="for 3 steps"):
        steps(resumed, [0.03], first=3)


@pytest.mark.parametrize(
    ("kls", "flat"),
    [
        ([1e-6, 1.2e-6, 0.9e-6, 1.1e-6], True),
        ([1e-12, 1e-12, 1e-9, 1e-9], True),
        ([1e-6, 2e-6, 4e-6, 8e-6], False),
        ([0.03, 0.03, 0.03, 0.03], False),
        ([1e-6, 1e-6, math.nan, 1e-6], False),
    ],
    ids=["flat", "rounding", "growing", "high", "not a number"],
)
def test_verdict(kls: list[float], flat: bool) -> None:
    assert verdict([{"mismatch_kl": kl, "mismatch_max": 0.1} for kl in kls], limit=0.02)["flat"] is flat
