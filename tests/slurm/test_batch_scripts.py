"""The batch scripts without a Slurm: syntax, style, help, what they refuse, and the command lines they make."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SLURM = REPOSITORY / "slurm"
LAB = REPOSITORY / "tests" / "slurm" / "lab"
FILES = sorted(SLURM.rglob("*.sh"))
SCRIPTS = {s.name: s for s in SLURM.glob("*.sh") if s.name != "lib.sh"}
ON_LOGIN_NODE = {"data_prep.sh", "pipeline.sh", "submit.sh"}
STAGES = [script for name, script in sorted(SCRIPTS.items()) if name not in ON_LOGIN_NODE]


def bash(*arguments, **environ):
    env = {"PATH": "/usr/bin:/bin"} | environ
    return subprocess.run(["bash", *map(str, arguments)], env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def in_job(tmp_path):
    """Environment of a job of three nodes with eight tasks each; scontrol and srun are stand-ins."""
    (tmp_path / "scontrol").write_text("#!/bin/sh\nprintf 'n1\\nn2\\nn3\\n'\n")
    (tmp_path / "srun").write_text("#!/bin/sh\necho srun: options: --container-image=[USER@]\n")
    for name in ("scontrol", "srun"):
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "24", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_CPUS_ON_NODE": "96"}
    return job | {"PATH": f"{tmp_path}:/usr/bin:/bin", "FLEMING_ROOT": str(REPOSITORY), "PYTHON": sys.executable}


def library(lines, **environ):
    """Run lines of bash after the library has been sourced."""
    text = f"ROOT={REPOSITORY}; . $ROOT/slurm/lib.sh; WORK=$ROOT SITE_ENV=site.env; {lines}"
    return bash("-c", text, **environ)


def test_there_is_a_script_for_each_stage():
    expected = ["evaluate.sh", "grpo_stage1.sh", "grpo_stage2.sh", "mine_hard.sh", "sft_32b.sh", "sft_7b.sh"]
    assert [s.name for s in STAGES] == expected
    assert set(SCRIPTS) == {*expected, *ON_LOGIN_NODE}


@pytest.mark.parametrize("script", FILES, ids=lambda s: s.name)
def test_syntax(script):
    assert bash("-n", script).stderr == ""


def test_style():
    if not shutil.which("shellcheck"):
        pytest.skip("needs shellcheck")
    files = [*SCRIPTS.values(), SLURM / "lib.sh", SLURM / "site.env", *LAB.glob("*.sh"), REPOSITORY / ".ci" / "run"]
    done = subprocess.run(["shellcheck", "-x", *files], cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.stdout == ""


def test_every_job_can_be_requeued_and_is_told_before_its_end():
    for script in [*STAGES, SCRIPTS["data_prep.sh"]]:
        asked = set(re.findall(r"^#SBATCH (--[\w-]+(?:=\S+)?)$", script.read_text(), flags=re.M))
        common = {"--requeue", "--open-mode=append", "--signal=B:USR1@300", "--kill-on-invalid-dep=yes"}
        assert common <= asked, script.name
        assert next(o for o in asked if o.startswith("--export=")).startswith("--export=PATH,HOME,USER,LANG,MODEL,")


@pytest.mark.parametrize("script", STAGES, ids=lambda s: s.name)
def test_help_says_how_to_submit(script):
    assert f"sbatch slurm/{script.name} [--tiny] [key.sub=value ...]" in bash(script, "--help").stdout


@pytest.mark.parametrize("name", sorted(ON_LOGIN_NODE))
def test_help_of_what_submits(name):
    done = bash(SCRIPTS[name], "--help")
    assert f"  slurm/{name} [" in done.stdout and (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", STAGES, ids=lambda s: s.name)
def test_outside_of_a_job_it_says_what_to_do(script):
    done = bash(script, "--tiny")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: submit this with sbatch, for example: sbatch {script} --tiny\n",
    )


@pytest.mark.parametrize("name", ["data_prep.sh", "pipeline.sh"])
def test_what_submits_is_not_submitted(name, in_job):
    done = bash(SCRIPTS[name], "--tiny", **in_job)
    assert done.returncode == 2
    assert done.stderr == f"error: {name} submits jobs of its own; run it on the login node: slurm/{name}\n"


def test_words_that_nobody_knows(in_job):
    outside = {k: v for k, v in in_job.items() if not k.startswith("SLURM_")}
    for name in ("data_prep.sh", "pipeline.sh"):
        done = bash(SCRIPTS[name], "runs/here", **outside)
        assert done.stderr == f"error: {name} takes name=value, not 'runs/here'; see slurm/{name} --help\n"
    assert bash(SCRIPTS["data_prep.sh"], "shrads=2", **outside).stderr.startswith(
        "error: data_prep.sh knows no shrads;"
    )
    assert bash(SCRIPTS["submit.sh"], "--nodes=2", **outside).stderr.startswith("error: name a script of slurm/, for")


def test_a_site_file_that_is_not_there(in_job, tmp_path):
    done = bash(SCRIPTS["sft_7b.sh"], "--tiny", **in_job, SITE_ENV=f"{tmp_path}/none.env")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: there is no site file {tmp_path}/none.env; write one like slurm/site.env, or point SITE_ENV at yours\n"
    )


def test_a_model_without_recipe(in_job):
    done = bash(SCRIPTS["grpo_stage2.sh"], "--tiny", **in_job, MODEL="70b")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no recipes/grpo_stage2_70b.py; MODEL=70b is not available for this")


def test_a_job_from_elsewhere(tmp_path):
    done = bash(SCRIPTS["sft_7b.sh"], "--tiny", SLURM_SUBMIT_DIR=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path} is not a checkout of fleming-nemo; submit from its root\n"


@pytest.mark.parametrize("name", ["sft_32b.sh", "grpo_stage2.sh"])
def test_the_size_of_the_allocation_chooses_the_layout(name, in_job):
    done = bash(SCRIPTS[name], **in_job, MODEL="32b")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no layout for 24 GPUs and sequences of up to ")
    assert bash(SCRIPTS[name], "--gpus", "9", **in_job, MODEL="32b").stderr.startswith("error: no layout for 9 GPUs")


def test_nodes_for_rollouts_are_the_last_ones(in_job):
    show = 'split_nodes; echo "${TRAINERS[*]} | ${SERVERS[*]} | $TASKS"'
    assert library(show, **in_job).stdout == "n1 n2 n3 |  | 24\n"
    assert library(show, **in_job, ROLLOUT_NODES="1").stdout == "n1 n2 | n3 | 16\n"
    done = library(show, **in_job, ROLLOUT_NODES="3")
    assert (done.returncode, done.stderr) == (
        2,
        "error: ROLLOUT_NODES=3 leaves none of 3 nodes for the trainer; ask for more with --nodes\n",
    )


def test_half_of_the_nodes_serve_where_the_recipe_generates_by_vllm(in_job):
    def nodes(engine, **environ):
        config = f"CONFIG=$'rollout:\\n  engine: {engine}\\n'"
        show = f'{config}; split_nodes; share_with_servers; echo "${{TRAINERS[*]}} | ${{SERVERS[*]}} | $TASKS"'
        return library(f"set +e; {show}", **in_job, **environ).stdout.splitlines()[-1]

    assert nodes("vllm") == nodes("vllm-fp8") == "n1 n2 | n3 | 16"
    assert nodes("trainer") == nodes("vllm", ROLLOUT_NODES="0") == "n1 n2 n3 |  | 24"
    assert nodes("vllm", ROLLOUT_NODES="2") == "n1 | n2 n3 | 8"
    assert nodes("vllm", FLEMING_ROLLOUT_SERVERS="/shared/servers.json") == "n1 n2 n3 |  | 24"


RUNTIMES = {
    "none": "srun --overlap --mem=0 --export=ALL --nodes=2 PYTHON -m x",
    "pyxis": "srun --overlap --mem=0 --export=ALL --nodes=2 --container-image=a.sqsh "
    "--container-mounts=ROOT:ROOT,/models:/models --container-workdir=ROOT --no-container-mount-home python -m x",
    "apptainer": "srun --overlap --mem=0 --export=ALL --nodes=2 apptainer exec --nv --bind ROOT:ROOT,/models:/models "
    "--pwd ROOT a.sqsh python -m x",
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_switch_chooses_what_a_step_runs_in(runtime, in_job, tmp_path):
    (tmp_path / "apptainer").symlink_to("/bin/true")
    container = {"CONTAINER_RUNTIME": runtime, "CONTAINER_IMAGE": "a.sqsh", "CONTAINER_MOUNTS": "/models:/models"}
    job = {k: v for k, v in in_job.items() if runtime == "none" or k != "PYTHON"}
    lines = 'set_runtime; step_of --nodes=2 -- "$PYTHON" -m x; echo "${STEP[*]}"'
    done = library(lines, **job, **container, SLURM_GPUS_ON_NODE="8")
    assert done.stderr == ""
    assert done.stdout.strip() == RUNTIMES[runtime].replace("ROOT", str(REPOSITORY)).replace("PYTHON", sys.executable)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"CONTAINER_RUNTIME": "docker"}, "CONTAINER_RUNTIME is docker; use none, pyxis or apptainer"),
        ({"CONTAINER_RUNTIME": "apptainer"}, "there is no apptainer on this node; load it in site.env, or choose"),
        ({"CONTAINER_RUNTIME": "pyxis"}, "CONTAINER_RUNTIME is pyxis, but there is no CONTAINER_IMAGE; set it in site"),
        ({"PYTHON": "/nowhere/python"}, "there is no Python at /nowhere/python; run make in"),
    ],
)
def test_a_runtime_that_is_not_there(settings, said, in_job):
    done = library("set_runtime", **in_job | settings)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {said}")


def test_refusals_of_slurm_become_a_sentence(in_job, tmp_path):
    (tmp_path / "sbatch").write_text('#!/bin/sh\necho "$SAYS" >&2; exit 1\n')
    (tmp_path / "sinfo").write_text("#!/bin/sh\nprintf 'gpu\\nbatch\\n'\n")
    for name in ("sbatch", "sinfo"):
        (tmp_path / name).chmod(0o755)
    send = ". $ROOT/slurm/lib/submit.sh; send --nodes=9 slurm/sft_7b.sh --tiny"
    refusals = {
        "sbatch: error: invalid partition specified: moon\nallocation failure: Invalid partition name specified":
            "Invalid partition name specified; set SBATCH_PARTITION in site.env to one of: batch gpu",
        "allocation failure: Requested node configuration is not available":
            "Requested node configuration is not available; ask for fewer nodes, or less of each, with --nodes, "
            "--gpus-per-node",
        "allocation failure: Invalid account or account/partition combination specified":
            "Invalid account or account/partition combination specified; set SBATCH_ACCOUNT and SBATCH_QOS in site.env",
        "sbatch: error: Unable to contact slurm controller": "sbatch: error: Unable to contact slurm controller",
    }  # fmt: skip
    for says, sentence in refusals.items():
        done = library(send, **in_job, SAYS=says)
        assert (done.returncode, done.stderr) == (2, f"error: Slurm refuses slurm/sft_7b.sh: {sentence}\n")
