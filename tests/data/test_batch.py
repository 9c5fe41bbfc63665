"""Micro-batches: what predicts what, padding, and the cut over context-parallel ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig, TrainConfig
from fleming_nemo.data.batch import micro_batches
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.data.rows import zigzag

pytestmark = pytest.mark.usefixtures("one_process")

PAD = 99


def sample(length: int, prompt: int, offset: int = 0) -> Sample:
    tokens = np.arange(length) + 10 * offset
    mask = (np.arange(length) >= prompt).astype(np.uint8)
    return Sample(tokens, mask, weight=offset + 0.5, logprobs=-tokens[prompt:].astype(np.float32))


def made_of(samples: list[Sample], size: int = 1, seq_length: int = 64, pack_tokens: int = 0) -> list[MicroBatch]:
    cfg = RunConfig(train=TrainConfig(micro_batch=size, seq_length=seq_length, pack_tokens=pack_tokens))
    return micro_batches([len(s.tokens) for s in samples], samples.__getitem__, cfg, PAD)


def test_position_t_predicts_token_t_plus_1() -> None:
    (batch,) = made_of([sample(6, prompt=4, offset=2)])
    assert batch.tokens_BT.tolist() == [[20, 21, 22, 23, 24, 25]]
    assert batch.positions_BT.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert batch.targets_BT.tolist() == [[21, 22, 23, 24, 25, PAD]]
    # the first response token is predicted by the last prompt token
    assert batch.mask_BT.tolist() == [[0, 0, 0, 1, 1, 0]]
    assert batch.rollout_BT.tolist() == [[0, 0, 0, -24, -25, 0]]
    assert batch.weight_S.tolist() == [2.5]
    assert batch.packed is None


LENGTHS = st.lists(st.tuples(st.integers(2, 20), st.integers(1, 19)), min_size=1, max_size=9)


def trained(batches: list[MicroBatch]) -> list[tuple[float, int]]:
    """(weight of its sequence, target) of every trained position, after a look at what lies around it."""
    found = []
    for batch in batches:
        for row, position in batch.mask_BT.nonzero().tolist():
            assert batch.targets_BT[row, position] == batch.tokens_BT[row, position + 1]
            assert batch.rollout_BT[row, position] == -batch.targets_BT[row, position]
            assert batch.positions_BT[row, position + 1] == batch.positions_BT[row, position] + 1
            found.append(
                (float(batch.weight_S[batch.sequence_BT[row, position]]), int(batch.targets_BT[row, position]))
            )
    return sorted(found)


@given(lengths=LENGTHS, size=st.integers(1, 4), pack_tokens=st.sampled_from([0, 20, 34, 200]))
def test_every_trained_token_is_there_once(lengths: list[tuple[int, int]], size: int, pack_tokens: int) -> None:
    samples = [sample(n, min(prompt, n - 1), offset) for offset, (n, prompt) in enumerate(lengths)]
    batches = made_of(samples, size, 20, pack_tokens)
    if pack_tokens:
        assert all(b.tokens_BT.shape[0] == 1 and b.tokens_BT.shape[1] <= pack_tokens for b in batches)
    else:
        assert len(batches) == -(-len(samples) // size)
        assert max(b.tokens_BT.shape[1] for b in batches) <= max(len(s.tokens) for s in samples) + 1
    assert trained(batches) == sorted((s.weight, int(token)) for s in samples for token in s.tokens[s.mask == 1])


@given(lengths=LENGTHS)
def test_a_pack_says_where_its_sequences_begin(lengths: list[tuple[int, int]]) -> None:
    samples = [sample(n, min(prompt, n - 1), offset) for offset, (n, prompt) in enumerate(lengths)]
    for batch in made_of(samples, seq_length=20, pack_tokens=40):
        assert batch.packed is not None
        ends = batch.packed.cu_seqlens_q.tolist()
        assert ends[0] == 0 and ends[-1] == batch.tokens_BT.size(1)
        assert batch.packed.max_seqlen_q == max(b - a for a, b in zip(ends, ends[1:], strict=False))
        for start, end in zip(ends, ends[1:], strict=False):
            assert batch.positions_BT[0, start:end].tolist() == list(range(end - start))
            assert len(set(batch.sequence_BT[0, start:end].tolist())) == 1


def test_short_sequences_are_padded_on_the_right() -> None:
    (batch,) = made_of([sample(6, 2), sample(3, 2)], 2)
    assert batch.tokens_BT[0].tolist() == [0, 1, 2, PAD, PAD, PAD]
    assert batch.targets_BT[0].tolist() == [1, 2, PAD, PAD, PAD, PAD]
    assert batch.mask_BT[0].tolist() == [0, 1, 0, 0, 0, 0]
    assert batch.sequence_BT.tolist() == [[0] * 6, [1] * 6]


def test_sequences_of_similar_length_share_a_micro_batch() -> None:
    batches = made_of([sample(n, 1) for n in (20, 4, 18, 6)], 2)
    assert [b.tokens_BT.shape for b in batches] == [(2, 6), (2, 20)]


def test_sft_samples_have_weight_one_and_no_reference() -> None:
    (batch,) = made_of([Sample(np.arange(4), np.array([0, 0, 1, 1]))])
    assert batch.weight_S.tolist() == [1] and not batch.rollout_BT.any()


def test_a_sequence_longer_than_the_limit_is_refused_not_cut() -> None:
    fits = made_of([sample(12, 1)], 1, 12)
    assert fits[0].tokens_BT.size(1) == 12
    with pytest.raises(UserError, match="13 tokens; train.seq_length=12"):
        made_of([sample(13, 1)], 1, 12)


@given(cp=st.integers(1, 4), half=st.integers(1, 3))
def test_zigzag_gives_each_position_to_one_rank(cp: int, half: int) -> None:
    x_T = np.arange(2 * cp * half)
    parts = [zigzag(x_T, cp, rank) for rank in range(cp)]
    first = [p[:half] for p in parts] if cp > 1 else parts
    second = [p[half:] for p in parts][::-1] if cp > 1 else []
    assert np.array_equal(np.concatenate([*first, *second]), x_T)


def test_zigzag_balances_causal_work() -> None:
    """Sum of (position + 1), the number of keys a query sees, is the same on every rank."""
    work = {int((zigzag(np.arange(48), 3, rank) + 1).sum()) for rank in range(3)}
    assert len(work) == 1
