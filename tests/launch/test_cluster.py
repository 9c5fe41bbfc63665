"""Ranks that torchrun or srun started; the training is a stand-in (see stand_in/sitecustomize.py)."""

import json
import os
import signal

from recipe_process import start, wait_for

TINY = ("sft_7b", "--tiny")
MEETING = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "20001"}


def ranks(*arguments, stand_in="ok", **environ):
    """Exit codes and errors of the two ranks of one run, as torchrun starts them."""
    started = [
        start(*TINY, *arguments, stand_in=stand_in, **(MEETING | {"RANK": str(r), "LOCAL_RANK": str(r)} | environ))
        for r in (0, 1)
    ]
    try:
        errors = [process.communicate(timeout=60)[1] for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return [process.returncode for process in started], errors


def test_the_same_command_line_is_one_rank_each(tmp_path):
    codes, errors = ranks(f"run_dir={tmp_path}/run")
    assert codes == [0, 0], errors
    assert json.loads((tmp_path / "run" / "DONE").read_text()) == {"stage": "sft"}
    places = [json.loads((tmp_path / "run" / f"rank_{r}.json").read_text()) for r in (0, 1)]
    assert [p["RANK"] for p in places] == ["0", "1"]
    assert ranks(f"run_dir={tmp_path}/run", stand_in="crash")[0] == [0, 0]  # finished: nothing is repeated


def test_a_number_of_processes_that_does_not_fit_is_one_sentence_on_every_rank(tmp_path):
    codes, errors = ranks(f"run_dir={tmp_path}/run", WORLD_SIZE="3")
    assert codes == [2, 2]
    sentence = "error: 3 processes do not divide by parallel.tp * pp * cp = 2 * 1 * 1 = 2; change a size or the number "
    assert all(error.startswith(sentence) for error in errors)
    assert not (tmp_path / "run").exists()


def test_the_run_directory_is_held_by_rank_0(tmp_path):
    first = start(*TINY, f"run_dir={tmp_path}/run", stand_in="wait")
    try:
        wait_for(lambda: (tmp_path / "run" / "pid_0").exists())
        second = start(*TINY, f"run_dir={tmp_path}/run", stand_in="ok", **MEETING, RANK="0", LOCAL_RANK="0")
        _, error = second.communicate(timeout=60)
        assert second.returncode == 2 and " is in use by process " in error
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


def test_the_demo_is_not_for_ranks(tmp_path):
    process = start("demo", "--quick", f"run_dir={tmp_path}/demo", stand_in="ok", **MEETING, RANK="0", LOCAL_RANK="0")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error == "error: the demo starts its own processes; run it once, without torchrun or srun\n"
