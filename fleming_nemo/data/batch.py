"""The micro-batches of a global batch: this data- and context-parallel rank's share of its sequences.

What becomes of the sequences of one micro-batch stands in `data.rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import pack_multiple
from fleming_nemo.data import packing, rows
from fleming_nemo.data.families import Alike, cut
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.parallel import groups


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
        families, aligned = [], [rows.round_up(n, rows.alignment(layout)) for n in lengths]
    group = layout.pp if cfg.parallel.vp > 1 else 1
    dealt = packing.plan(aligned, cfg.train.pack_tokens, layout.dp, group, known)
    sizes = [[max(multiple, rows.round_up(sum(aligned[i] for i in pack), multiple)) for pack in r] for r in dealt]
    made = []
    for part, size in zip(dealt[layout.dp_rank], _of_stages(sizes, layout)[layout.dp_rank], strict=True):
        if families:
            made.append(rows.pack_families([families[n] for n in part], read, size, pad_id, layout))
        else:
            made.append(rows.pack([read(i) for i in part], size, pad_id, layout))
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
    dealt = _dealt(lengths, cfg.train.micro_batch, layout.dp)
    sizes = [[rows.round_up(max(lengths[i] for i in part), pack_multiple(cfg)) for part in r] for r in dealt]
    mine = zip(dealt[layout.dp_rank], _of_stages(sizes, layout)[layout.dp_rank], strict=True)
    return [rows.pad([read(i) for i in part], size, pad_id, layout) for part, size in mine]


def _of_stages(sizes: list[list[int]], layout: groups.Layout) -> list[list[int]]:
    """The stages of a pipeline agree on one shape beforehand."""
    if layout.pp == 1:
        return sizes
    largest = max(map(max, sizes))
    return [[largest] * len(r) for r in sizes]


def _dealt(lengths: Sequence[int], micro_batch: int, ranks: int) -> list[list[list[int]]]:
    """Neighbours by length share a forward pass, so that little is padded; ranks take every `ranks`-th of them."""
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    shares = [by_length[rank::ranks] for rank in range(ranks)]
    return [[share[n : n + micro_batch] for n in range(0, len(share), micro_batch)] for share in shares]
