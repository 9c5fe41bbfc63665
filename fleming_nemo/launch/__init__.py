"""Start runs: on this node, under torchrun or srun, or as a job of submitit."""

from fleming_nemo.launch.submit import Submission, submit

__all__ = ["Submission", "submit"]
