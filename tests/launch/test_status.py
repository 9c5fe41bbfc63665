"""`fleming status` and `fleming logs` on run directories as runs leave them."""

import json
import os
import subprocess
import sys
import time

import pytest

from fleming_nemo.cli import main
from fleming_nemo.launch import attempts, scheduler, status
from fleming_nemo.launch.attempts import Attempt
from fleming_nemo.launch.status_text import render


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of 100 steps that is in step 41, in its second attempt, on this machine."""
    monkeypatch.setattr(scheduler, "ask", lambda *_, **__: None)
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    folder, now = tmp_path / "run", time.time()
    (folder / "logs" / "attempt_2").mkdir(parents=True)
    (folder / "config.yaml").write_text("task: sft\ntrain:\n  steps: 100\n")
    rows = [{"step": n, "loss": 2.0 - n / 100, "tokens_per_second": 1234.0} for n in range(1, 41)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 41, "lo')
    beat = {"step": 41, "phase": "train", "progress": now, "time": now, "step_seconds": 3.0}
    (folder / "heartbeat.json").write_text(json.dumps(beat))
    first = Attempt(1, now - 900, "vm", 1, 0, end=now - 300, last_step=20, cause="hang", told="rank 1 made no progress")
    second = Attempt(2, now - 120, os.uname().nodename, os.getpid(), 20)
    attempts.write(folder, [first, second])
    return folder


def test_a_run_that_goes_on(run):
    now = status.of(run)
    assert (now.state, now.step, now.steps, now.score) == ("running", 40, 100, {"loss": 1.6})
    assert (now.tokens_per_second, now.step_seconds, now.eta_s, now.phase) == (1234.0, 3.0, 180.0, "train")
    first, numbers, *rows = render(now).splitlines()
    assert first.startswith(f"{run}: running, step 40 of 100, train (on ")
    assert "loss 1.6, 1,234 tokens/s, 3 s a step, about 3 min left" in numbers
    assert rows[0].endswith("10 min steps 1-20: hang (rank 1 made no progress)")
    assert rows[1].endswith(": goes on")


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        ("JobId=7 JobState=RUNNING", "running", "job 7 on n1, n2"),
        ("JobId=7 JobState=PENDING Reason=Priority", "queued", "job 7 waits in the queue (Priority)"),
        ("JobId=7 JobState=NODE_FAIL", "stopped", "job 7 is NODE_FAIL; the next submission goes on from the newest"),
    ],
)
def test_of_a_job_slurm_knows_more(run, monkeypatch, answer, state, detail):
    monkeypatch.setattr(scheduler, "ask", lambda *_, **__: answer)
    attempts.write(run, [Attempt(1, time.time(), "n1", 1, 0, job="7", nodes=["n1", "n2"])])
    found = status.of(run)
    assert found.state == state and found.detail.startswith(detail)


def test_a_job_that_was_submitted_and_has_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(scheduler, "ask", lambda *_, **__: "JobId=12 JobState=PENDING Reason=Resources")
    sent = {"job": "12", "cluster": "slurm", "folder": "jobs", "time": time.time()}
    (tmp_path / "submitted.json").write_text(json.dumps(sent))
    found = status.of(tmp_path)
    assert (found.state, found.detail) == ("queued", "job 12 waits in the queue (Resources)")
    assert render(found).startswith(f"{tmp_path}: queued, step 0 (job 12 waits")


def test_a_run_on_another_machine_is_judged_by_its_heartbeat(run):
    attempts.write(run, [Attempt(1, time.time() - 900, "far", 1, 0)])
    assert status.of(run).state == "running"
    beat = json.loads((run / "heartbeat.json").read_text())
    (run / "heartbeat.json").write_text(json.dumps(beat | {"time": time.time() - 600}))
    found = status.of(run)
    assert found.state == "stopped" and found.detail == "without a word, after a last sign on far 10 minutes ago"


def test_a_run_that_was_given_up_says_why(run):
    rows = [Attempt(n, 0.0, "vm", 1, 40, end=1.0, last_step=40, cause="crash", told="cucumber") for n in (1, 2, 3)]
    attempts.write(run, rows)
    found = status.of(run)
    assert found.state == "stopped"
    assert found.detail.startswith("for good: 3 attempts in a row brought no step beyond step 40, the last one for: cr")
    (run / "DONE").write_text('{"stage": "sft"}')
    assert status.of(run).state == "finished"


def test_the_command_needs_no_torch_and_knows_a_demo_by_its_stages(run):
    os.utime(run / "config.yaml")
    code = (
        "import sys\nfrom fleming_nemo.cli import main\n"
        "try:\n    main(['status', *sys.argv[1:]])\n"
        "finally:\n    assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(run.parent), "--json"]
    (found,) = json.loads(subprocess.check_output(command, timeout=60))
    assert (found["run"], found["step"]) == (str(run), 40)
    assert [row["cause"] for row in found["attempts"]] == ["hang", None]


def test_watching_ends_with_the_run(run, capsys, monkeypatch):
    (run / "DONE").write_text('{"stage": "sft"}')
    with pytest.raises(SystemExit, match="0"):
        main(["status", str(run), "--watch"])
    assert "finished, step 40 of 100" in capsys.readouterr().out


def test_logs_of_a_rank(run, capsys):
    (run / "logs" / "attempt_1").mkdir()
    for attempt, text in ((1, "old\n"), (2, "new\n")):
        (run / "logs" / f"attempt_{attempt}" / "rank_0.log").write_text(text)
    (run / "DONE").write_text("{}")
    for words, expected in (([], "new\n"), (["--attempt", "1"], "old\n"), (["-f"], "new\n")):
        with pytest.raises(SystemExit, match="0"):
            main(["logs", str(run), *words])
        assert capsys.readouterr().out == expected


def test_following_goes_over_into_the_next_attempt(run):
    first, third = (run / "logs" / f"attempt_{n}" / "rank_0.log" for n in (2, 3))
    first.write_text("one\n")
    command = [sys.executable, "-u", "-m", "fleming_nemo.cli", "logs", str(run), "-f"]
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert following.stdout.readline() == "one\n"
    with open(first, "a") as log:
        log.write("two\n")
    assert following.stdout.readline() == "two\n"
    third.parent.mkdir()
    third.write_text("three\n")
    assert [following.stdout.readline(), following.stdout.readline()] == [f"--- {third}\n", "three\n"]
    (run / "DONE").write_text("{}")
    assert following.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["status", "{}/none"], "error: {}/none is not a directory; give the run_dir of a run\n"),
        (["logs", "{}", "--rank", "5"], "error: attempt 2 of {} has no log of rank 5; it has those of ranks none\n"),
        (["logs", "{}", "--attempt", "9"], "error: {} has no attempt 9; it has 2\n"),
        (["status", "{}/logs"], "error: {}/logs holds no run: neither attempts.jsonl nor metrics.jsonl is there\n"),
    ],
)
def test_mistakes_are_one_sentence(run, capsys, words, sentence):
    with pytest.raises(SystemExit, match="2"):
        main([word.format(run) for word in words])
    assert capsys.readouterr().err == sentence.format(run, run)
