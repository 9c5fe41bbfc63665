"""Lines in a log where there is no terminal for a bar."""

import pytest

from fleming_nemo.training import progress
from fleming_nemo.training.progress import Steps, speeds

pytestmark = pytest.mark.usefixtures("one_process")


def test_the_last_step_always_has_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    steps = Steps("sft", first=2, steps=5)
    for step in steps:
        steps.show(step + 1, loss=f"{step}", **speeds({"tokens_per_second": 12345, "mfu": 0.4123}))
    out, err = capfd.readouterr()
    assert err == ""  # no bar
    (line,) = out.splitlines()
    assert line.split(" ", 1)[1] == "sft step 5/5: loss=4 tok_s=12345 mfu=41.2% left=00:00"


def test_a_line_now_and_then(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    steps = Steps("grpo", first=0, steps=100)
    for step in steps:
        clock[0] += 4
        steps.show(step + 1, reward="0.5")
    told = [line.split(" ", 1)[1] for line in capfd.readouterr().out.splitlines()]
    assert len(told) == 34
    assert told[:2] == ["grpo step 3/100: reward=0.5 left=06:28", "grpo step 6/100: reward=0.5 left=06:16"]


def test_the_share_of_the_peak_is_told_only_where_it_is_known() -> None:
    assert speeds({"tokens_per_second": 5.0}) == {"tok_s": "5"}
