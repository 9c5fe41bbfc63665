"""Updates of changes alone: any change comes back, and what cannot be right is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.rollout.vllm.worker.fleming_transfer import delta, wire
from fleming_nemo.rollout.vllm.worker.fleming_transfer.delta import Changes, Copy, Part


@given(
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    size=st.integers(1, 3000),
    changed=st.lists(st.integers(0, 2999), max_size=40),
    seed=st.integers(0, 99),
)
def test_what_was_changed_comes_back(dtype: torch.dtype, size: int, changed: list[int], seed: int) -> None:
    old = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)
    new = old.clone()
    for place in changed:
        new[place % size] += 1
    steps, values = delta.encode(new, old)
    delta.apply(steps, values, old)
    assert torch.equal(old, new)
    distance = 255
    assert len(steps) <= len({place % size for place in changed}) + size // distance


def test_far_apart_and_next_to_each_other() -> None:
    old = torch.zeros(2000)
    new = old.clone()
    new[[0, 1, 256, 1999]] = torch.tensor([1.0, 2.0, -0.0, 4.0])
    steps, values = delta.encode(new, old)
    assert steps.tolist() == [1, 1, 255, *[255] * 6, 1999 - 256 - 6 * 255]
    assert values.tolist() == [1.0, 2.0, 0.0, *[0.0] * 6, 4.0]
    assert str(values[2]) == "tensor(-0.)", "another bit is a change, although 0 equals -0"


def test_a_part_of_the_columns() -> None:
    whole = torch.arange(24.0).view(4, 6)
    part = Part("w", 1, 2, 4, 0, 0).of(whole)
    new = part.clone()
    new[3, 1] = -5
    delta.apply(*delta.encode(new, part.contiguous()), part)
    assert whole[3].tolist() == [18, 19, 20, -5, 22, 23] and whole.min() == -5


def test_steps_out_of_the_tensor_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        delta.apply(torch.tensor([3, 4], dtype=torch.uint8), torch.zeros(2), torch.zeros(6))


def test_the_whole_is_checked_and_not_only_what_was_sent() -> None:
    copy = Copy()
    copy.keep([("w", torch.arange(10.0))])
    new = torch.arange(10.0)
    new[7] = 1
    steps, values = delta.encode(new, copy.tensors["w"])
    parts = [Part("w", None, 0, 10, len(steps), wire.checksum(new)).to_json()]
    right = Changes(copy, parts)
    right.take([("0.steps", steps), ("0.values", values)])
    right.check()
    copy.tensors["w"][2] = 0  # not among the changes
    with pytest.raises(ValueError, match="not the trainer's"):
        right.check()
