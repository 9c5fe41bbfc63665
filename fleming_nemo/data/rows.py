"""The sequences of a micro-batch as tensors: padded, packed, or packed behind shared prompts.

Padded, every sequence is a row of its own; packed, there is one row with the sequences one after the other, those of
one question behind one copy of their prompt (`parallel.shared_prompts`).  Shapes: T positions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fleming_nemo.data.families import Alike
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.shared_prompts import Family, SharedPrompts

from megatron.core.packed_seq_params import PackedSeqParams  # isort: skip


def pad(samples: list[Sample], size: int, pad_id: int, layout: groups.Layout) -> MicroBatch:
    """Rows of `size` tokens."""
    rows = [_row(sample, n, size, pad_id, layout) for n, sample in enumerate(samples)]
    return _micro_batch(samples, [np.stack(column) for column in zip(*rows, strict=True)], None)


def pack(samples: list[Sample], size: int, pad_id: int, layout: groups.Layout) -> MicroBatch:
    """One row of `size` tokens; what the sequences leave over is padding."""
    lengths = [round_up(len(sample.tokens), alignment(layout)) for sample in samples]
    rows = [_row(s, n, length, pad_id, layout) for n, (s, length) in enumerate(zip(samples, lengths, strict=True))]
    if rest := size - sum(lengths):  # a sequence of padding, which nobody else attends to
        nothing = Sample(np.full(rest, pad_id), np.zeros(rest))
        rows.append(_row(nothing, 0, rest, pad_id, layout))
        lengths.append(rest)
    ends = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32, device=groups.device())
    longest = max(lengths)
    packed = PackedSeqParams(
        qkv_format="thd", cu_seqlens_q=ends, cu_seqlens_kv=ends, max_seqlen_q=longest, max_seqlen_kv=longest
    )
    columns = [np.concatenate(column)[None] for column in zip(*rows, strict=True)]
    return _micro_batch(samples, columns, packed)


def pack_families(
    families: list[Alike], read: Callable[[int], Sample], size: int, pad_id: int, layout: groups.Layout
) -> MicroBatch:
    """One row of `size` tokens, whose sequences `read` gives by their index."""
    samples: list[Sample] = []
    rows: list[list[np.ndarray]] = []
    packed: list[Family] = []
    for family in families:
        for number, sample in enumerate(map(read, family.members)):
            row = _row(sample, len(samples), len(sample.tokens), pad_id, layout)
            rows += [[x[: family.prefix] for x in row]] if number == 0 else []
            rows.append([x[family.prefix :] for x in row])
            samples.append(sample)
        packed.append(
            Family(family.prefix, tuple(len(s.tokens) - family.prefix for s in samples[-len(family.members) :]))
        )
    if rest := size - sum(family.tokens for family in packed):  # a sequence of padding, which nobody else attends to
        rows.append(_row(Sample(np.full(rest, pad_id), np.zeros(rest)), 0, rest, pad_id, layout))
        packed.append(Family(0, (rest,)))
    columns = [np.concatenate(column)[None] for column in zip(*rows, strict=True)]
    positions_T = torch.from_numpy(columns[1][0]).to(groups.device())
    ends = torch.tensor([0, size], dtype=torch.int32, device=groups.device())
    longest = int(positions_T.max()) + 1
    shared = SharedPrompts(
        qkv_format="thd", cu_seqlens_q=ends, cu_seqlens_kv=ends, max_seqlen_q=longest, max_seqlen_kv=longest,
        families=tuple(packed), positions_T=positions_T,
    )  # fmt: skip
    return _micro_batch(samples, columns, shared)


def _row(sample: Sample, number: int, length: int, pad_id: int, layout: groups.Layout) -> list[np.ndarray]:
    """One sequence padded to `length` and cut for this context-parallel rank, column by column of `MicroBatch`."""
    n = len(sample.tokens)
    tokens, targets = np.full(length, pad_id), np.full(length, pad_id)
    mask, rollout = np.zeros(length, np.float32), np.zeros(length, np.float32)
    tokens[:n] = sample.tokens
    targets[: n - 1] = sample.tokens[1:]
    mask[: n - 1] = sample.mask[1:]
    if sample.logprobs is not None:
        rollout[np.flatnonzero(mask)] = sample.logprobs
    columns = [tokens, np.arange(length), targets, mask, np.full(length, number), rollout]
    return [zigzag(column, layout.cp, layout.cp_rank) for column in columns]


def _micro_batch(samples: list[Sample], columns: list[np.ndarray], packed: PackedSeqParams | None) -> MicroBatch:
    device = groups.device()
    weight_S = torch.tensor([s.weight for s in samples], dtype=torch.float32, device=device)
    length_S = torch.tensor([float(s.mask[1:].sum()) for s in samples], device=device)
    tokens, positions, targets, mask, sequence, rollout = (torch.from_numpy(c).to(device) for c in columns)
    return MicroBatch(tokens, positions, targets, mask, sequence, rollout, weight_S, length_S, packed)


def zigzag(x_T: np.ndarray, cp: int, cp_rank: int) -> np.ndarray:
    """Chunks `cp_rank` and `2 * cp - 1 - cp_rank` of 2 * cp: every rank gets the same share of causal work."""
    if cp == 1:
        return x_T
    chunks = np.split(x_T, 2 * cp)
    return np.concatenate([chunks[cp_rank], chunks[2 * cp - 1 - cp_rank]])


def alignment(layout: groups.Layout) -> int:
    """What the length of a packed sequence divides by: two equal chunks for every context-parallel rank."""
    return 2 * layout.cp if layout.cp > 1 else 1


def round_up(number: int, multiple: int) -> int:
    """To the next multiple."""
    return -(-number // multiple) * multiple
