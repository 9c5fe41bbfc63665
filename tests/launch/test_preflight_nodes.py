"""The check of all nodes of an allocation: two processes with the names of two nodes, over real gloo."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from recipe_process import REPOSITORY

from fleming_nemo.launch import node_report
from fleming_nemo.launch.health.network import slow_nodes
from fleming_nemo.launch.local import _free_port

RECIPE = str(REPOSITORY / "recipes" / "sft_7b.py")


def nodes(tmp_path, *arguments, per_node=({}, {}), size=2):
    """Exit codes and outputs of the check on every node."""
    port, started = _free_port(), []
    for rank, environ in enumerate(per_node):
        env = os.environ | {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        env |= {"MASTER_PORT": str(port), "SLURMD_NODENAME": f"node{rank}", "GLOO_SOCKET_IFNAME": "lo"}
        env |= {"FLEMING_LOGS": str(tmp_path / "logs"), "PYTHONPATH": str(REPOSITORY)} | environ
        command = [sys.executable, "-m", "fleming_nemo.launch.preflight_nodes", RECIPE, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=env, cwd=tmp_path, **pipes))
    try:
        said = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    return [process.returncode for process in started], said


def with_gpus(tmp_path, count):
    """PATH with a stand-in nvidia-smi that knows so many GPUs."""
    folder = tmp_path / f"{count}_gpus"
    folder.mkdir()
    lines = "\\n".join(f"{n}, NVIDIA H100 80GB HBM3, 81559, 4, 0" for n in range(count))
    script = f'case "$1" in *remapped*) ;; *) printf "{lines}\\n" ;; esac'
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_GPUS_ON_NODE": "8"}


@pytest.mark.slow
def test_two_healthy_nodes(tmp_path):
    codes, said = nodes(tmp_path, "--tiny", f"run_dir={tmp_path}/run")
    assert codes == [0, 0], said
    assert said[0][0] == "all nodes are well\n"
    report = json.loads((tmp_path / "logs" / "preflight" / "node1.json").read_text())
    assert report["problems"] == [] and report["lines"][-1].startswith("all-reduce ")


def test_a_node_with_fewer_gpus_and_another_checkout_is_named(tmp_path):
    other = tmp_path / "other"
    shutil.copytree(REPOSITORY / "fleming_nemo", other / "fleming_nemo", ignore=shutil.ignore_patterns("__pycache__"))
    with open(other / "fleming_nemo" / "__init__.py", "a") as file:
        file.write("# an older checkout\n")
    machines = (with_gpus(tmp_path, 8), with_gpus(tmp_path, 7) | {"PYTHONPATH": str(other)})
    codes, said = nodes(tmp_path, "--tiny", f"run_dir={tmp_path}/run", per_node=machines)
    assert codes == [76, 76], said
    ((name, told),) = node_report.bad_nodes(tmp_path / "logs").items()
    assert name == "node1" and "fleming-nemo's files is " in told
    assert "7 GPUs, NVIDIA H100 80GB HBM3, 80 GiB, and 8 are asked for" in told
    assert said[0][0].startswith("node1: ")


@pytest.mark.slow
def test_a_run_directory_that_is_not_shared_is_nobodys_node(tmp_path):
    there = {"FLEMING_LOGS": str(tmp_path / "elsewhere")}
    codes, said = nodes(tmp_path, "--tiny", f"run_dir={tmp_path}/run", per_node=({}, there))
    assert codes == [2, 2], said
    assert "error: the run directory is not shared: node1 cannot see what node0 writes" in said[0][1]
    assert json.loads((tmp_path / "run" / "FAILED.json").read_text())["kind"] == "user"


@pytest.mark.parametrize(
    ("speeds", "slow"),
    [
        ([9.0], []),
        ([0.1], [0, 1]),
        ([0.1, 9.0, 0.1, 0.1, 9.0], [2]),  # links 0-1, 1-2, 2-3, 3-0: node 2 has the slow ones
        ([0.1, 9.0, 9.0, 0.1, 9.0], [2, 3]),
    ],
)
def test_of_slow_links_the_node_that_they_share_is_to_blame(speeds, slow):
    assert slow_nodes(speeds, 1.0) == slow
