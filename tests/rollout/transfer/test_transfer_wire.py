"""What travels: every byte arrives where it belongs, whatever the shapes, and damage is noticed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.rollout.vllm.worker.fleming_transfer import wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.buckets import Incoming, Leases
from fleming_nemo.rollout.vllm.worker.fleming_transfer.wire import SEAL_BYTES, Entry, Plan

shapes = st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple)
entries = st.lists(st.tuples(st.sampled_from(["float32", "bfloat16"]), shapes), min_size=1, max_size=12).map(
    lambda rows: [Entry(f"t{n}", dtype, shape) for n, (dtype, shape) in enumerate(rows)]
)


def tensors_of(plan: Plan) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {e.name: torch.randn(e.shape, generator=generator).to(e.torch_dtype) for e in plan.entries}


def packed(plan: Plan, tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    buckets = []
    for number, spans in enumerate(plan.buckets):
        bucket = torch.full((plan.size(number),), 255, dtype=torch.uint8)
        for span in spans:
            plan.view(bucket, span).copy_(tensors[plan.entries[span.entry].name][span.start : span.stop])
        wire.seal(bucket, number)
        buckets.append(bucket)
    return buckets


class Posted:
    """What has been sent, in the order in which it is received: the end of a channel without a network."""

    def __init__(self, plan: Plan, buckets: list[torch.Tensor]) -> None:
        self.left = [part for bucket in buckets for part in (bucket[:-SEAL_BYTES], bucket[-SEAL_BYTES:])]
        self.arriving: list[tuple[torch.Tensor, torch.Tensor]] = []

    def broadcast(self, place: torch.Tensor) -> int:
        self.arriving.append((place, self.left[len(self.arriving)]))
        return len(self.arriving) - 1

    def wait(self, work: int) -> None:
        place, content = self.arriving[work]
        place.copy_(content)


def received(sent: Plan, buckets: list[torch.Tensor]) -> tuple[Incoming, list[tuple[str, torch.Tensor]]]:
    """What comes out, copied at once, as the memory is used again."""
    plan = wire.from_announcement(json.loads(json.dumps(sent.announce())))
    channel: Any = Posted(plan, buckets)
    incoming = Incoming(channel, plan, [], Leases(torch.device("cpu")))
    found = []
    for tensors in incoming:
        found += [(name, tensor.clone()) for name, tensor in tensors]
        del tensors
    assert len(channel.arriving) == 2 * len(buckets), "also after damage all is received"
    return incoming, found


@given(entries=entries, bucket_bytes=st.integers(600, 2000))
def test_every_tensor_comes_out_as_it_went_in(entries: list[Entry], bucket_bytes: int) -> None:
    sent = wire.plan(entries, bucket_bytes)
    tensors, buckets = tensors_of(sent), packed(sent, tensors_of(sent))
    assert all(len(bucket) <= bucket_bytes + SEAL_BYTES for bucket in buckets)
    incoming, got = received(sent, buckets)
    assert incoming.problem is None and incoming.digest
    assert [name for name, _ in got] == [entry.name for entry in entries]
    for name, tensor in got:
        assert tensor.dtype == tensors[name].dtype and torch.equal(tensor, tensors[name])


DAMAGE: dict[str, Callable[[list[torch.Tensor]], Any]] = {
    "torn": lambda buckets: buckets[2][-40:-SEAL_BYTES].zero_(),
    "stale": lambda buckets: buckets[2].copy_(buckets[1]),
    "swapped": lambda buckets: buckets.insert(2, buckets.pop(3)),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_part_of_a_large_tensor_is_noticed_and_nothing_after_it_is_used(kind: str) -> None:
    sent = wire.plan([Entry("first", "float32", (7,)), Entry("large", "float32", (100, 16)), plan_entry()], 1024)
    buckets = packed(sent, tensors_of(sent))
    assert [len(bucket) for bucket in buckets[1:4]] == [960 + SEAL_BYTES] * 3
    DAMAGE[kind](buckets)
    incoming, got = received(sent, buckets)
    assert [name for name, _ in got] == ["first"]
    assert "bucket 2 arrived damaged" in str(incoming.problem)


def test_a_tensor_larger_than_a_bucket_goes_over_several_of_its_own() -> None:
    plan = wire.plan([Entry("large", "float32", (100, 16)), Entry("small", "bfloat16", (3,))], 1024)
    assert [len(spans) for spans in plan.buckets] == [1] * 8
    assert [plan.parted(number) is not None for number in range(8)] == [True] * 7 + [False]
    assert plan.nbytes == 6406


def test_a_tensor_that_fits_into_a_bucket_is_never_cut() -> None:
    plan = wire.plan([Entry(f"t{n}", "float32", (150,)) for n in range(4)], 1024)
    assert [[span.stop for span in spans] for spans in plan.buckets] == [[150]] * 4


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        wire.plan([Entry("wide", "float32", (2, 300))], 1024)
    told = wire.plan([Entry("t", "float32", (20,))], 1024).announce()
    with pytest.raises(ValueError, match="same version"):
        wire.from_announcement(told | {"bucket_sizes": [96, 16]})
    with pytest.raises(ValueError, match="no type"):
        wire.plan([replace(plan_entry(), dtype="device")], 1024)


def plan_entry() -> Entry:
    return Entry("t", "float32", (20,))


@given(data=st.data(), nbytes=st.integers(1, 9000))
def test_a_checksum_sees_any_changed_byte(data: st.DataObject, nbytes: int) -> None:
    content = torch.randint(0, 256, (nbytes,), generator=torch.Generator().manual_seed(nbytes)).to(torch.uint8)
    before = wire.checksum(content)
    content[data.draw(st.integers(0, nbytes - 1))] ^= data.draw(st.integers(1, 255))
    assert wire.checksum(content) != before


def test_a_checksum_sees_blocks_that_changed_places() -> None:
    content = torch.arange(4 * 4096) % 251
    content = content.to(torch.uint8)
    moved = torch.cat([content[4096:8192], content[:4096], content[8192:]])
    assert wire.checksum(moved) != wire.checksum(content)


def test_a_seal_knows_its_bucket() -> None:
    plan = wire.plan([plan_entry()], 1024)
    (bucket,) = packed(plan, tensors_of(plan))
    with pytest.raises(ValueError, match="bucket 1 arrived damaged"):
        wire.check_seal(bucket[:-SEAL_BYTES], bucket[-SEAL_BYTES:], 1)


def test_memory_that_is_looked_at_is_not_used_again() -> None:
    leases = Leases(torch.device("cpu"))
    first = leases.take(100, 128)
    place = first.data_ptr()
    kept = first[10:20].view(5, 2)
    kept.fill_(7)
    del first
    second = leases.take(100, 128)
    second.fill_(1)
    assert second.data_ptr() != place and bool((kept == 7).all())
    del kept
    assert leases.take(80, 128).data_ptr() == place


def test_memory_of_large_tensors_is_not_kept_between_transfers() -> None:
    leases = Leases(torch.device("cpu"))
    taken = [leases.take(100, room) for room in (128, 4096, 128, 128, 128)]
    del taken
    assert sorted(map(len, leases._free)) == [128] * 4 + [4096]
    leases.trim(128)
    assert list(map(len, leases._free)) == [128] * 3
