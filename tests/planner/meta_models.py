"""Counts the parameters of every rank's GPTModel on the meta device: one process stands for all ranks in turn.

    python meta_models.py '[["qwen2.5-7b", 2, 2, 7, 1], ...]'      arch, tp, pp, vp, cp

prints, for each, the counts [rank][chunk] as JSON.
"""

import json
import sys

import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import ModelConfig, ParallelConfig
from fleming_nemo.model import gpt
from fleming_nemo.parallel import groups

from megatron.core import parallel_state, tensor_parallel  # isort: skip


def chunks(arch: str, parallel: ParallelConfig, rank: int) -> list[int]:
    """Parameters of each chunk of one rank."""
    world = parallel.tp * parallel.pp * parallel.cp
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
    parallel_state.initialize_model_parallel(
        parallel.tp,
        parallel.pp,
        parallel.vp if parallel.vp > 1 else None,
        context_parallel_size=parallel.cp,
        create_gloo_process_groups=False,
    )
    tensor_parallel.model_parallel_cuda_manual_seed(1)
    with torch.device("meta"):
        networks = gpt.build(ARCHS[arch], ModelConfig(arch=arch), parallel)
    counts = []
    for network in networks:
        assert all(p.device.type == "meta" for p in network.parameters())
        counts.append(sum(p.numel() for p in network.parameters()))
    groups.shutdown()
    return counts


if __name__ == "__main__":
    groups.device = lambda: torch.device("meta")
    found = []
    for arch, tp, pp, vp, cp in json.loads(sys.argv[1]):
        sizes = ParallelConfig(tp=tp, pp=pp, vp=vp, cp=cp)
        found.append([chunks(arch, sizes, rank) for rank in range(tp * pp * cp)])
    print(json.dumps(found))
