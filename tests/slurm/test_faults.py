"""What a cluster does to a run, done to a real one: SFT over two nodes on a live Slurm.

All faults go on side by side; each ends in a run that equals the undisturbed one bit by bit, and `fleming status` names
the cause of every attempt's end.
"""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]
REPOSITORY = Path(__file__).parents[2]
LAB = Path(__file__).parent / "lab"
SLOW_STEPS = Path(__file__).parent / "slow_steps"
SMALL = (
    "--tiny", "parallel.tp=1", "parallel.sequence_parallel=false", "parallel.dp=2", "train.steps=24",
    "train.save_every=10", "train.global_batch=2", "train.micro_batch=1", "train.pack_tokens=0", "eval.limit=2",
)  # fmt: skip
TIMING = ("tokens_per_second", "seconds")
FIRST_NODES, LAST_NODES = ("--nodelist=node0,node1",), ("--nodelist=node2,node3",)
LIMIT_S = 400


class Run:
    """One job and its run directory."""

    def __init__(self, slurm, folder, name, *options, **environ):
        self.slurm, self.folder, self.out = slurm, folder / name, folder / f"{name}.out"
        site = folder / f"{name}.env"
        settings = {"PYTHON": sys.executable, "PYTHONPATH": f"{SLOW_STEPS}:{REPOSITORY}", "OMP_NUM_THREADS": 1}
        settings |= {"STEP_S": 0.2, "PREFLIGHT": 0} | environ
        site.write_text("".join(f"export {key}={value}\n" for key, value in settings.items()))
        arguments = (*SMALL, f"run_dir={self.folder}", f"data.dir={folder}/data")
        sbatch = ("--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=0", "--oversubscribe", *options)
        self._submit = (*sbatch, "slurm/sft_7b.sh", *arguments), {"SITE_ENV": str(site)}
        self.job = self.submit(self.out)

    def submit(self, out):
        """A job with this run directory, its output in a file; returns its id."""
        arguments, environ = self._submit
        return self.slurm.sbatch(f"--output={out}", *arguments, **environ)

    def reaches(self, step):
        """Wait until a step is logged."""
        self.until(lambda: (self.folder / "metrics.jsonl").exists() and len(self.rows()) >= step)

    def until(self, what):
        end = time.monotonic() + LIMIT_S
        while not what():
            assert time.monotonic() < end, self.told()
            time.sleep(0.05)

    def waits_again(self):
        """Wait until the job has been requeued."""
        self.until(lambda: self.slurm.show(self.job)["Restarts"] == "1")
        self.slurm.wait(self.job, until=("PENDING", "RUNNING"), limit_s=LIMIT_S)

    def ends(self, state="COMPLETED"):
        found = self.slurm.wait(self.job, limit_s=LIMIT_S)
        assert found == state, self.told()
        return self

    def rows(self):
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    def told(self):
        logs = "\n".join(f"{f}:\n{f.read_text()[-2000:]}" for f in sorted(self.folder.rglob("rank_*.log")))
        return f"{self.out.read_text() if self.out.exists() else 'no output'}\n{logs}"

    def status(self):
        command = [sys.executable, "-m", "fleming_nemo.cli", "status", str(self.folder), "--json"]
        env = self.slurm.environ | {"PYTHONPATH": str(REPOSITORY)}
        (status,) = json.loads(subprocess.check_output(command, env=env, cwd=self.folder, timeout=60))
        return status

    def causes(self):
        return [row["cause"] for row in self.status()["attempts"]]

    def rank(self, number):
        """Process id of a rank; all nodes of the cluster are on this machine."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                environ = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            here = {f"SLURM_JOB_ID={self.job}".encode(), f"SLURM_PROCID={number}".encode()} <= set(environ)
            in_step = any(variable.startswith(b"SLURM_STEP_ID=") for variable in environ)
            if here and in_step and b"python" in words[0] and any(word.endswith(b"sft_7b.py") for word in words):
                return int(process.name)
        raise AssertionError(f"rank {number} of job {self.job} is not here")


def undisturbed(slurm, folder):
    return Run(slurm, folder, "undisturbed", *FIRST_NODES, STEP_S=0).ends()


def sick_node(slurm, folder):
    """A GPU of the node that Slurm gives away first has fallen off the bus."""
    programs = folder / "programs"
    programs.mkdir()
    lost = "echo 'Unable to determine the device handle for GPU0: Unknown Error'; exit 255"
    healthy = "echo '0, NVIDIA H100 80GB HBM3, 81559, 4, 0'"
    script = f'case "$SLURMD_NODENAME $1" in *remapped*) ;; node0*) {lost} ;; *) {healthy} ;; esac'
    (programs / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "nvidia-smi").chmod(0o755)
    return Run(slurm, folder, "sick", PREFLIGHT=1, STEP_S=0, PATH=f"{programs}:$PATH").ends()


def on_the_last_nodes(slurm, folder):
    """One after the other: the second takes whole nodes, and the third kills one."""
    return sick_node(slurm, folder), preempted(slurm, folder), lost_node(slurm, folder)


def preempted(slurm, folder):
    run = Run(slurm, folder, "preempted", "--partition=low", *LAST_NODES)
    run.reaches(3)
    command = ("--partition=high", *LAST_NODES, "--exclusive", f"--output={folder}/urgent.out", "--wrap=sleep 1")
    urgent = slurm.sbatch(*command)
    run.ends()
    assert slurm.wait(urgent) == "COMPLETED"
    return run


def lost_node(slurm, folder):
    """The daemon of the second node dies, and with it all that Slurm knows of the rank there."""
    run = Run(slurm, folder, "node", *LAST_NODES, STEP_S=2.4)  # Slurm waits 20 s and more for a node
    run.reaches(3)
    daemon = Path(slurm.environ["SLURM_LAB_DIR"]) / "pid" / "slurmd.node3.pid"
    os.kill(int(daemon.read_text()), signal.SIGKILL)
    run.waits_again()
    slurm.call("scontrol", "update", f"JobId={run.job}", "ReqNodeList=")  # it had asked for that very node
    run.ends()
    subprocess.run([LAB / "start_slurm.sh"], env=slurm.environ, check=True, timeout=120, capture_output=True)
    return run


def early_signal(slurm, folder):
    run = Run(slurm, folder, "early", *FIRST_NODES)
    run.reaches(3)
    slurm.call("scancel", "--batch", "--signal=USR1", run.job)
    return run.ends()


def time_limit(slurm, folder):
    """And two more jobs for the same run: one finds the first at work, one finds a finished run."""
    run = Run(slurm, folder, "limit", *FIRST_NODES, "--time=1", "--signal=B:USR1@10", STEP_S=3, LATER_STEP_S=1)
    run.waits_again()
    slurm.call("scontrol", "update", f"JobId={run.job}", "TimeLimit=60")
    run.reaches(len(run.rows()) + 1)
    run.second, run.third = (folder / f"{name}.out" for name in ("second", "third"))
    assert slurm.wait(run.submit(run.second), limit_s=LIMIT_S) == "FAILED"
    run.ends()
    assert slurm.wait(run.submit(run.third), limit_s=LIMIT_S) == "COMPLETED"
    return run


def requeued_while_saving(slurm, folder):
    """Killed 5 s after the signals (KillWait), when the checkpoint of step 10 is still being written."""
    run = Run(slurm, folder, "requeued", *FIRST_NODES, SAVE_S=15)
    run.until((run.folder / "saving").exists)
    slurm.call("scontrol", "requeue", run.job)
    return run.ends()


def killed_rank(slurm, folder):
    run = Run(slurm, folder, "killed", *FIRST_NODES)
    run.reaches(12)
    os.kill(run.rank(1), signal.SIGKILL)
    return run.ends()


def code_error(slurm, folder):
    return Run(slurm, folder, "error", *FIRST_NODES, CRASH_AT=1).ends("FAILED")


def restarted_controller(slurm, folder):
    """After the others: no Slurm command works meanwhile."""
    run = Run(slurm, folder, "controller", *FIRST_NODES)
    run.reaches(3)
    daemon = Path(slurm.environ["SLURM_LAB_DIR"]) / "pid" / "slurmctld.pid"
    os.kill(int(daemon.read_text()), signal.SIGTERM)
    run.reaches(8)
    subprocess.run([LAB / "start_slurm.sh"], env=slurm.environ, check=True, timeout=120, capture_output=True)
    return run.ends()


@pytest.fixture(scope="module")
def runs(slurm, tmp_path_factory):
    """Every run by the name of what was done to it; four at once."""
    folder = tmp_path_factory.mktemp("faults")
    first = undisturbed(slurm, folder)  # it builds the data for all
    faults = (
        on_the_last_nodes,
        time_limit,
        requeued_while_saving,
        early_signal,
        killed_rank,
        code_error,
    )
    with ThreadPoolExecutor(max_workers=4) as pool:
        started = [pool.submit(fault, slurm, folder) for fault in faults]
        found = [run.result() for run in started]
    last = restarted_controller(slurm, folder)
    return {run.folder.name: run for run in (first, *found[0], *found[1:], last)}


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("sick", "node failed"),
        ("preempted", "preempted"),
        ("node", "node failed"),
        ("early", "time limit"),
        ("limit", "time limit"),
        ("requeued", "requeued"),
        ("killed", "killed rank"),
        ("controller", None),
    ],
)
def test_a_disturbed_run_equals_the_undisturbed_one(runs, name, cause):
    run, expected = runs[name], runs["undisturbed"]
    causes = run.causes()
    assert causes[-1] == "finished" and set(causes[:-1]) == ({cause} if cause else set()), run.status()
    assert results(run) == results(expected)
    got, wanted = (each.folder / "checkpoints" / "step_24" for each in (run, expected))
    tensors = sorted(file.name for file in wanted.glob("*.distcp"))
    assert tensors and all((got / file).read_bytes() == (wanted / file).read_bytes() for file in tensors)


def test_the_kill_came_in_the_middle_of_a_save(runs):
    first = runs["requeued"].status()["attempts"][0]
    assert first["last_step"] == 10, "and nothing of it was taken for a checkpoint: the run equals the undisturbed one"


def test_a_node_that_is_not_fit_is_left_out(runs):
    first, second = runs["sick"].status()["attempts"]
    assert first["excluded"] == ["node0"] and "node0" in first["nodes"] and "node0" not in second["nodes"]
    assert first["told"].startswith("node0: nvidia-smi fails: Unable to determine the device handle for GPU0")


def test_further_jobs_leave_a_run_alone(runs):
    run = runs["limit"]
    assert f"{run.folder} is in use by job {run.job}; wait for it to end, or cancel it" in run.second.read_text()
    assert f"{run.folder} is finished; give another run_dir=... to run again" in run.third.read_text()
    assert {row["job"] for row in run.status()["attempts"]} == {run.job}


def test_a_preempted_run_was_saved_where_it_was(runs):
    first, second = (runs["preempted"].status()["attempts"])[:2]
    assert second["first_step"] == first["last_step"] and first["exit_code"] == 85


def test_an_error_of_the_code_stops_after_its_budget(runs):
    status = runs["error"].status()
    assert [row["cause"] for row in status["attempts"]] == ["crash"] * 3
    assert status["state"] == "stopped" and "RuntimeError: division by cucumber" in status["detail"]
    assert "3 attempts in a row brought no step beyond step 0" in status["detail"]
    assert "not started again: 3 attempts in a row" in runs["error"].out.read_text()


def results(run):
    rows = [{key: value for key, value in row.items() if key not in TIMING} for row in run.rows()]
    return rows, json.loads((run.folder / "DONE").read_text()), (run.folder / "eval_samples.jsonl").read_text()
