import subprocess

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.launch import slurm_env
from fleming_nemo.launch.cluster import is_worker

STEP = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_NTASKS": "5",
    "SLURM_TASKS_PER_NODE": "2(x2),1",
    "SLURM_JOB_NODELIST": "node[1-3]",
}


def test_ranks_and_meeting_point_of_an_srun_task(monkeypatch):
    monkeypatch.setattr(slurm_env, "first_host", lambda nodes: {"node[1-3]": "node1"}[nodes])
    assert slurm_env.from_slurm(STEP) == {
        "RANK": "3",
        "WORLD_SIZE": "5",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "node1",
        "MASTER_PORT": "24567",
    }


def test_a_meeting_point_that_is_set_stays():
    place = slurm_env.from_slurm(STEP | {"MASTER_ADDR": "node9", "MASTER_PORT": "12345"})
    assert (place["MASTER_ADDR"], place["MASTER_PORT"]) == ("node9", "12345")


@pytest.mark.parametrize("text, counts", [("1", [1]), ("8(x4)", [8] * 4), ("2(x2),1", [2, 2, 1])])
def test_tasks_per_node(text, counts):
    assert slurm_env.tasks_per_node(text) == counts


def test_what_is_not_slurms_form_is_refused():
    with pytest.raises(UserError, match="SLURM_TASKS_PER_NODE is 'many'"):
        slurm_env.tasks_per_node("many")


def test_scontrol_expands_the_node_list(monkeypatch):
    def fake(command, **_):
        assert command == ["scontrol", "show", "hostnames", "node[1-3]"]
        return subprocess.CompletedProcess(command, 0, "node1\nnode2\nnode3\n", "")

    monkeypatch.setattr(subprocess, "run", fake)
    assert slurm_env.first_host("node[1-3]") == "node1"


@pytest.mark.parametrize(
    "change, worker",
    [
        ({}, True),
        ({"SLURM_STEP_ID": None}, False),  # the batch script itself, where PROCID and NTASKS are set too
        ({"SLURM_NTASKS": "1"}, False),  # a single task starts its own processes
        ({"SLURM_STEP_ID": None, "RANK": "0", "WORLD_SIZE": "2"}, True),  # torchrun
    ],
)
def test_who_is_a_worker(change, worker):
    assert is_worker({k: v for k, v in (STEP | change).items() if v is not None}) == worker
