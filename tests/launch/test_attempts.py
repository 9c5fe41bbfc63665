"""The account of attempts: why each ended, and whether there should be another. Slurm's answers are made up here."""

import json
import os
import time

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch import attempt, attempts, markers, node_report, scheduler
from fleming_nemo.training.watchdog import HUNG

GONE_ON = "JobId=7 JobState=RUNNING Reason=None Restarts=0 PreemptTime=None"


@pytest.fixture
def slurm(monkeypatch):
    """Answers of scontrol by what is asked for; a test changes them."""
    said = {"job": GONE_ON, "node": "NodeName=n1 State=IDLE", "hostnames": "n1\nn2\n"}
    monkeypatch.setattr(scheduler, "ask", lambda _, __, what, *___, **____: said[what])
    return said


def job(restart=0, number=7):
    return {"SLURM_JOB_ID": str(number), "SLURM_RESTART_COUNT": str(restart), "SLURM_JOB_NODELIST": "n[1-2]"}


def steps(folder, last):
    (folder / "metrics.jsonl").write_text("".join(json.dumps({"step": n + 1}) + "\n" for n in range(last)))


def one_more(folder, restart=0, reach=None, code=1, warned=None):
    """An attempt from begin to end: what each of them answered."""
    began = attempt.begin(folder, job(restart))
    if began[0] != attempt.GO:
        return began[:2]
    if reach:
        steps(folder, reach)
    return attempt.end(folder, code, warned, job(restart))


def test_a_row_tells_the_whole_story(tmp_path, slurm):
    steps(tmp_path, 4)
    code, said, row = attempt.begin(tmp_path, job())
    assert (code, said) == (0, "") and (tmp_path / row.logs).is_dir()
    assert (tmp_path / "logs" / "latest").resolve().name == "attempt_1"
    steps(tmp_path, 9)
    assert attempt.end(tmp_path, 85, "time", job())[0] == attempt.REQUEUE
    (row,) = attempts.read(tmp_path)
    assert (row.job, row.nodes, row.first_step, row.last_step) == ("7", ["n1", "n2"], 4, 9)
    assert (row.cause, row.exit_code) == ("time limit", 85)
    assert row.start <= row.end <= time.time()


def test_a_finished_run_is_left_alone(tmp_path, slurm):
    attempt.begin(tmp_path, job())
    markers.write_done(tmp_path, {"stage": "sft"})
    assert attempt.end(tmp_path, 0, None, job())[0] == 0
    assert attempt.begin(tmp_path, job(1))[0] == attempt.DONE_ALREADY
    assert [row.cause for row in attempts.read(tmp_path)] == ["finished"]


@pytest.mark.parametrize(
    ("code", "failure", "cause", "told", "answer"),
    [
        (75, ("no progress for 30 minutes in step 3 (train)", HUNG), "hang", "made no progress for 30 minutes", 20),
        (75, None, "hang", "no progress, with the interpreter blocked", 20),
        (143, (RuntimeError("division by cucumber"), 1), "crash", "RuntimeError: division by cucumber", 20),
        (137, (RuntimeError("[/x/gloo/transport/tcp/pair.cc:5] Connection closed by peer"), 1), "killed rank",
         "a rank was killed by SIGKILL (out of memory?); rank 3 on", 20),
        (137, None, "killed rank", "a rank was killed by SIGKILL (out of memory?)", 20),
        (2, (UserError("the corpus has a hole"), 2), "user error", "the corpus has a hole", 2),
        (0, None, "crash", "all ranks ended with exit code 0, and the run is not finished", 20),
        (85, None, "stopped", "a signal asked for it; the run was saved before", 20),
    ],
)  # fmt: skip
def test_the_cause_of_an_end(tmp_path, slurm, code, failure, cause, told, answer):
    attempt.begin(tmp_path, job())
    if failure:
        markers.write_failure(tmp_path, 3, *failure)
    assert attempt.end(tmp_path, code, None, job())[0] == answer
    (row,) = attempts.read(tmp_path)
    assert row.cause == cause and told in row.told


def test_who_only_lost_a_peer_gives_way_to_who_knows_more(tmp_path):
    markers.write_failure(tmp_path, 0, RuntimeError("gloo: /x/gloo/transport/tcp/pair.cc: Connection reset"), 1)
    markers.write_failure(tmp_path, 5, ValueError("division by cucumber"), 1)
    failure = markers.write_failure(tmp_path, 1, RuntimeError("/x/gloo/transport/tcp/pair.cc: closed"), 1)
    assert (failure["rank"], failure["cause"]) == (5, "ValueError: division by cucumber")


@pytest.mark.parametrize(
    ("state", "warned", "cause"),
    [
        ("COMPLETING Reason=None Restarts=1", "preempt", "preempted"),
        ("COMPLETING Reason=None Restarts=1", None, "requeued"),
        ("COMPLETING Reason=None Restarts=0 PreemptTime=None", None, "stopped"),
        ("COMPLETING Reason=TimeLimit Restarts=0 PreemptTime=None", "time", "time limit"),
    ],
)
def test_a_job_that_slurm_is_ending_is_not_requeued(tmp_path, slurm, state, warned, cause):
    attempt.begin(tmp_path, job())
    slurm["job"] = f"JobId=7 JobState={state} TimeLimit=01:00:00 StartTime={time.strftime('%Y-%m-%dT%H:%M:%S')}"
    assert attempt.end(tmp_path, 143, warned, job())[0] == attempt.NOT_AGAIN
    assert attempts.read(tmp_path)[0].cause == cause


def test_a_preemption_looks_like_a_time_limit_but_for_one_word(tmp_path, slurm):
    attempt.begin(tmp_path, job())
    slurm["job"] = GONE_ON.replace("PreemptTime=None", "PreemptTime=2026-11-22T21:22:55")
    assert attempt.end(tmp_path, 85, "time", job())[0] == attempt.REQUEUE
    assert attempts.read(tmp_path)[0].cause == "preempted"


def test_bad_nodes_are_named_and_left_out(tmp_path, slurm):
    _, _, row = attempt.begin(tmp_path, job())
    node_report.write(tmp_path / row.logs, "n1", ["GPUs ok"], [])
    node_report.write(tmp_path / row.logs, "n2", [], ["7 GPUs, and 8 are asked for"])
    code, said, nodes = attempt.end(tmp_path, 76, None, job())
    assert (code, nodes) == (attempt.REQUEUE_WITHOUT, ["n2"])
    assert said == "attempt 1 ended: node failed (n2: 7 GPUs, and 8 are asked for)"
    attempt.begin(tmp_path, job(1))
    slurm["node"] = "NodeName=n1 State=DOWN+NOT_RESPONDING Reason=Not responding [slurm@2026-11-22T21:00:00]"
    code, said, nodes = attempt.end(tmp_path, 1, None, job(1))
    assert (code, nodes) == (attempt.REQUEUE_WITHOUT, ["n1", "n2"]), "all that this run should avoid"
    assert "n1: Not responding" in said


def test_an_attempt_whose_script_is_gone_is_completed_by_the_next(tmp_path, slurm):
    attempt.begin(tmp_path, job())
    steps(tmp_path, 3)
    assert attempt.begin(tmp_path, job(1))[0] == attempt.GO
    first, second = attempts.read(tmp_path)
    assert (first.cause, first.last_step) == ("requeued", 3) and first.end is not None
    slurm["node"] = "NodeName=n2 State=IDLE SlurmdStartTime=2037-01-01T00:00:00"
    attempt.begin(tmp_path, job(2))
    assert attempts.read(tmp_path)[1].cause == "node failed", "its daemon came up while the attempt went on"
    slurm["job"] = "JobId=7 JobState=TIMEOUT Restarts=2"
    slurm["node"] = None
    attempt.begin(tmp_path, job(number=8))
    assert attempts.read(tmp_path)[2].cause == "time limit"


def test_two_jobs_on_one_run_directory(tmp_path, slurm):
    attempt.begin(tmp_path, job())
    code, said, _ = attempt.begin(tmp_path, job(number=8))
    assert code == attempt.NO_MORE and said.endswith("is in use by job 7; wait for it to end, or cancel it")
    code, said, _ = attempt.end(tmp_path, 0, None, job(number=8))
    assert code == attempt.NOT_AGAIN and "no attempt of this job is open" in said
    assert [row.job for row in attempts.read(tmp_path)] == ["7"]


def test_three_faults_without_a_new_step_are_enough(tmp_path, slurm):
    assert one_more(tmp_path, 0, reach=7)[0] == attempt.REQUEUE
    assert one_more(tmp_path, 1, reach=7)[0] == attempt.REQUEUE
    assert one_more(tmp_path, 2, reach=5, code=75)[0] == attempt.REQUEUE
    code, said, _ = one_more(tmp_path, 3, reach=7)
    assert code == attempt.NOT_AGAIN and "3 attempts in a row brought no step beyond step 7" in said
    code, said = one_more(tmp_path, 4)
    assert code == attempt.NO_MORE and "submit the run again" in said


def test_what_comes_from_outside_is_free_and_a_time_limit_without_a_step_is_not(tmp_path, slurm):
    for restart in range(12):
        assert one_more(tmp_path, restart, reach=7, code=85, warned="preempt")[0] == attempt.REQUEUE
    assert one_more(tmp_path, 12, reach=7, code=85, warned="time")[0] == attempt.REQUEUE
    assert one_more(tmp_path, 13, reach=7, code=85, warned="time")[0] == attempt.REQUEUE
    assert one_more(tmp_path, 14, reach=7, code=85, warned="time")[0] == attempt.NOT_AGAIN


def test_faults_are_counted_also_where_the_run_gets_on(tmp_path, slurm):
    answers = [one_more(tmp_path, n, reach=10 * (n + 1))[0] for n in range(10)]
    assert answers == [attempt.REQUEUE] * 9 + [attempt.NOT_AGAIN]


def test_a_person_who_submits_again_begins_a_new_budget_and_a_chain_does_not(tmp_path, slurm):
    attempt.begin(tmp_path, job())
    markers.write_failure(tmp_path, 0, UserError("the corpus has a hole"), 2)
    assert attempt.end(tmp_path, 2, None, job())[0] == attempt.NOT_AGAIN
    slurm["job"] = "JobId=8 JobState=RUNNING SubmitTime=2020-01-01T00:00:00"  # long before: a link of a chain
    code, said, _ = attempt.begin(tmp_path, job(number=8))
    assert code == attempt.NO_MORE and said == "the corpus has a hole; repair that and submit the run again"
    slurm["job"] = "JobId=9 JobState=RUNNING SubmitTime=2037-01-01T00:00:00"
    assert attempt.begin(tmp_path, job(number=9))[0] == attempt.GO
    assert not (tmp_path / "FAILED.json").exists()


def test_the_file_stop_ends_a_run_and_its_chain(tmp_path, slurm):
    attempt.begin(tmp_path, job())
    (tmp_path / "STOP").touch()
    assert attempt.end(tmp_path, 85, None, job())[0] == attempt.NOT_AGAIN
    code, said, _ = attempt.begin(tmp_path, job(1))
    assert code == attempt.NO_MORE and said.endswith(
        "STOP asks this run not to go on; delete that file and submit it again"
    )
    (tmp_path / "STOP").unlink()
    assert attempt.begin(tmp_path, job(1))[0] == attempt.GO


def test_the_command_line_of_a_batch_script(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert attempt.main(["begin", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/logs/attempt_1\n"
    assert attempt.main(["end", str(tmp_path), "--code", "3"]) == attempt.REQUEUE
    out, err = capsys.readouterr()
    assert out == "" and err == "attempt 1 ended: crash (exit code 3 without a word; see logs/attempt_1)\n"
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        attempt.main(["begin", str(tmp_path / "file" / "run")])
    assert capsys.readouterr().err.startswith("error: cannot write to the run directory ")


def test_a_run_without_a_batch_script_keeps_its_own_account(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(ValueError), attempt.kept(tmp_path):
        raise ValueError("cucumber")
    with pytest.raises(KeyboardInterrupt), attempt.kept(tmp_path) as logs:
        raise KeyboardInterrupt
    assert logs == tmp_path / "logs" / "attempt_2"
    monkeypatch.setenv(attempt.LOGS, str(logs))
    with attempt.kept(tmp_path) as given:
        assert given == logs, "a batch script has opened it, and completes it"
    assert [row.cause for row in attempts.read(tmp_path)] == ["crash", "stopped"]
    assert {row.host for row in attempts.read(tmp_path)} == {attempts.host(os.environ)}
