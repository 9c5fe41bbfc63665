"""Loggers say what metrics.jsonl says, once, over restarts too."""

import json
import time

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.experiment import sinks
from fleming_nemo.experiment.fields import ExpManager
from fleming_nemo.experiment.follow import follow, numbers, send


class Heard:
    """A sink that remembers."""

    name = "heard"

    def __init__(self):
        self.steps = []
        self.closed = self.finished = False

    def write(self, step, values):
        self.steps.append((step, values["loss"]))

    def close(self, finished):
        self.closed, self.finished = True, finished


class Down(Heard):
    """One that cannot be reached for its first `times` rows."""

    name = "down"

    def __init__(self, times):
        super().__init__()
        self.times = times

    def write(self, step, values):
        if self.times:
            self.times -= 1
            raise ConnectionError("nobody there")
        super().write(step, values)


def write(folder, steps, partial=""):
    lines = [json.dumps({"step": n, "stage": "sft", "loss": float(n)}) + "\n" for n in steps]
    (folder / "metrics.jsonl").write_text("".join(lines) + partial)


def test_each_step_once_also_after_a_restart(tmp_path):
    """Steps 3 and 4 are lost with the checkpoint and taken again; 5 was written when nobody listened."""
    first, second = Heard(), Heard()
    write(tmp_path, [1, 2, 3, 4])
    send(tmp_path, [first])
    write(tmp_path, [1, 2])  # the run goes on from the checkpoint of step 2
    send(tmp_path, [second])
    write(tmp_path, [1, 2, 3, 4, 5])
    send(tmp_path, [second])
    assert first.steps == [(n, float(n)) for n in (1, 2, 3, 4)]
    assert second.steps == [(5, 5.0)]


def test_a_line_that_is_still_written_waits(tmp_path):
    heard = Heard()
    write(tmp_path, [1], partial='{"step": 2, "lo')
    send(tmp_path, [heard])
    assert heard.steps == [(1, 1.0)]


def test_a_sink_that_comes_later_gets_all(tmp_path):
    first, later = Heard(), Heard()
    later.name = "later"
    write(tmp_path, [1, 2])
    send(tmp_path, [first])
    send(tmp_path, [first, later])
    assert (len(first.steps), len(later.steps)) == (2, 2)


def test_following_a_run_that_fails(tmp_path):
    heard = Heard()
    with pytest.raises(RuntimeError), follow(tmp_path, [heard], pause_s=0.01):
        write(tmp_path, [1])
        until = time.monotonic() + 10
        while not heard.steps and time.monotonic() < until:
            time.sleep(0.01)
        assert heard.steps == [(1, 1.0)]
        write(tmp_path, [1, 2])
        raise RuntimeError
    assert heard.steps == [(1, 1.0), (2, 2.0)]
    assert heard.closed and not heard.finished


def test_a_logger_that_is_away_for_a_while_gets_its_rows_later(tmp_path, capsys):
    heard, down = Heard(), Down(times=1)
    with follow(tmp_path, [down, heard], pause_s=0.01):
        write(tmp_path, [1, 2])
        until = time.monotonic() + 10
        while not down.steps and time.monotonic() < until:
            time.sleep(0.01)
    assert down.steps == heard.steps == [(1, 1.0), (2, 2.0)]
    assert down.finished and heard.finished
    assert capsys.readouterr().err.count("down takes no rows for now (nobody there)") == 1


def test_a_logger_that_stays_away_is_named_at_the_end(tmp_path):
    heard, down = Heard(), Down(times=-1)
    with pytest.raises(UserError, match="complete, but down .*nobody there"), follow(tmp_path, [down, heard]):
        write(tmp_path, [1, 2])
    assert heard.steps == [(1, 1.0), (2, 2.0)]
    assert heard.finished
    again = Down(times=0)
    assert send(tmp_path, [again]) == {}
    assert again.steps == [(1, 1.0), (2, 2.0)]


def test_a_run_that_fails_fails_by_its_own_error(tmp_path, capsys):
    with pytest.raises(RuntimeError, match="mine"), follow(tmp_path, [Down(times=-1)]):
        write(tmp_path, [1])
        raise RuntimeError("mine")
    assert "down has not had every row" in capsys.readouterr().err


def test_numbers_of_a_row():
    row = {"step": 3, "stage": "sft", "loss": 1.5, "skipped": 0, "grad_norm": None, "seconds": {"update": 2.0}}
    assert numbers(row) == {"loss": 1.5, "skipped": 0.0, "seconds.update": 2.0}


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sinks.importlib, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(UserError, match="create_mlflow_logger needs mlflow"):
        sinks.asked_for(ExpManager(create_tensorboard_logger=False, create_mlflow_logger=True), tmp_path)
