"""Sums over whole sequences, of which context parallelism gives each rank a part."""

from __future__ import annotations

import torch
from torch import Tensor

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.parallel import groups

from megatron.core import parallel_state  # isort: skip


@torch.no_grad()
def sequence_sums(value_N: Tensor, sequence_N: Tensor, batch: MicroBatch) -> Tensor:
    """Sum [S] of the tokens' values in each sequence, over all context-parallel ranks; no gradient."""
    sums_S = torch.zeros(len(batch.weight_S), dtype=torch.float32, device=value_N.device)
    sums_S.index_add_(0, sequence_N, value_N.float())
    if groups.current().cp > 1:
        torch.distributed.all_reduce(sums_S, group=parallel_state.get_context_parallel_group())
    return sums_S
