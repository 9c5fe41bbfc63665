"""Micro-batches: what predicts what, padding, and the cut over context-parallel ranks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.batch import MicroBatch, Sample, micro_batches, zigzag

pytestmark = pytest.mark.usefixtures("one_process")

PAD = 99


def sample(length: int, prompt: int, offset: int = 0) -> Sample:
    tokens = np.arange(length) + 10 * offset
    mask = (np.arange(length) >= prompt).astype(np.uint8)
    return Sample(tokens, mask, weight=offset + 0.5, logprobs=-tokens[prompt:].astype(np.float32))


def test_position_t_predicts_token_t_plus_1() -> None:
    (batch,) = micro_batches([sample(6, prompt=4, offset=2)], 1, 64, PAD)
    assert batch.tokens_BT.tolist() == [[20, 21, 22, 23, 24, 25]]
    assert batch.positions_BT.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert batch.targets_BT.tolist() == [[21, 22, 23, 24, 25, PAD]]
    # the first response token is predicted by the last prompt token
    assert batch.mask_BT.tolist() == [[0, 0, 0, 1, 1, 0]]
    assert batch.reference_BT.tolist() == [[0, 0, 0, -24, -25, 0]]
    assert batch.weight_B.tolist() == [2.5]


@given(
    lengths=st.lists(st.tuples(st.integers(2, 20), st.integers(1, 19)), min_size=1, max_size=9), size=st.integers(1, 4)
)
def test_every_trained_token_is_there_once(lengths: list[tuple[int, int]], size: int) -> None:
    samples = [sample(n, min(prompt, n - 1), offset) for offset, (n, prompt) in enumerate(lengths)]
    batches = micro_batches(samples, size, 20, PAD)
    assert len(batches) == -(-len(samples) // size)
    found = []
    for batch in batches:
        assert batch.tokens_BT.size(1) <= max(map(len, (s.tokens for s in samples))) + 1
        for row, position in batch.mask_BT.nonzero().tolist():
            assert batch.targets_BT[row, position] == batch.tokens_BT[row, position + 1]
            assert batch.reference_BT[row, position] == -batch.targets_BT[row, position]
            found.append((float(batch.weight_B[row]), int(batch.targets_BT[row, position])))
    expected = [(s.weight, int(token)) for s in samples for token in s.tokens[s.mask == 1]]
    assert sorted(found) == sorted(expected)


def test_short_sequences_are_padded_on_the_right() -> None:
    (batch,) = micro_batches([sample(6, 2), sample(3, 2)], 2, 64, PAD)
    assert batch.tokens_BT[0].tolist() == [0, 1, 2, PAD, PAD, PAD]
    assert batch.targets_BT[0].tolist() == [1, 2, PAD, PAD, PAD, PAD]
    assert batch.mask_BT[0].tolist() == [0, 1, 0, 0, 0, 0]


def test_sequences_of_similar_length_share_a_micro_batch() -> None:
    batches = micro_batches([sample(n, 1) for n in (20, 4, 18, 6)], 2, 64, PAD)
    assert [b.tokens_BT.shape for b in batches] == [(2, 6), (2, 20)]


def test_sft_samples_have_weight_one_and_no_reference() -> None:
    (batch,) = micro_batches([Sample(np.arange(4), np.array([0, 0, 1, 1]))], 1, 64, PAD)
    assert batch.weight_B.tolist() == [1] and not batch.reference_BT.any()


def test_a_sequence_longer_than_the_limit_is_refused_not_cut() -> None:
    fits: list[MicroBatch] = micro_batches([sample(12, 1)], 1, 12, PAD)
    assert fits[0].tokens_BT.size(1) == 12
    with pytest.raises(UserError, match="13 tokens; train.seq_length=12"):
        micro_batches([sample(13, 1)], 1, 12, PAD)


@given(cp=st.integers(1, 4), half=st.integers(1, 3))
def test_zigzag_gives_each_position_to_one_rank(cp: int, half: int) -> None:
    x_BT = torch.arange(2 * cp * half * 2).reshape(2, -1)
    parts = [zigzag(x_BT, cp, rank) for rank in range(cp)]
    first = [p[:, :half] for p in parts] if cp > 1 else parts
    second = [p[:, half:] for p in parts][::-1] if cp > 1 else []
    assert torch.equal(torch.cat([*first, *second], dim=1), x_BT)


def test_zigzag_balances_causal_work() -> None:
    """Sum of (position + 1), the number of keys a query sees, is the same on every rank."""
    work = {int((zigzag(torch.arange(48)[None], 3, rank) + 1).sum()) for rank in range(3)}
    assert len(work) == 1
