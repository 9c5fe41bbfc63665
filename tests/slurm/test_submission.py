"""Submission from Python to a live Slurm without accounting: how jobs end, chains, sweeps, refusals.

Everything is sent at once and looked at one by one, for most of it is waiting.  The chain trains for real; elsewhere
the training is beside the point, and stand-ins of tests/launch take its place, chosen by a site.env of the job's own.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import until

from fleming_nemo.cli.compare import table
from fleming_nemo.config.errors import UserError
from fleming_nemo.launch import JobFailed, compare, submit, submit_chain, submit_sweep
from fleming_nemo.launch.submission import attach

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
TESTS = Path(__file__).parents[1]
STAND_IN, QUADRATIC = (TESTS / "launch" / name for name in ("stand_in", "quadratic"))
SFT, STAGE1, STAGE2 = (f"recipes/{name}_7b.py" for name in ("sft", "grpo_stage1", "grpo_stage2"))
ONE_PROCESS = ["parallel.tp=1", "parallel.sequence_parallel=false", "parallel.dp=1"]
NOTICED_WITHIN_S = 60
ENDS = ("ok", "crash", "exit", "killed", "user", "wait")


@pytest.fixture(scope="module")
def lab(slurm, site_of, tmp_path_factory):
    """`site(NAME, what, folder)` writes a site.env and makes it that of the next submission."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("submission")
    for name, value in (slurm.environ | {"PYTHONPATH": os.getcwd()}).items():
        patch.setenv(name, value)

    def site(name, what="", stand_in=STAND_IN, preflight=0):
        (folder / name).mkdir(exist_ok=True)
        lines = [f"export STAND_IN={what}", f"PREFLIGHT={preflight}"]
        patch.setenv("SITE_ENV", site_of(folder / name, *lines, path=str(stand_in) if what else "")["SITE_ENV"])

    yield SimpleNamespace(folder=folder / "runs", site=site, jobs=folder / "jobs", slurm=slurm)
    patch.undo()


@pytest.fixture(scope="module")
def sent(lab):
    """All the jobs. node3 is that of the job that loses it."""
    common = {"tiny": True, "cluster": "slurm", "folder": lab.jobs, "timeout_min": 10}
    out = SimpleNamespace(began=time.time())
    lab.site("lost", "wait")
    alone = [f"run_dir={lab.folder}/lost", *ONE_PROCESS]
    out.lost = submit(SFT, overrides=alone, nodelist="node3", **common)
    others = common | {"exclude": "node3"}
    lab.site("chain")
    small = ["sft.train.steps=40", "sft.train.save_every=20", "grpo_stage1.train.steps=1", "grpo_stage2.train.steps=1"]
    small += ["grpo.prompts_per_step=2", "rollout.max_response=16", "eval.limit=4", f"run_dir={lab.folder}/chain"]
    out.chain = submit_chain([SFT, STAGE1, STAGE2], overrides=[*small, *ONE_PROCESS], **others)
    for what in ENDS:
        lab.site(what, what, preflight=int(what == "ok"))
        setattr(
            out, what, submit(SFT, nodes=2 if what == "ok" else 1, overrides=[f"run_dir={lab.folder}/{what}"], **others)
        )
    lab.site("broken", "user")
    broken = [f"run_dir={lab.folder}/broken", *ONE_PROCESS]
    out.broken = submit_chain([SFT, STAGE1, STAGE2], overrides=broken, **others)
    lab.site("sweep", "quadratic", QUADRATIC)
    over = {"optim.lr": ["1e-3", "1e-2"], "seed": range(25)}
    swept = [f"run_dir={lab.folder}/sweep", *ONE_PROCESS]
    out.sweep = submit_sweep(SFT, over, overrides=swept, at_most=4, **others)
    yield out
    for handle in (out.lost, out.chain, out.broken, out.sweep, *(getattr(out, what) for what in ENDS)):
        handle.cancel()


def test_a_link_that_gets_the_signal_of_a_preemption_saves_and_is_queued_again(lab, sent):
    """Before anything else, while the first stage of the chain trains; how it goes on is seen below."""
    metrics, sft = lab.folder / "chain" / "sft" / "metrics.jsonl", sent.chain.links[1]
    until(lambda: metrics.exists() and metrics.read_text(), 200)
    lab.slurm.call("scancel", "--batch", "--signal=USR1", sft.job_id)
    until(lambda: sft.attempts[0].cause is not None, 120)
    assert sft.attempts[0].exit_code == 85


def test_a_lost_node_is_noticed_and_the_run_goes_on_when_there_is_one(lab, sent):
    until((lab.folder / "lost" / "pid_0").exists, 120)
    lab.site("lost", "ok")
    assert sent.lost.state == "running"
    lab.slurm.kill_node("node3")
    until(lambda: sent.lost.state != "running", NOTICED_WITHIN_S)
    lab.slurm.start()
    assert sent.lost.result(timeout_s=120) == {"stage": "sft"}
    assert [attempt.cause for attempt in sent.lost.attempts][0] == "node failed"


def test_success(lab, sent):
    assert sent.ok.result(timeout_s=120) == {"stage": "sft"}
    assert sent.ok.state == "done" and "rank 0 is here" in sent.ok.logs()
    assert json.loads((lab.folder / "ok" / "rank_1.json").read_text())["LOCAL_WORLD_SIZE"] == "1"
    assert len(list((lab.folder / "ok" / "logs" / "latest" / "preflight").glob("node*.json"))) == 2
    again = submit(SFT, overrides=[f"run_dir={lab.folder}/ok"], tiny=True, cluster="slurm", folder=lab.jobs)
    assert (again.cluster, again.result()) == ("none", {"stage": "sft"})


@pytest.mark.parametrize(
    "what, error, words",
    [
        ("crash", JobFailed, "rank 1 failed: RuntimeError: division by cucumber; logs in"),
        ("exit", JobFailed, "3 attempts in a row brought no step"),
        ("killed", JobFailed, "3 attempts in a row brought no step"),
        ("user", UserError, "^the corpus has a hole; build it again$"),
    ],
)
def test_failures_are_noticed_without_accounting(sent, what, error, words):
    """An exception, a hard exit and a kill are tried again until the budget says no; a user's mistake is not."""
    job, looked = getattr(sent, what), time.time()
    with pytest.raises(error, match=words):
        job.result(timeout_s=200)
    assert job.state == "failed"
    attempts = job.attempts
    assert len(attempts) == (1 if what == "user" else 3)
    assert time.time() - max(looked, attempts[-1].end) < NOTICED_WITHIN_S


def test_a_cancelled_job(lab, sent):
    until((lab.folder / "wait" / "pid_0").exists, 120)
    assert attach(lab.folder / "wait").state == "running"
    with pytest.raises(UserError, match=f"is running already as job {sent.wait.job_id}"):
        submit(SFT, overrides=[f"run_dir={lab.folder}/wait"], tiny=True, cluster="slurm", folder=lab.jobs)
    sent.wait.cancel()
    with pytest.raises(JobFailed, match="cancelled"):
        sent.wait.result(timeout_s=NOTICED_WITHIN_S)


def test_a_failed_link_cancels_what_depends_on_it(lab, sent):
    with pytest.raises(UserError, match="^the corpus has a hole; build it again$"):
        sent.broken.result(timeout_s=200)
    until(lambda: [link.state for link in sent.broken.links] == ["done"] + ["failed"] * 5, NOTICED_WITHIN_S)
    assert sent.broken.links[-1].why == "cancelled, because a job that it depends on failed"
    assert not (lab.folder / "broken" / "grpo_stage1" / "config.yaml").exists()


def test_a_chain_that_is_interrupted_ends_in_an_evaluation_report(lab, sent):
    """Data, SFT in two attempts, stage 1, mining, stage 2, evaluation, with real training."""
    root, sft = lab.folder / "chain", sent.chain.links[1]
    metrics = root / "sft" / "metrics.jsonl"
    result = sent.chain.result(timeout_s=280)
    assert result["stage"] == "evaluation" and result["n"] == 4
    assert sent.chain.state == "done"
    assert [attempt.cause for attempt in sft.attempts][1:] == ["finished"]
    assert [json.loads(row)["step"] for row in metrics.read_text().splitlines()] == list(range(1, 41))
    assert "Evaluation" in (root / "report.html").read_text()
    assert json.loads((root / "evaluation" / "eval.json").read_text()) == result


def test_a_sweep_of_fifty_jobs_is_one_array_and_one_command_compares_them(lab, sent):
    assert None not in sent.sweep.results(timeout_s=250) and sent.sweep.states == {"done": 50}
    array = {point.job_id.partition("_")[0] for point in sent.sweep.points}
    assert len(array) == 1 and sent.sweep.points[49].job_id.endswith("_49")
    groups = compare.groups(compare.read([lab.folder / "sweep"]))
    assert [(group.settings, len(group.runs)) for group in groups] == [
        ({"optim.lr": 1e-3}, 25),
        ({"optim.lr": 1e-2}, 25),
    ]
    steps = 6
    for rate, group in zip((1e-3, 1e-2), groups, strict=True):
        mean, half, count = group.measures["accuracy"]
        assert count == 25 and abs(mean - (1 - (1 - rate) ** steps)) <= 2 * half
    assert "25 done" in table(groups)
    command = [sys.executable, "-m", "fleming_nemo.cli", "compare", str(lab.folder / "sweep"), "--json"]
    printed = json.loads(subprocess.check_output(command, text=True, timeout=60))
    assert sum(len(group["runs"]) for group in printed) == 50


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"partition": "moon"}, "sbatch refuses the job: invalid partition specified: moon; `sinfo` lists"),
        (
            {"nodes": 9, "overrides": ["parallel.dp=9"]},
            "sbatch refuses the job: Requested node configuration is not available; `sinfo` shows what each",
        ),
        ({"overrides": ["run_dir=/proc/run"]}, "cannot write to the run directory /proc/run"),
        ({"folder": "/proc/jobs"}, "cannot write to the folder /proc/jobs"),
    ],
)
def test_a_job_that_cannot_be_is_refused_in_one_sentence(lab, capfd, arguments, sentence):
    lab.site("refused", "ok")
    given = {"overrides": [], "folder": lab.jobs} | arguments
    overrides = [f"run_dir={lab.folder}/refused", *ONE_PROCESS, *given.pop("overrides")]
    with pytest.raises(UserError, match=f"^{sentence}") as refused:
        submit(SFT, tiny=True, cluster="slurm", overrides=overrides, **given)
    assert "\n" not in str(refused.value) and capfd.readouterr().err == ""
    assert not (lab.folder / "refused").exists()
