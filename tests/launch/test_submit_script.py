"""The batch script that Python submits, without a Slurm: what stands in it, and that bash understands it."""

import pickle
import shutil
import subprocess
import sys

import pytest
from recipe_process import REPOSITORY

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch import sbatch, script
from fleming_nemo.launch.resolve import load_recipe
from fleming_nemo.launch.send import dry_run
from fleming_nemo.launch.task import Task

STAGE2 = REPOSITORY / "recipes" / "grpo_stage2_7b.py"


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    """Returns how to write a site.env."""
    file = tmp_path / "site.env"
    file.write_text("")
    monkeypatch.setenv("SITE_ENV", str(file))
    return file.write_text


def flags(text):
    lines = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def preview(tmp_path, **arguments):
    return dry_run(STAGE2, **{"nodes": 4, "overrides": [f"run_dir={tmp_path}/run dir"]} | arguments)


def test_the_script_is_good_bash(tmp_path):
    text = preview(tmp_path)
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    if shutil.which("shellcheck"):
        lint = ["shellcheck", "-x", "-"]
        assert subprocess.run(lint, input=text, text=True, capture_output=True, cwd=REPOSITORY).stdout == ""


def test_it_asks_for_what_the_layout_needs_and_comes_back_after_a_preemption(tmp_path):
    asked = flags(preview(tmp_path))
    assert {k: asked[k] for k in ("nodes", "ntasks-per-node", "gpus-per-node")} == {
        "nodes": "4", "ntasks-per-node": "8", "gpus-per-node": "8",
    }  # fmt: skip
    assert {"requeue", "exclusive"} <= set(asked) and asked["signal"] == "B:USR1@300"
    assert asked["open-mode"] == "append" and asked["kill-on-invalid-dep"] == "yes"
    assert "wckey" not in asked  # submitit's own is refused where a list of them is kept


def test_the_callers_words_reach_sbatch(tmp_path):
    text = preview(tmp_path, partition="gpu", reservation="monday", mem_gb=64, timeout_min=90, srun_args=["--mpi=none"])
    asked = flags(text)
    assert (asked["partition"], asked["reservation"], asked["mem"], asked["time"]) == ("gpu", "monday", "64GB", "90")
    assert "--mpi=none" in text


def test_site_env_names_partition_and_account_and_the_caller_overrules_it(tmp_path, site):
    site("export SBATCH_PARTITION=slow SBATCH_ACCOUNT='my group'\n")
    asked = flags(preview(tmp_path, partition="gpu"))
    assert (asked["partition"], asked["account"]) == ("gpu", "'my group'")


def test_no_value_of_the_environment_stands_in_the_script_and_no_secret_is_passed_on(tmp_path, monkeypatch):
    secrets = {
        "OPENAI_API_KEY": "sk-1",
        "FLEMING_KEY": "sk-2",
        "HF_TOKEN": "hf-3",
        "NCCL_SECRET": "sk-4",
        "MY_OWN": "x-5",
    }
    for name, value in (secrets | {"NCCL_DEBUG": "WARN-6"}).items():
        monkeypatch.setenv(name, value)
    text = preview(tmp_path)
    assert not [word for word in (*secrets.values(), *secrets, "WARN-6") if word in text]
    names = flags(text)["export"].split(",")
    assert {"PATH", "NCCL_DEBUG", "SITE_ENV"} <= set(names)
    assert flags(preview(tmp_path, export="MY_OWN"))["export"].endswith(",MY_OWN")
    pickled = pickle.dumps(Task("run", load_recipe(STAGE2)()))
    assert not [value for value in secrets.values() if value.encode() in pickled]


def test_without_a_checkout_there_is_no_library_to_hand_over_to(monkeypatch, tmp_path):
    monkeypatch.setattr(script, "_CHECKOUT", tmp_path)
    with pytest.raises(UserError, match="^fleming-nemo is installed without its checkout"):
        preview(tmp_path)


@pytest.mark.parametrize(
    "content, sentence",
    [(None, "there is no site file .*; write one"), ("if\n", ".*site.env cannot be sourced by bash: .*syntax error")],
)
def test_a_broken_site_env(tmp_path, site, monkeypatch, content, sentence):
    monkeypatch.setenv("SITE_ENV", str(tmp_path / "none")) if content is None else site(content)
    with pytest.raises(UserError, match=sentence):
        preview(tmp_path)


def test_rollout_servers_get_nodes_of_their_own(tmp_path):
    text = preview(tmp_path, rollout_nodes=2)
    assert "\nROLLOUT_NODES=2\n" in text and "--ntasks-per-node=8" in text
    with pytest.raises(UserError, match="^rollout_nodes=4 leaves none of 4 nodes"):
        preview(tmp_path, rollout_nodes=4)


class TestRanks:
    """The shell around the ranks, with stand-ins for Slurm's commands and for `launch.attempt`."""

    @pytest.fixture
    def run(self, tmp_path, site):
        site("PREFLIGHT=0\n")
        (tmp_path / "bin").mkdir()
        shims = {
            "srun": 'while [ "$1" != env ]; do echo "$1" >> "$SHIMS/srun"; shift; done\nexec "$@"',
            "scontrol": 'echo "$*" >> "$SHIMS/scontrol"\n[ "$2" != hostnames ] || echo node0\n'
            '[ "$2" != job ] || echo "JobId=7 PreemptTime=None ExcNodeList=node5 "',
            "scancel": 'echo "$*" >> "$SHIMS/scancel"; kill -USR2 "$(cat "$SHIMS/pid")"',
            "python": 'case "$*" in\n*launch.attempt*) shift 2 ;;\n*) exec "$SHIMS/ranks" ;;\nesac\n'
            'echo "$*" >> "$SHIMS/attempt"\n[ "$1" = end ] || { echo "$SHIMS"; exit "${BEGIN:-0}"; }\n'
            'echo node7\nexit "${END:-0}"',
        }
        for name, body in shims.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/bash\nSHIMS={tmp_path}\n{body}\n")
            (tmp_path / "bin" / name).chmod(0o755)

        def start(ranks, **environ):
            (tmp_path / "ranks").write_text(f"#!/bin/bash\n{ranks}\n")
            (tmp_path / "ranks").chmod(0o755)
            lines = [
                *script.before([tmp_path / "run"], tmp_path, 2, tmp_path / "site.env"),
                "ranks python -m something",
            ]
            text = "\n".join(lines).replace(sys.executable, f"{tmp_path}/bin/python")
            env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node0"}
            env |= {"SLURM_CPUS_ON_NODE": "16", "SLURM_NTASKS": "2"} | environ
            return subprocess.Popen(["bash", "-c", text], env=env, stderr=subprocess.PIPE, text=True, cwd=tmp_path)

        return start

    def said(self, tmp_path, name):
        file = tmp_path / name
        return file.read_text().splitlines() if file.exists() else []

    def test_a_run_that_ends_well(self, run, tmp_path):
        process = run("exit 0")
        assert process.wait(30) == 0, process.stderr.read()
        assert self.said(tmp_path, "attempt") == [f"begin {tmp_path}/run", f"end {tmp_path}/run --code 0"]
        assert {"--kill-on-bad-exit=1", "--cpus-per-task=8", f"--output={tmp_path}/rank_%t.log"} <= set(
            self.said(tmp_path, "srun")
        )

    @pytest.mark.parametrize("verdict, code", [("10", 0), ("11", 2), ("2", 2)])
    def test_an_attempt_that_must_not_begin(self, run, tmp_path, verdict, code):
        assert run("exit 0", BEGIN=verdict).wait(30) == code
        assert not self.said(tmp_path, "srun")

    @pytest.mark.parametrize(
        "verdict, orders",
        [("2", []), ("20", ["requeue 7"]), ("21", ["requeue 7", "update JobId=7 ExcNodeList=node5,node7"])],
    )
    def test_what_follows_is_what_the_account_says(self, run, tmp_path, verdict, orders):
        assert run("exit 3", END=verdict).wait(30) == (0 if orders else 3)  # of a job that is requeued nobody asks
        assert self.said(tmp_path, "attempt")[-1] == f"end {tmp_path}/run --code 3"
        assert [line for line in self.said(tmp_path, "scontrol") if not line.startswith("show")] == orders

    def test_the_early_signal_reaches_the_ranks_and_is_told_to_the_account(self, run, tmp_path):
        # Python can be told to heed a signal that was ignored when it started, which bash cannot.
        ranks = f"signal.signal(signal.SIGUSR2, lambda *_: sys.exit(85)); open('{tmp_path}/ready', 'w'); time.sleep(60)"
        process = run(
            f'echo $$ > {tmp_path}/pid; exec {sys.executable} -c "import signal, sys, time; {ranks}"', END="20"
        )
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
        process.send_signal(subprocess.signal.SIGUSR1)
        assert process.wait(30) == 0
        assert self.said(tmp_path, "scancel")[0] == "--signal=USR2 7"
        assert self.said(tmp_path, "attempt")[-1] == f"end {tmp_path}/run --code 85 --signal time"
        assert self.said(tmp_path, "scontrol")[-1] == "requeue 7"


@pytest.mark.parametrize(
    "said, sentence",
    [
        (
            "sbatch: error: invalid partition specified: moon\nsbatch: error: Batch job submission failed: Invalid",
            "sbatch refuses the job: invalid partition specified: moon; `sinfo` lists the partitions",
        ),
        (
            "allocation failure: Requested node configuration is not available",
            "sbatch refuses the job: Requested node configuration is not available; `sinfo` shows what each partition",
        ),
        (
            "sbatch: unrecognized option '--colour=red'\nTry \"sbatch --help\"",
            "sbatch refuses the job: unrecognized option",
        ),
    ],
)
def test_a_refusal_is_one_sentence(said, sentence):
    assert str(sbatch.refusal(said)).startswith(sentence)
