"""Starting and ending the processes of a run; the training itself is a stand-in (see stand_in/sitecustomize.py)."""

import json
import os
import signal

import pytest
from recipe_process import is_alive, run, start, wait_for

from fleming_nemo.launch import attempts

SMALL = ("sft_7b", "--tiny")


def workers(folder):
    """Process ids of the two ranks, once both have begun."""
    files = [folder / "pid_0", folder / "pid_1"]
    wait_for(lambda: all(f.exists() and f.read_text() for f in files))
    return [int(f.read_text()) for f in files]


def test_every_rank_gets_its_place(tmp_path):
    done = run(*SMALL, f"run_dir={tmp_path}/run", stand_in="ok", OMP_NUM_THREADS="3")
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / "run" / f"rank_{r}.json").read_text()) for r in (0, 1)]
    assert [r["RANK"] for r in ranks] == [r["LOCAL_RANK"] for r in ranks] == ["0", "1"]
    assert {(r["WORLD_SIZE"], r["LOCAL_WORLD_SIZE"], r["MASTER_ADDR"]) for r in ranks} == {("2", "2", "127.0.0.1")}
    (port,) = {int(r["MASTER_PORT"]) for r in ranks}
    assert 20000 <= port < 30000
    assert {r["OMP_NUM_THREADS"] for r in ranks} == {"3"}


def test_cores_are_shared_out_where_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run(*SMALL, f"run_dir={tmp_path}/run", stand_in="ok")
    threads = json.loads((tmp_path / "run" / "rank_0.json").read_text())["OMP_NUM_THREADS"]
    assert int(threads) == max(1, len(os.sched_getaffinity(0)) // 2)


def test_output_of_rank_0_is_shown_and_all_output_is_kept(tmp_path):
    done = run(*SMALL, f"run_dir={tmp_path}/run", stand_in="ok")
    assert "rank 0 is here" in done.stdout and "rank 1" not in done.stdout
    logs = tmp_path / "run" / "logs" / "latest"
    assert [(logs / f"rank_{r}.log").read_text() for r in (0, 1)] == ["rank 0 is here\n", "rank 1 is here\n"]


def test_a_finished_run_is_not_repeated(tmp_path):
    first = run(*SMALL, f"run_dir={tmp_path}/run", stand_in="ok")
    again = run(*SMALL, f"run_dir={tmp_path}/run", stand_in="crash")
    assert (first.returncode, again.returncode) == (0, 0)
    assert "is finished" in again.stdout
    assert json.loads((tmp_path / "run" / "DONE").read_text()) == {"stage": "sft"}


def test_a_users_mistake_found_by_a_worker_is_one_sentence(tmp_path):
    done = run(*SMALL, f"run_dir={tmp_path}/run", stand_in="user")
    assert (done.returncode, done.stderr) == (2, "error: the corpus has a hole; build it again\n")
    failure = json.loads((tmp_path / "run" / "FAILED.json").read_text())
    assert (failure["kind"], failure["cause"]) == ("user", "the corpus has a hole; build it again")


@pytest.mark.parametrize(
    "what, code, cause",
    [
        ("crash", 1, "RuntimeError: division by cucumber"),
        ("exit", 7, "ended with exit code 7"),
        ("killed", 137, "killed by SIGKILL (out of memory?)"),
    ],
)
def test_the_first_rank_that_fails_ends_the_run(tmp_path, what, code, cause):
    folder = tmp_path / "run"
    done = run(*SMALL, f"run_dir={folder}", stand_in=what)
    assert done.returncode == code
    assert done.stderr.startswith(f"error: rank 1 failed: {cause}\nlast lines of {folder}/logs/attempt_1/rank_1.log:\n")
    assert ("RuntimeError: division by cucumber" in done.stderr.splitlines()[-1]) == (what == "crash")
    failure = json.loads((folder / "FAILED.json").read_text())
    assert (failure["cause"], failure["rank"], failure["kind"], failure["step"]) == (cause, 1, "crash", None)
    assert not (folder / "DONE").exists()
    assert not any(is_alive(pid) for pid in workers(folder))

    again = run(*SMALL, f"run_dir={folder}", stand_in="ok")
    assert again.returncode == 0, again.stderr
    assert not (folder / "FAILED.json").exists()
    assert (folder / "logs" / "latest").resolve().name == "attempt_2"


@pytest.mark.parametrize("whom", ["launcher", "group"])
def test_workers_do_not_outlive_a_killed_launcher(tmp_path, whom):
    folder = tmp_path / "run"
    launcher = start(*SMALL, f"run_dir={folder}", stand_in="wait")
    pids = workers(folder)
    assert all(os.getpgid(pid) == os.getpgid(launcher.pid) for pid in pids)
    (os.kill if whom == "launcher" else os.killpg)(launcher.pid, signal.SIGKILL)
    launcher.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    again = run(*SMALL, f"run_dir={folder}", stand_in="ok")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("name, group", [("SIGINT", True), ("SIGTERM", False)])
def test_ctrl_c_and_terminate_leave_nothing_behind(tmp_path, name, group):
    folder = tmp_path / "run"
    launcher = start(*SMALL, f"run_dir={folder}", stand_in="wait")
    pids = workers(folder)
    (os.killpg if group else os.kill)(launcher.pid, getattr(signal, name))
    out, err = launcher.communicate(timeout=30)
    assert (launcher.returncode, err) == (130, "stopped; the same command goes on from the newest checkpoint\n")
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("name, environ", [("SIGUSR1", {}), ("SIGTERM", {"SLURM_JOB_ID": "7"})])
def test_a_request_to_stop_is_passed_on(tmp_path, name, environ):
    folder = tmp_path / "run"
    launcher = start(*SMALL, f"run_dir={folder}", stand_in="heed", **environ)
    pids = workers(folder)
    os.kill(launcher.pid, getattr(signal, name))
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 85
    assert err.startswith("asked to stop by a signal or the file STOP: ") and err.count("\n") == 1
    assert not any(is_alive(pid) for pid in pids) and not (folder / "FAILED.json").exists()
    (row,) = attempts.read(folder)
    assert (row.cause, row.exit_code, row.job) == ("stopped", 85, environ.get("SLURM_JOB_ID"))

    (folder / "STOP").touch()
    refused = run(*SMALL, f"run_dir={folder}", stand_in="ok")
    assert (refused.returncode, refused.stderr.split("; ")[1]) == (2, "delete that file to go on with it\n")


def test_a_second_run_into_a_directory_in_use_is_refused(tmp_path):
    folder = tmp_path / "run"
    first = start(*SMALL, f"run_dir={folder}", stand_in="wait")
    try:
        pids = workers(folder)
        before = sorted(p.name for p in folder.rglob("*"))
        second = run(*SMALL, f"run_dir={folder}", stand_in="ok")
        assert second.returncode == 2
        assert second.stderr.startswith(f"error: {folder} is in use by process {first.pid} on ")
        assert second.stderr.endswith("; wait for it to end, or give this run another run_dir=...\n")
        assert sorted(p.name for p in folder.rglob("*")) == before
        assert all(is_alive(pid) for pid in pids)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


def test_a_run_directory_with_results_keeps_its_config(tmp_path):
    folder = tmp_path / "run"
    run(*SMALL, f"run_dir={folder}", stand_in="ok")
    before = (folder / "config.yaml").read_text()
    other = run(*SMALL, f"run_dir={folder}", "optim.lr=3e-5", "seed=7", stand_in="ok")
    assert other.returncode == 2
    assert "(seed was 1234 and is now 7; optim.lr was 1e-05 and is now 3e-05)" in other.stderr
    assert (folder / "config.yaml").read_text() == before


def test_a_config_that_led_to_nothing_can_be_corrected(tmp_path):
    folder = tmp_path / "run"
    assert run(*SMALL, f"run_dir={folder}", stand_in="user").returncode == 2
    assert run(*SMALL, f"run_dir={folder}", "optim.lr=3e-5", stand_in="ok").returncode == 0
