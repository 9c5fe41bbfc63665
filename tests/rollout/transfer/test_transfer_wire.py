"""What travels: every byte arrives where it belongs, whatever the shapes, and damage is noticed."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.rollout.vllm.worker.fleming_transfer import wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.buckets import Assembler, Leases
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


@given(entries=entries, bucket_bytes=st.integers(600, 2000))
def test_every_tensor_comes_out_as_it_went_in(entries: list[Entry], bucket_bytes: int) -> None:
    sent = wire.plan(entries, bucket_bytes)
    tensors = tensors_of(sent)
    plan = wire.from_announcement(json.loads(json.dumps(sent.announce())))
    assembler = Assembler(plan)
    got = []
    for number, bucket in enumerate(packed(sent, tensors)):
        assert len(bucket) <= bucket_bytes + SEAL_BYTES + wire.ALIGNMENT
        wire.check_seal(bucket, number)
        got += assembler.tensors(number, bucket)
    assert [name for name, _ in got] == [entry.name for entry in entries]
    for name, tensor in got:
        assert tensor.dtype == tensors[name].dtype and torch.equal(tensor, tensors[name])


def test_a_tensor_larger_than_a_bucket_goes_over_several() -> None:
    plan = wire.plan([Entry("large", "float32", (100, 16)), Entry("small", "bfloat16", (3,))], 1024)
    assert [len(spans) for spans in plan.buckets] == [1] * 6 + [2]
    assert plan.nbytes == 6406


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
        wire.check_seal(bucket, 1)


def test_memory_that_is_looked_at_is_not_used_again() -> None:
    leases = Leases(torch.device("cpu"))
    first = leases.take(100)
    place = first.data_ptr()
    kept = first[10:20].view(5, 2)
    kept.fill_(7)
    del first
    second = leases.take(100)
    second.fill_(1)
    assert second.data_ptr() != place and bool((kept == 7).all())
    del kept
    assert leases.take(80).data_ptr() == place
