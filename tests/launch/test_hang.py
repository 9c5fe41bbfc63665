"""Runs that hang end with exit code 75 and say where their ranks were; the training is a stand-in."""

import json
import os
import signal

import pytest
from recipe_process import is_alive, run, start, wait_for

from fleming_nemo.launch import hang, markers

SMALL = ("sft_7b", "--tiny")
SOON = "train.hang_minutes=0.05"
ALONE = ("parallel.tp=1", "parallel.sequence_parallel=false", "parallel.dp=1")


def failure_of(folder):
    return json.loads((folder / "FAILED.json").read_text())


def stacks_of(folder, rank):
    return (folder / "logs" / "attempt_1" / f"stacks_rank_{rank}.txt").read_text()


@pytest.mark.slow
def test_the_rank_that_the_others_wait_for_is_named(tmp_path):
    folder = tmp_path / "run"
    done = run(*SMALL, SOON, f"run_dir={folder}", stand_in="asleep")
    assert done.returncode == 75, done.stderr
    first, *places = done.stderr.splitlines()
    assert first.startswith("error: the run hung: rank ") and " made no progress for " in first
    assert first.endswith(" s in step 7 (generate)")
    assert len(places) == 3 and places[2] == f"stacks in {folder}/logs/attempt_1/stacks_rank_*.txt"
    sleeps, waits = sorted(places[:2], key=lambda line: "rank 1" not in line)
    assert sleeps.startswith("  rank 1: run (stand_in/sitecustomize.py:")
    assert waits.startswith("  rank 0: barrier (distributed/distributed_c10d.py:")
    assert "in barrier" in stacks_of(folder, 0) and "in barrier" not in stacks_of(folder, 1)
    failure = failure_of(folder)
    assert (failure["kind"], failure["exit_code"], failure["step"]) == ("hang", 75, 7)
    assert failure["cause"].startswith("no progress for ") and failure["cause"].endswith(" in step 7 (generate)")
    heartbeat = json.loads((folder / "heartbeat.json").read_text())
    assert failure["last_heartbeat"] >= heartbeat["time"] - 0.1

    again = run(*SMALL, f"run_dir={folder}", stand_in="ok")
    assert again.returncode == 0, again.stderr
    assert not (folder / "FAILED.json").exists()
    assert not list((folder / "logs" / "attempt_2").glob("stacks_*"))


@pytest.mark.slow
def test_a_stopped_rank_ends_the_run(tmp_path):
    """As a frozen node would: its peer is inside a collective operation that never returns."""
    folder = tmp_path / "run"
    launcher = start(*SMALL, SOON, f"run_dir={folder}", stand_in="together")
    wait_for(lambda: all((folder / f"together_{rank}").exists() for rank in (0, 1)))
    pids = [int((folder / f"pid_{rank}").read_text()) for rank in (0, 1)]
    os.kill(pids[1], signal.SIGSTOP)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 75, errors
    assert errors.startswith("error: the run hung: rank 0 made no progress for ")
    assert "  rank 0: barrier (distributed/distributed_c10d.py:" in errors
    assert "  rank 1: wrote no stacks (the process was stopped or gone, " in errors
    assert (failure_of(folder)["kind"], failure_of(folder)["rank"]) == ("hang", 0)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.slow
def test_a_rank_that_blocks_the_interpreter_ends_too(tmp_path):
    """No thread of Python runs in it any more, and no other rank is there to notice."""
    folder = tmp_path / "run"
    done = run(*SMALL, SOON, *ALONE, f"run_dir={folder}", stand_in="blocked")
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith(
        "error: the run hung: rank 0 made no progress, with the interpreter blocked\n  rank 0: "
    )
    assert "rank 0: run (stand_in/sitecustomize.py:" in done.stderr
    assert "sitecustomize.py" in stacks_of(folder, 0) and stacks_of(folder, 0).count("Timeout") == 1
    assert (failure_of(folder)["kind"], failure_of(folder)["exit_code"]) == ("hang", 75)


def test_a_run_in_good_health_leaves_a_heartbeat_and_no_stacks(tmp_path):
    folder = tmp_path / "run"
    done = run(*SMALL, f"run_dir={folder}", stand_in="ok")
    assert done.returncode == 0, done.stderr
    heartbeat = json.loads((folder / "heartbeat.json").read_text())
    assert heartbeat.keys() == {"step", "phase", "progress", "time", "step_seconds"}
    assert not list(folder.rglob("stacks_*"))


def test_deterministic_runs_get_their_environment(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    done = run(*SMALL, "train.deterministic=true", f"run_dir={folder}", stand_in="ok", NCCL_ALGO="^NVLS")
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        place = json.loads((folder / f"rank_{rank}.json").read_text())
        names = ("CUBLAS_WORKSPACE_CONFIG", "NCCL_ALGO", "NVTE_ALLOW_NONDETERMINISTIC_ALGO")
        assert [place[name] for name in names] == [":4096:8", "^NVLS", "0"]


def stacks(*frames, others=()):
    """What faulthandler writes of a main thread (innermost frame first) and of other threads."""
    text = "process 5 on here, main thread 0x00000000000000aa\nno progress for 30 minutes in step 3 (train)\n"
    for thread, lines in (("Current thread 0x00000000000000bb", others), ("Thread 0x00000000000000aa", frames)):
        text += f"{thread} (most recent call first):\n" + "".join(f"  File {line}\n" for line in lines) + "\n"
    return text


def test_ranks_at_one_place_share_a_line(tmp_path):
    waiting = (
        '"/lib/torch/distributed/c10d.py", line 9 in all_reduce',
        '"/x/fleming_nemo/parallel/cpu_backend.py", line 44 in __torch_function__',
        '"/x/fleming_nemo/training/engine.py", line 5 in _run',
    )
    reading = ('"/lib/numpy/core/memmap.py", line 2 in __getitem__', '"/x/fleming_nemo/data/corpus.py", line 7 in read')
    for rank in (0, 1, 2, 4, 6):
        text = stacks(*(reading if rank == 4 else waiting), others=('"/lib/threading.py", line 1 in wait',))
        (tmp_path / f"stacks_rank_{rank}.txt").write_text(text)
    (tmp_path / "stacks_rank_5.txt").write_text("process 5 on here, main thread 0x00000000000000aa\n")
    assert hang.report(tmp_path, 7) == [
        "rank 4: __getitem__ (core/memmap.py:2), called from read (data/corpus.py:7)",
        "ranks 3, 5: wrote no stacks (the process was stopped or gone, or still making progress)",
        "ranks 0-2, 6: all_reduce (distributed/c10d.py:9), called from _run (training/engine.py:5)",
    ]


def test_the_first_rank_to_notice_is_the_one_on_record(tmp_path):
    first = markers.write_failure(tmp_path, 5, "no progress for 30 minutes in step 8 (train)", exit_code=75, step=8)
    assert (first["kind"], first["step"]) == ("hang", 8)
    assert markers.write_failure(tmp_path, 0, "ended with exit code 1", exit_code=1) == first
    assert markers.read_failure(tmp_path) == first
    markers.clear_failure(tmp_path)
    assert markers.read_failure(tmp_path) is None
