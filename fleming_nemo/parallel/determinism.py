"""`train.deterministic`: the same bits from the same start, on a GPU as on a CPU.

Order of summation is what varies: in atomic additions of some CUDA kernels, in cuBLAS with several workspaces, in NCCL
when it chooses another algorithm, in the attention of Transformer Engine.  Each has a switch; three of them are
variables of the environment, read when the library is first used.  megatron-core's own switch is
`TransformerConfig.deterministic_mode`, which follows `torch.are_deterministic_algorithms_enabled()` in `model.gpt`.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from fleming_nemo.config.errors import UserError

# Accepted values, of which the first is set where nothing else is.  NCCL's tree changes with the topology it finds.
_VARIABLES = {
    "CUBLAS_WORKSPACE_CONFIG": (":4096:8", ":16:8"),
    "NCCL_ALGO": ("Ring", "CollnetDirect", "CollnetChain", "^NVLS"),
    "NVTE_ALLOW_NONDETERMINISTIC_ALGO": ("0",),
}


def set_environment(environ: MutableMapping[str, str]) -> None:
    """Set what CUDA's libraries read when they start; a deterministic value that is there already stays.

    Raises:
        UserError: a variable has a value under which results vary.
    """
    for name, accepted in _VARIABLES.items():
        value = environ.setdefault(name, accepted[0])
        if not all(part.strip() in accepted for part in value.split(",")):
            raise UserError(
                f"{name} is {value!r}, under which results vary; unset it or choose one of {', '.join(accepted)}, "
                "or set train.deterministic=false"
            )


def make_deterministic() -> None:
    """Switch this process over; to be called before it uses CUDA.

    An operation that cannot be deterministic then raises RuntimeError instead of running.
    """
    set_environment(os.environ)
    import torch

    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)
