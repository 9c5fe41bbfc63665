"""The batch scripts on a live Slurm of four nodes, where the training is beside the point: it is a stand-in's."""

import json
import os
import re
import signal
import stat
import sys
from pathlib import Path

import pytest
from conftest import until

pytestmark = pytest.mark.slurm
TRAINING = Path(__file__).parents[1] / "launch" / "stand_in"
ROLLOUTS = Path(__file__).parent / "stand_in"


def test_a_run_directory_that_is_not_shared(slurm, site, tmp_path):
    """`local` of the lab is the node's own, as /tmp is on a cluster."""
    local = Path(slurm.environ["SLURM_LAB_DIR"]) / "local"
    if slurm.call("srun", "--nodes=1", "bash", "-c", f"grep -c {local} /proc/mounts || true").strip() != "1":
        pytest.skip("mount namespaces are not allowed here")
    arguments = ("slurm/sft_7b.sh", "--tiny", f"run_dir={local}/run")
    job = slurm.sbatch("--nodes=2", f"--output={tmp_path}/out", *arguments, **site())
    assert slurm.wait(job) == "FAILED"
    assert slurm.show(job)["ExitCode"] == "2:0"
    assert (tmp_path / "out").read_text() == (
        f"error: the run directory {local}/run is not shared by all nodes: node1 cannot read what node0 wrote there; "
        f"choose another with run_dir=..., or set WORK or CONTAINER_MOUNTS in {tmp_path}/site.env\n"
    )


def test_a_job_without_a_site_file(slurm, tmp_path):
    job = slurm.sbatch(f"--output={tmp_path}/out", "slurm/grpo_stage2.sh", "--tiny", SITE_ENV="/nowhere/site.env")
    assert slurm.wait(job) == "FAILED"
    assert (tmp_path / "out").read_text().startswith("error: there is no site file /nowhere/site.env; write one like")


def test_what_the_cluster_cannot_give_is_refused_in_a_sentence(slurm, site):
    refused = "error: Slurm refuses slurm/sft_7b.sh:"
    submit, environ = ("slurm/submit.sh", "slurm/sft_7b.sh", "--tiny"), site()
    assert slurm.refusal(submit[0], "--nodes=9", *submit[1:], **environ) == (
        f"{refused} Requested node configuration is not available; ask for fewer nodes, or less of each, with --nodes, "
        "--gpus-per-node\n"
    )
    environ = site("export SBATCH_PARTITION=moon")
    assert slurm.refusal(*submit, **environ) == (
        f"{refused} Invalid partition name specified; set SBATCH_PARTITION in {environ['SITE_ENV']} to one of: "
        "batch high low\n"
    )
    assert slurm.refusal("slurm/submit.sh", "slurm/sft_7b.sh", SITE_ENV="/nowhere").startswith(
        "error: there is no site"
    )
    assert slurm.call("squeue", "--noheader", "--name=sft_7b") == ""  # nothing waits for ever


def test_submitted_by_the_site_file_from_elsewhere(slurm, site, tmp_path):
    """submit.sh works from any folder; WORK is where relative paths of a recipe begin."""
    lines = ("export SBATCH_PARTITION=low STAND_IN=ok", f"WORK={tmp_path}/work")
    environ = site(*lines, path=str(TRAINING))
    script = Path.cwd() / "slurm" / "submit.sh"
    command = f"cd {tmp_path} && {script} --nodes=2 --output=%x.out {script.parent}/grpo_stage1.sh --tiny"
    job = slurm.submit("bash", "-c", command, **environ)
    assert slurm.wait(job) == "COMPLETED", (tmp_path / "grpo_stage1.out").read_text()
    assert slurm.show(job)["Partition"] == "low"
    assert (tmp_path / "work" / "runs" / "grpo_stage1_7b-tiny" / "DONE").exists()


def test_pyxis_gets_image_mounts_and_folder(slurm, site, tmp_path):
    """Every process, also those that ask for the config and keep the records, is started with them."""
    plugin = Path(slurm.environ["SLURM_LAB_DIR"]) / "fake_pyxis.so"
    if not plugin.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs gcc and libslurm-dev")
    python = _program(tmp_path / "python", f'env | grep FAKE_PYXIS_ | sort | paste -sd" " >>{tmp_path}/seen\n')
    python.write_text(f'{python.read_text()}exec {sys.executable} "$@"\n')
    lines = ("CONTAINER_RUNTIME=pyxis", "CONTAINER_IMAGE=/images/fleming.sqsh", "CONTAINER_MOUNTS=/models:/models:ro")
    environ = site(*lines, f"PYTHON={python}", "export STAND_IN=ok", path=str(TRAINING))
    _completes(slurm, "slurm/sft_7b.sh", tmp_path, environ)
    seen = (tmp_path / "seen").read_text().splitlines()
    root = Path.cwd()
    assert set(seen) == {
        f"FAKE_PYXIS_CONTAINER_IMAGE=/images/fleming.sqsh FAKE_PYXIS_CONTAINER_MOUNTS={root}:{root},/models:/models:ro "
        f"FAKE_PYXIS_CONTAINER_WORKDIR={root} FAKE_PYXIS_NO_CONTAINER_MOUNT_HOME=1"
    }
    assert len(seen) == 5  # config, begin, two ranks, end


APPTAINER = r"""
# Takes what `apptainer exec` takes, as far as it is used, and runs the command in the folder asked for.
[ "$1" = exec ] && shift || exit 255
while :; do
  case $1 in
    --nv) shift ;;
    --bind)
      for mount in ${2//,/ }; do [ -e "${mount%%:*}" ] || exit 255; done
      shift 2
      ;;
    --pwd) cd "$2" && shift 2 || exit 255 ;;
    -*) echo "Error for command \"exec\": unknown flag: $1" >&2; exit 1 ;;
    *) break ;;
  esac
done
[ -f "$1" ] || { echo "FATAL: could not open image $1" >&2; exit 255; }
shift
echo "$1" >>"$APPTAINER_SEEN"
exec "$@"
"""


def test_apptainer_runs_every_process_in_its_image(slurm, site, tmp_path):
    (tmp_path / "bin").mkdir()
    _program(tmp_path / "bin" / "apptainer", APPTAINER)
    (tmp_path / "fleming.sif").touch()
    lines = ("CONTAINER_RUNTIME=apptainer", f"CONTAINER_IMAGE={tmp_path}/fleming.sif", f"CONTAINER_MOUNTS={tmp_path}")
    seen = f"export PATH={tmp_path}/bin:$PATH STAND_IN=ok APPTAINER_SEEN={tmp_path}/seen"
    _completes(slurm, "slurm/sft_7b.sh", tmp_path, site(*lines, seen, path=str(TRAINING)))
    names = [Path(line).name for line in (tmp_path / "seen").read_text().splitlines()]
    python = Path(sys.executable).name
    # config; the canary on two nodes; begin; two ranks; end
    assert names == [python, "bash", "bash", python, "env", "env", python]


def test_a_failed_link_cancels_what_depends_on_it(slurm, site, tmp_path):
    """The data are there already; the SFT is asked for something that does not exist."""
    data = tmp_path / "chain" / "data"
    data.mkdir(parents=True)
    (data / "DONE").write_text("{}")
    command = ("slurm/pipeline.sh", "--tiny", "--nodes=2", f"dir={tmp_path}/chain", "trian.steps=3")
    last = slurm.submit(*command, **site())
    assert slurm.wait(last) == "CANCELLED"
    named = dict(re.findall(r"JobId=(\d+) .*?JobName=(\w+)", slurm.call("scontrol", "show", "job", "-o")))
    states = {name: slurm.show(job)["JobState"] for job, name in named.items() if int(job) > int(last) - 20}
    assert states["corpus"] == "COMPLETED" and states["sft_7b"] == "FAILED"
    assert {states[name] for name in ("grpo_stage1", "mine_hard", "grpo_stage2", "evaluate")} == {"CANCELLED"}
    out = next((tmp_path / "chain" / "slurm").glob("sft_7b_*.out")).read_text()
    assert out == "error: there is no option 'trian.steps'; did you mean train.steps\n"


@pytest.mark.slow
def test_data_are_prepared_by_an_array_over_the_nodes(slurm, site, tmp_path, invented):
    """From a graph that is there to a corpus; each of the three shards of the chains has a node of its own."""
    out = tmp_path / "data"
    names = (f"out={out}", "items=90", f"graph={invented}", "shards=3", "tokenizer=nano", "pack=512")
    rods = "rods=--no-comparison --check-items 5"
    last = slurm.submit("slurm/data_prep.sh", "--exclusive", "--cpus-per-task=2", *names, rods, **site())
    assert slurm.wait(last, limit_s=200) == "COMPLETED", "".join(p.read_text() for p in out.glob("slurm/*.out"))
    shards = [
        re.search(r"(node\d): distill_cot.py .* --shard (\d)/3", p.read_text()) for p in out.glob("slurm/chains*")
    ]
    assert {shard[2] for shard in shards} == {"1", "2", "3"} and len({shard[1] for shard in shards}) == 3
    made = json.loads((out / "DONE").read_text())
    chains = (out / "cot" / "cot.jsonl").read_text().splitlines()
    assert made == json.loads((out / "manifest.json").read_text()) and made["documents"] <= len(chains) == 72


@pytest.fixture(scope="module")
def invented(tmp_path_factory):
    """Folder of a small graph."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "rods" / "synth"))
    import invented_graph

    return invented_graph.write(tmp_path_factory.mktemp("kg"))


@pytest.fixture
def rollouts(slurm, site, tmp_path):
    """Starts stage 2 with a stand-in trainer on node0 and node1, and stand-in servers on the other nodes."""
    jobs = []

    def start(*options, **environ):
        stand_in = f'[ "$2" != fleming_nemo.rollout.vllm.serve ] || set -- {ROLLOUTS}/serve.py "${{@:3}}"'
        python = _program(tmp_path / "python", f'{stand_in}\nexec {sys.executable} "$@"\n')
        environ |= site(f"PYTHON={python}", path=str(ROLLOUTS))
        run = Rollouts(tmp_path / "run", tmp_path / "out")
        arguments = ("slurm/grpo_stage2.sh", "--tiny", f"run_dir={run.folder}")
        jobs.append(slurm.sbatch(f"--output={run.out}", *options, *arguments, **environ))
        return jobs[0], run

    yield start
    slurm.call("scancel", *jobs)


class Rollouts:
    """What the stand-ins of a run leave behind."""

    def __init__(self, folder, out):
        self.folder, self.out = folder, out

    def answering(self):
        """Process id of the server on each node that has answered, the last one."""
        answers = self.folder / "answers.txt"
        return dict(line.split() for line in answers.read_text().splitlines()) if answers.exists() else {}

    def trainers(self):
        """(node, process id) of both ranks."""
        ranks = [self.folder / f"rank_{rank}.json" for rank in (0, 1)]
        until(lambda: all(rank.exists() for rank in ranks))
        return [(told["node"], told["pid"]) for told in map(json.loads, map(Path.read_text, ranks))]

    def said(self, text):
        return text in self.out.read_text()


@pytest.mark.slow
def test_a_server_in_the_second_component_is_started_again_alone(slurm, rollouts):
    job, run = rollouts("--nodes=2", ":", "--nodes=1", "--exclusive", "--gpus-per-node=8")
    ((node, before),) = until(run.answering).items()
    trainers = run.trainers()
    assert len({node, *(name for name, _ in trainers)}) == 3
    os.kill(int(before), signal.SIGKILL)
    until(lambda: run.answering()[node] != before)
    (run.folder / "enough").touch()
    assert slurm.wait(job) == "COMPLETED", run.out.read_text()
    assert run.said(f"the rollout servers of {node} ended with exit code 137; again in 1 s")
    assert run.trainers() == trainers and not (run.folder / "logs" / "attempt_2").exists()
    until(lambda: not Path(f"/proc/{run.answering()[node]}").exists())  # servers end with the job


@pytest.mark.slow
def test_a_rollout_node_that_goes_for_good_leaves_the_others_at_work(slurm, rollouts):
    job, run = rollouts("--nodes=4", "--no-kill", ROLLOUT_NODES="2")
    before = until(lambda: run.answering() if len(run.answering()) == 2 else None)
    trainers = run.trainers()
    assert [node for node, _ in trainers] == ["node0", "node1"] and set(before) == {"node2", "node3"}
    slurm.kill_node("node3")  # Slurm would find out in half a minute
    slurm.call("scontrol", "update", "nodename=node3", "state=down", "reason=gone")
    try:
        until(lambda: run.said("rollout node node3 has left the job; the other nodes go on"), limit_s=90)
        (run.folder / "answers.txt").unlink()
        until(lambda: run.answering() == {"node2": before["node2"]})
        (run.folder / "enough").touch()
        assert slurm.wait(job) == "COMPLETED", run.out.read_text()
        assert run.trainers() == trainers
    finally:
        slurm.start()  # for the tests that follow


@pytest.mark.slow
def test_the_loss_of_the_batch_node_is_seen_by_a_rollout_node(slurm, rollouts):
    """A job with --no-kill would go on without its batch script for as long as its time lasts."""
    job, run = rollouts("--nodes=3", "--no-kill", ROLLOUT_NODES="1")
    until(run.answering)
    slurm.kill_node("node0")
    slurm.call("scontrol", "update", "nodename=node0", "state=down", "reason=gone")
    try:
        (run.folder / "enough").touch()  # for the second attempt
        assert until(lambda: slurm.show(job).get("Restarts") == "1", limit_s=90)
        assert slurm.wait(job, limit_s=90) == "COMPLETED", run.out.read_text()
        assert json.loads((run.folder / "attempts.jsonl").read_text().splitlines()[0])["cause"] != "finished"
    finally:
        slurm.start()


def _program(path: Path, text: str) -> Path:
    path.write_text(f"#!/usr/bin/env bash\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _completes(slurm, script, tmp_path, environ):
    out = tmp_path / "out"
    arguments = (script, "--tiny", f"run_dir={tmp_path}/run")
    job = slurm.sbatch("--nodes=2", f"--output={out}", *arguments, **environ)
    assert slurm.wait(job) == "COMPLETED", out.read_text()
    assert (tmp_path / "run" / "DONE").exists()
