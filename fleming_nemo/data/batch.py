"""Micro-batches: the sequences of a global batch as tensors, this data- and context-parallel rank's share of them.

Shapes: B rows, T positions (of this context-parallel rank), S sequences.  Padded, every sequence is a row of its own;
packed, there is one row with the sequences one after the other, those of one question behind one copy of their prompt
(`parallel.shared_prompts`).  Position t of `tokens_BT` predicts `targets_BT[t]`, the token after it; `mask_BT` is 1
where that prediction counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import pack_multiple
from fleming_nemo.data import packing
from fleming_nemo.data.families import Alike, cut
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.shared_prompts import Family, SharedPrompts

from megatron.core.packed_seq_params import PackedSeqParams  # isort: skip


@dataclass
class MicroBatch:
    """One forward pass of one rank."""

    tokens_BT: Tensor
    positions_BT: Tensor
    """Place of each token in its sequence."""
    targets_BT: Tensor
    mask_BT: Tensor
    sequence_BT: Tensor
    """Which of the S sequences a token belongs to; 0 on padding."""
    rollout_BT: Tensor
    """Log-probabilities recorded by the rollout engine (GRPO); zeros in SFT."""
    weight_S: Tensor
    """Advantage of each sequence (GRPO); ones in SFT."""
    length_S: Tensor
    """Trained tokens of each sequence, over all context-parallel ranks."""
    packed: PackedSeqParams | None
    """Where the sequences of a pack begin and end, over all context-parallel ranks; None for padded rows."""
    old_BT: Tensor | None = None
    """Log-probabilities under the weights that drew the batch; None while the policy still has those weights."""
    reference_BT: Tensor | None = None
    """Log-probabilities under the reference policy; None without a KL term."""


@dataclass
class Sample:
    """One sequence: token ids, loss mask of the same length, and what GRPO adds."""

    tokens: np.ndarray
    mask: np.ndarray
    weight: float = 1.0
    logprobs: np.ndarray | None = None
    """Rollout log-probability of each token with mask 1, in order."""
    prompt: int = 0
    """Leading tokens that it was asked with (GRPO); none of them is trained."""


def micro_batches(
    lengths: Sequence[int],
    read: Callable[[int], Sample],
    cfg: RunConfig,
    pad_id: int,
    known: Sequence[packing.Pack] = (),
    alike: Sequence[Alike] = (),
) -> list[MicroBatch]:
    """This rank's micro-batches of a global batch.

    Args:
        lengths: tokens of every sequence of the global batch; the same on all ranks.
        read: the sequence of an index into `lengths`; asked only for this rank's.
        pad_id: any token id; what is computed on it counts nowhere.
        known: a packing of the sequences that a corpus stores; see `packing.plan`.
        alike: all sequences, by what they begin with.  Used in packs where attention goes sequence by sequence: on a
            CPU, without context parallelism.  Elsewhere every sequence keeps a prompt of its own.

    Raises:
        UserError: a sequence is longer than `train.seq_length`.
    """
    check_length(max(lengths), cfg.train.seq_length)
    layout = groups.current()
    if not cfg.train.pack_tokens:
        return _padded(lengths, read, cfg, pad_id, layout)
    multiple = pack_multiple(cfg)
    if alike and shares_prompts(layout):
        families = cut(alike, lengths, cfg.train.pack_tokens, layout.dp)
        aligned, known = [family.tokens(lengths) for family in families], ()
    else:
        families, aligned = [], [_round_up(n, _alignment(layout)) for n in lengths]
    group = layout.pp if cfg.parallel.vp > 1 else 1
    dealt = packing.plan(aligned, cfg.train.pack_tokens, layout.dp, group, known)
    sizes = [[max(multiple, _round_up(sum(aligned[i] for i in pack), multiple)) for pack in r] for r in dealt]
    made = []
    for part, size in zip(dealt[layout.dp_rank], _of_stages(sizes, layout)[layout.dp_rank], strict=True):
        if families:
            made.append(_pack_families([families[n] for n in part], read, size, pad_id, layout))
        else:
            made.append(_pack([read(i) for i in part], size, pad_id, layout))
    return made


def shares_prompts(layout: groups.Layout) -> bool:
    """Whether responses to one question can share their prompt in a pack."""
    return layout.cp == 1 and groups.device().type == "cpu"


def check_length(longest: int, seq_length: int) -> None:
    """Raise a UserError where the longest sequence of a run (in tokens) does not fit: nothing is ever cut."""
    if longest > seq_length:
        raise UserError(f"a sequence has {longest} tokens; train.seq_length={seq_length} is too short for it")


def _padded(
    lengths: Sequence[int], read: Callable[[int], Sample], cfg: RunConfig, pad_id: int, layout: groups.Layout
) -> list[MicroBatch]:
    dealt = _rows(lengths, cfg.train.micro_batch, layout.dp)
    sizes = [[_round_up(max(lengths[i] for i in rows), pack_multiple(cfg)) for rows in r] for r in dealt]
    mine = zip(dealt[layout.dp_rank], _of_stages(sizes, layout)[layout.dp_rank], strict=True)
    return [_pad([read(i) for i in part], size, pad_id, layout) for part, size in mine]


def _of_stages(sizes: list[list[int]], layout: groups.Layout) -> list[list[int]]:
    """The stages of a pipeline agree on one shape beforehand."""
    if layout.pp == 1:
        return sizes
    largest = max(map(max, sizes))
    return [[largest] * len(r) for r in sizes]


def _rows(lengths: Sequence[int], micro_batch: int, ranks: int) -> list[list[list[int]]]:
    """Neighbours by length share a forward pass, so that little is padded; ranks take every `ranks`-th of them."""
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    shares = [by_length[rank::ranks] for rank in range(ranks)]
    return [[share[n : n + micro_batch] for n in range(0, len(share), micro_batch)] for share in shares]


def _pad(samples: list[Sample], size: int, pad_id: int, layout: groups.Layout) -> MicroBatch:
    rows = [_row(sample, n, size, pad_id, layout) for n, sample in enumerate(samples)]
    return _micro_batch(samples, [np.stack(column) for column in zip(*rows, strict=True)], None)


def _pack(samples: list[Sample], size: int, pad_id: int, layout: groups.Layout) -> MicroBatch:
    lengths = [_round_up(len(sample.tokens), _alignment(layout)) for sample in samples]
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


def _pack_families(
    families: list[Alike], read: Callable[[int], Sample], size: int, pad_id: int, layout: groups.Layout
) -> MicroBatch:
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


def _alignment(layout: groups.Layout) -> int:
    """What the length of a packed sequence divides by: two equal chunks for every context-parallel rank."""
    return 2 * layout.cp if layout.cp > 1 else 1


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
