"""Start runs: on this node, under torchrun or srun, or as jobs of submitit, one by one, swept or chained.

The names are looked up when they are asked for: what only writes down how an attempt ended must not import submitit.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleming_nemo.launch.pipeline import Chain, submit_chain
    from fleming_nemo.launch.send import submit
    from fleming_nemo.launch.submission import JobFailed, Submission
    from fleming_nemo.launch.sweep import Sweep, submit_sweep

_PLACES = {
    "submit": "send",
    "submit_sweep": "sweep",
    "submit_chain": "pipeline",
    "Submission": "submission",
    "JobFailed": "submission",
    "Sweep": "sweep",
    "Chain": "pipeline",
}

__all__ = ["Chain", "JobFailed", "Submission", "Sweep", "submit", "submit_chain", "submit_sweep"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
