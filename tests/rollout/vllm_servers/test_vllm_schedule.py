"""The rules of the scheduler, one by one and together."""

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.rollout.vllm.address import Address
from fleming_nemo.rollout.vllm.schedule import Group, Lengths, Queue
from fleming_nemo.rollout.vllm.server import Server


def servers(count):
    return [Server(f"vllm_{i}", Address(f"http://127.0.0.1:{9000 + i}"), version=0) for i in range(count)]


def hand_out(queue, among):
    given_out = []
    for job, server in queue.take(among):
        server.outstanding += 1
        given_out.append((job, server.name))
    return given_out


def group(expected, *jobs):
    return Group(expected, lambda server: server.alive, deque(jobs))


def test_longest_first_and_samples_of_a_prompt_together():
    queue = Queue(bound=2)
    queue.add(group(10, "short 1", "short 2"))
    queue.add(group(500, "long 1", "long 2"))
    one, two = servers(2)
    assert hand_out(queue, [one]) == [("long 1", "vllm_0"), ("long 2", "vllm_0")]
    assert hand_out(queue, [one, two]) == [("short 1", "vllm_1"), ("short 2", "vllm_1")]


def test_a_group_waits_for_its_server_while_others_have_other_work():
    queue = Queue(bound=2)
    queue.add(group(500, "a1", "a2", "a3"))
    queue.add(group(10, "b1", "b2"))
    assert hand_out(queue, servers(2)) == [(j, "vllm_0") for j in ("a1", "a2")] + [(j, "vllm_1") for j in ("b1", "b2")]


def test_a_server_with_nothing_else_to_do_takes_from_any_group():
    queue = Queue(bound=2)
    queue.add(group(500, "a1", "a2", "a3"))
    assert hand_out(queue, servers(2))[-1] == ("a3", "vllm_1")


def test_a_group_leaves_a_dead_server():
    queue = Queue(bound=1)
    queue.add(group(5, "a1", "a2", "a3"))
    one, two = servers(2)
    hand_out(queue, [one])
    one.alive = False
    assert hand_out(queue, [one, two]) == [("a2", "vllm_1")]


@given(
    sizes=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), max_size=8),
    count=st.integers(1, 4),
    bound=st.integers(1, 4),
    draws=st.randoms(use_true_random=False),
)
def test_everything_goes_out_once_and_no_server_gets_more_than_its_bound(sizes, count, bound, draws):
    """Jobs end, servers die and come back in any order; as long as one lives, all work is done."""
    queue, among = Queue(bound), servers(count)
    jobs = []
    for g, (expected, size) in enumerate(sizes):
        names = [(g, k) for k in range(size)]
        jobs += names
        queue.add(group(expected, *names))
    out, running = Counter(), []
    while True:
        for job, server in queue.take(among):
            assert server.alive
            server.outstanding += 1
            assert server.outstanding <= bound
            out[job] += 1
            running.append(server)
        # no server idles while anything waits
        assert not queue or all(s.outstanding == bound for s in among if s.alive)
        if not running:
            break
        done = running.pop(draws.randrange(len(running)))
        done.outstanding -= 1
        flipped = draws.choice(among[1:] or among)
        flipped.alive = not flipped.alive if count > 1 else True
    assert out == Counter(jobs)


def test_lengths_follow_a_policy_that_changes():
    lengths = Lengths()
    assert lengths.expected((1, 2, 3)) > lengths.expected((1, 2))  # nothing known: the longer prompt first
    for _ in range(6):
        lengths.learn((1, 2), 400)
    assert lengths.expected((1, 2)) > lengths.expected((9, 9)) > 100  # of a prompt never seen: as of all
    for _ in range(6):
        lengths.learn((1, 2), 10)
    assert 10 <= lengths.expected((1, 2)) < 20
