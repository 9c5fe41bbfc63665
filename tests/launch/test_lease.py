"""Two nodes and one run directory, on a file system whose locks end at the node: nobody holds a flock here."""

import os
import time

import pytest
from recipe_process import wait_for

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.launch import lease, lock, scheduler

THERE = {"SLURMD_NODENAME": "node7", "SLURM_JOB_ID": "40", "SLURM_RESTART_COUNT": "1"}
HERE = {"SLURMD_NODENAME": "node1"}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 0.02)
    monkeypatch.setattr(scheduler, "ask", lambda *_, **__: None)  # no Slurm to ask
    descriptor = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def never(by):
    raise AssertionError(f"taken over by {by}")


def test_a_holder_on_another_node_is_known_by_its_counting(file):
    held = lease.Lease(file, THERE, never)
    assert lease.describe(lease.is_held(file, HERE)) == f"process {os.getpid()} on node7 (job 40)"
    held.give_back()
    assert lease.is_held(file, HERE) is None


def test_a_record_that_stands_still_belongs_to_a_dead_node(file, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_S", 600)
    held = lease.Lease(file, THERE, never)
    assert lease.is_held(file, HERE, wait_s=0.3) is None
    held.give_back()


@pytest.mark.parametrize("newcomer", [THERE | {"SLURM_RESTART_COUNT": "2", "SLURMD_NODENAME": "node1"}, THERE])
def test_a_requeued_job_and_the_same_node_need_not_wait(file, monkeypatch, newcomer):
    held = lease.Lease(file, THERE, never)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    assert lease.is_held(file, newcomer) is None
    held.give_back()


def test_a_job_that_slurm_has_seen_end_need_not_be_waited_for(file, monkeypatch):
    held = lease.Lease(file, THERE, never)
    said = {"job": "JobId=40 JobState=TIMEOUT Restarts=1", "node": "NodeName=node7 State=IDLE"}
    monkeypatch.setattr(scheduler, "ask", lambda _, __, what, *___, **____: said[what])
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    assert lease.is_held(file, HERE) is None
    held.give_back()


def test_a_node_that_slurm_has_lost_may_still_write(file, monkeypatch):
    """A requeue after a network failure: the job runs anew elsewhere, and its old ranks do not know."""
    held = lease.Lease(file, THERE, never)
    said = {"job": None, "node": "NodeName=node7 State=DOWN+NOT_RESPONDING Reason=Not responding [root@now]"}
    monkeypatch.setattr(scheduler, "ask", lambda _, __, what, *___, **____: said[what])
    newcomer = THERE | {"SLURM_RESTART_COUNT": "2", "SLURMD_NODENAME": "node1"}
    assert lease.is_held(file, newcomer)["host"] == "node7"
    held.give_back()


def test_a_holder_who_was_cut_off_too_long_ends_at_once(file):
    told = []
    before = lease.Lease(file, THERE, told.append)
    after = lease.Lease(file, HERE, never)
    wait_for(lambda: told)
    assert told == [f"process {os.getpid()} on node1"]
    before.give_back()
    assert lease.read(file)["host"] == "node1", "it is not the old holder's to give back"
    after.give_back()


def test_the_claim_of_a_run_directory_asks_for_it(tmp_path, monkeypatch, file):
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    held = lease.Lease(file, THERE, never)
    said = r"is in use by process \d+ on node7 \(job 40\); wait for it to end, or "
    with pytest.raises(UserError, match=said), lock.claim(RunConfig(run_dir=str(tmp_path))):
        pass
    held.give_back()
    with lock.claim(RunConfig(run_dir=str(tmp_path))) as mine:
        assert lease.read(mine)["host"] == "node1"
    assert (tmp_path / ".lock").read_text() == ""
