"""GPUs by name, with the figures of their vendor's data sheets.

Sources: NVIDIA's data sheets of A100 80GB SXM, H100 SXM, H200 SXM, DGX A100/H100/H200/B200 and GB200 NVL72; for H20,
which has no public sheet, the figures that vendors of servers print.  FLOP rates are dense (the sheets also print those
with sparsity, twice as high).  Bandwidths are for one direction: half of what the sheets print for NVLink.  A gigabyte
is 1e9 bytes here; drivers report some percent more than the printed size, which the planner leaves as a reserve for
fragmentation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import nearest

GB = 1e9


@dataclass(frozen=True)
class GPU:
    """One accelerator and how it is connected.

    Attributes:
        memory: bytes.
        bf16_flops, fp8_flops: dense peak in FLOP/s; 0 = the type is not supported.
        hbm: memory bandwidth in B/s.
        nvlink: B/s of one GPU to the others of its NVLink domain, one direction.
        network: B/s of the network card of one GPU, one direction.
        domain: GPUs that NVLink joins.
    """

    name: str
    memory: float
    bf16_flops: float
    fp8_flops: float
    hbm: float
    nvlink: float
    network: float
    domain: int

    def bandwidth(self, size: int, stride: int) -> float:
        """B/s of one GPU in a ring over `size` ranks that lie `stride` ranks apart.

        A ring that leaves the node enters and leaves it through the network cards of its members there: with four
        members in a node NCCL runs four rings over four cards.
        """
        if size * stride <= self.domain:
            return self.nvlink
        members = max(1, self.domain // stride)
        return min(self.nvlink, members * self.network)


GPUS: dict[str, GPU] = {
    gpu.name: gpu
    for gpu in (
        GPU("a100-80", 80 * GB, 312e12, 0, 2.04e12, 300 * GB, 25 * GB, 8),
        GPU("h100", 80 * GB, 989e12, 1979e12, 3.35e12, 450 * GB, 50 * GB, 8),
        GPU("h200", 141 * GB, 989e12, 1979e12, 4.8e12, 450 * GB, 50 * GB, 8),
        GPU("h20", 96 * GB, 148e12, 296e12, 4.0e12, 450 * GB, 50 * GB, 8),
        GPU("b200", 180 * GB, 2250e12, 4500e12, 8.0e12, 900 * GB, 50 * GB, 8),
        # 72 GPUs of a rack share one NVLink domain, whatever a node is called.
        GPU("gb200", 186 * GB, 2500e12, 5000e12, 8.0e12, 900 * GB, 50 * GB, 72),
    )
}


def find_gpu(name: str) -> GPU:
    """The GPU of that name; UserError with the nearest name when there is none."""
    if name not in GPUS:
        close = nearest(name, list(GPUS), count=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(GPUS)}"
        raise UserError(f"there is no GPU {name!r} in the planner's table; {hint}")
    return GPUS[name]


# What CUDA calls them.  Whole names only: the PCIe and NVL cards of a family are slower than its SXM modules, and a
# slice of a GPU (MIG) is less than the GPU.
_DEVICES = {
    "a100-80": r"NVIDIA A100-SXM4?-80GB",
    "h100": r"NVIDIA H100 80GB HBM3",
    "h200": r"NVIDIA H200",
    "h20": r"NVIDIA H20",
    "b200": r"NVIDIA B200",
    "gb200": r"NVIDIA GB200",
}


def recognise(device: str) -> GPU | None:
    """The GPU that CUDA calls `device`; None for one that is not in the table."""
    return next((GPUS[name] for name, pattern in _DEVICES.items() if re.fullmatch(pattern, device)), None)
