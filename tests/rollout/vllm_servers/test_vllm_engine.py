"""Every request is answered exactly once, whatever happens to the servers."""

import asyncio
import os
import signal
from collections import Counter

import fake_vllm
import psutil
import pytest
from fake_lab import Lab, build, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.rollout.types import Rollout
from fleming_nemo.rollout.vllm.engine import NeedsWeights, ServersGone

MOST = 12


def check(asked, rollouts, heard):
    """Each request once, with the very response that its prompt and seed mean."""
    assert len(rollouts) == len(asked)
    for request, rollout in zip(asked, rollouts, strict=True):
        tokens, logprobs = fake_vllm.response(list(request.prompt), request.seed, MOST)
        assert rollout.tokens == tokens and rollout.logprobs.tolist() == pytest.approx(logprobs, abs=1e-6)
        assert rollout.finished == (tokens[-1] == fake_vllm.STOP)
        assert rollout.seed == request.seed and rollout.versions == (3, 3)
    assert Counter(heard) == Counter(range(len(asked)))


def play(asked, before=None):
    async def run(pool, engine):
        heard = []

        def finished(index: int, rollout: Rollout) -> None:
            heard.append(index)

        if before:
            before(pool)
        rollouts = await engine.generate(asked, 1.0, MOST, 3, finished)
        check(asked, rollouts, heard)
        async with asyncio.timeout(10):  # the second attempt at a straggler takes a moment to leave
            while any(server.outstanding for server in pool.servers):
                await asyncio.sleep(0.01)
        return pool.events

    return run


def names(events):
    return Counter(event["event"] for event in events)


def test_all_is_well(lab: Lab):
    asked = requests(6, 4)
    events = lab.run(play(asked))
    again = names(events)["straggler_asked_again"]  # on a busy machine even a fake server may be slow
    assert names(events) - Counter(straggler_asked_again=again) == {"server_started": 2}
    assert Counter(lab.asked()).total() == len(asked) + again  # nothing is over-provisioned for nothing
    assert set(lab.asked()) == {r.seed for r in asked}


FAULTS = st.dictionaries(st.sampled_from(fake_vllm.FAULTS), st.floats(0.01, 0.06), min_size=1, max_size=4)


def test_all_faults_at_once(lab: Lab):
    lab.fail(**dict.fromkeys(fake_vllm.FAULTS, 0.03))
    lab.run(play(requests(8, 4)), patience_s=1.0)


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FAULTS)
def test_any_mix_of_faults(tmp_path_factory, monkeypatch, faults):
    lab = build(tmp_path_factory.mktemp("lab"), monkeypatch)
    lab.fail(**faults)
    lab.run(play(requests(8, 4)), patience_s=1.0)


@pytest.mark.parametrize("fault", fake_vllm.FAULTS)
def test_each_fault_leaves_a_row_in_the_record(lab: Lab, fault: str):
    """Nothing is repaired in silence."""
    lab.fail(**{fault: 1.0})

    def heal_soon(pool):
        async def heal():
            while not any(e["event"] in ("request_retried", "server_lost") for e in pool.events):
                await asyncio.sleep(0.02)
            lab.fail()

        pool.healing = asyncio.ensure_future(heal())

    events = lab.run(play(requests(2, 2), heal_soon), patience_s=1.0)
    lost = fault in ("die", "hang")
    assert names(events)["server_lost" if lost else "request_retried"] >= 1
    if lost:
        assert names(events)["request_reissued"] >= 1


def test_a_server_killed_in_the_middle(lab: Lab):
    """The requests it had go to the other one; it comes back, gets weights again and is one incarnation further."""
    lab.fail(seconds=0.3)
    asked = requests(10, 4)

    async def run(pool, engine):
        heard = []
        batch = asyncio.create_task(engine.generate(asked, 1.0, MOST, 3, lambda i, r: heard.append(i)))
        while len(heard) < 6:
            await asyncio.sleep(0.02)
        victim = pool.servers[0]
        keeper = pool._origin._processes[victim.name].pid
        os.kill(psutil.Process(keeper).children()[0].pid, signal.SIGKILL)
        check(asked, await batch, heard)
        while victim.version != 3:
            await engine.generate(asked[:1], 1.0, MOST, 3)
            await asyncio.sleep(0.05)
        assert victim.incarnation == 2
        return names(pool.events)

    seen = lab.run(run)
    assert seen["server_lost"] == seen["server_restarted"] == seen["weights_pushed"] == 1
    assert 1 <= seen["request_reissued"] <= 8
    assert lab.pushed == ["vllm_0"]


def test_all_servers_dead_for_good(lab: Lab):
    lab.fail(die=1.0)
    with pytest.raises(ServersGone, match=r"all vLLM servers are gone \(vllm_0: .*vllm_1: .*the same command goes on"):
        lab.run(play(requests(40, 1)))


def test_a_request_that_is_never_answered_well_ends_the_batch(lab: Lab):
    lab.fail(nan=1.0)
    with pytest.raises(UserError, match="log-probabilities that are none|no usable response"):
        lab.run(play(requests(1, 1)), servers=1)


def test_only_servers_with_the_right_weights_are_asked(lab: Lab):
    def old(pool):
        pool.servers[0].version = 2

    async def run(pool, engine):
        old(pool)
        with pytest.raises(NeedsWeights) as caught:
            await engine.generate(requests(1, 1), 1.0, MOST, 4)
        return caught.value.servers

    assert len(lab.run(run, push=None)) == 2
    stale = lab.run(play(requests(2, 2)), push=None, staleness=1)
    assert names(stale) == {"server_started": 2}


def test_a_server_restarted_behind_our_back_is_not_believed(lab: Lab):
    async def forget(pool, engine):
        await pool.control(pool.servers[1], "/update_weight_version", {"new_version": "default"})
        return await play(requests(4, 2))(pool, engine)

    events = lab.run(forget)
    assert names(events)["other_weights"] == 1 and lab.pushed == ["vllm_1"]


def test_a_straggler_is_asked_again_and_the_first_answer_counts(lab: Lab):
    asked = requests(2, 4)
    lab.fail(seconds=0.05, slow={str(asked[0].seed): 1.5})
    events = lab.run(play(asked), patience_s=10.0)
    assert names(events)["straggler_asked_again"] >= 1
    assert Counter(lab.asked())[asked[0].seed] == 2


def test_leaving_aborts_what_is_under_way(lab: Lab):
    lab.fail(seconds=30.0)

    async def leave(pool, engine):
        batch = asyncio.create_task(engine.generate(requests(4, 2), 1.0, MOST, 3))
        while len(lab.asked()) < 8:
            await asyncio.sleep(0.02)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        assert all(server.outstanding == 0 for server in pool.servers)
        while lab.aborted() < 8:
            await asyncio.sleep(0.02)

    lab.run(leave, patience_s=60.0)


def test_what_the_caller_raises_ends_the_batch_with_it(lab: Lab):
    def full(index, rollout):
        raise OSError("the disk is full")

    async def run(pool, engine):
        with pytest.raises(OSError, match="the disk is full"):
            await engine.generate(requests(2, 2), 1.0, MOST, 3, full)

    lab.run(run)


def test_two_batches_at_a_time(lab: Lab):
    lab.fail(seconds=0.05)

    async def both(pool, engine):
        first, second = requests(4, 4), [r for r in requests(12, 4) if r.seed >= 8000]
        answers = await asyncio.gather(*(engine.generate(asked, 1.0, MOST, 3) for asked in (first, second)))
        for asked, rollouts in zip((first, second), answers, strict=True):
            check(asked, rollouts, range(len(asked)))

    lab.run(both)


def test_a_connection_that_the_server_closed_is_not_its_death(lab: Lab):
    """The fake closes without a word after each completion, as servers do with idle connections."""

    async def run(pool, engine):
        for number in range(25):
            await engine.generate(requests(1, 1), 1.0, MOST, 3)
            await pool.control(pool.servers[number % 2], "/weight_info")
        return names(pool.events)

    assert lab.run(run) == {"server_started": 2}
