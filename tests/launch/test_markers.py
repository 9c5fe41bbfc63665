import json

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import ParallelConfig, RunConfig
from fleming_nemo.launch import machine, markers, worker
from fleming_nemo.launch.stopwatch import Stopwatch


def test_the_first_failure_stays(tmp_path):
    """A peer's error is only a consequence of it."""
    first = markers.write_failure(tmp_path, 3, ValueError("bad token"), exit_code=1)
    second = markers.write_failure(tmp_path, 0, "killed by SIGTERM", exit_code=143)
    assert first == second == json.loads((tmp_path / "FAILED.json").read_text())
    assert (first["cause"], first["kind"], first["rank"]) == ("ValueError: bad token", "crash", 3)
    assert [p.name for p in tmp_path.iterdir()] == ["FAILED.json"]


def test_a_failure_tells_the_last_step_and_heartbeat(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "lo')
    failure = markers.write_failure(tmp_path, 0, UserError("no."), exit_code=2)
    assert (failure["step"], failure["last_heartbeat"]) == (2, metrics.stat().st_mtime)
    assert (failure["kind"], failure["cause"]) == ("user", "no.")


def test_done_takes_the_place_of_failed(tmp_path):
    markers.write_failure(tmp_path, 0, "killed", exit_code=137)
    markers.write_done(tmp_path, {"accuracy": 0.5})
    assert markers.read_done(tmp_path) == {"accuracy": 0.5}
    assert not (tmp_path / "FAILED.json").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "x"), OSError("save: [Errno 28] No space")])
def test_a_full_disk_is_the_users_to_repair(tmp_path, monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(worker.importlib, "import_module", fail)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UserError, match="^the disk is full .*; free some, and the same command goes on"):
        worker.run_worker(RunConfig(run_dir=str(tmp_path)))
    assert json.loads((tmp_path / "FAILED.json").read_text())["kind"] == "user"


def test_a_stopwatch_adds_up_and_saves_while_it_runs(tmp_path):
    file = tmp_path / "state.json"
    file.write_text('{"wall_seconds": 100}')
    with Stopwatch(file, every_s=0.01) as clock:
        while json.loads(file.read_text())["wall_seconds"] == 100:
            pass
        assert 100 < json.loads(file.read_text())["wall_seconds"] <= clock.seconds() < 160
    assert json.loads(file.read_text())["wall_seconds"] > 100


@pytest.mark.parametrize(
    "parallel, gpus, processes",
    [
        (ParallelConfig(tp=2, dp=3), 8, 6),  # what is said counts
        (ParallelConfig(tp=2), 8, 8),  # else all GPUs
        (ParallelConfig(tp=2), 0, 2),  # else one copy of the model
    ],
)
def test_number_of_processes(parallel, gpus, processes):
    assert machine.num_processes(RunConfig(parallel=parallel), gpus) == processes


def test_small_models_go_to_the_cpu_where_gpus_do_not_suffice():
    small, large = RunConfig(), RunConfig()
    small.model.arch = "nano"
    assert machine.runs_on_gpus(small, processes=2, gpus=2)
    assert not machine.runs_on_gpus(small, processes=2, gpus=1)
    with pytest.raises(UserError, match="^8 processes need a GPU each here, but this machine has 4"):
        machine.runs_on_gpus(large, processes=8, gpus=4)
