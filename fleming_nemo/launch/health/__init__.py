"""Checks of one machine before a run: each returns findings, and needs neither torch nor a GPU to be imported."""

from fleming_nemo.launch.health.finding import Finding

__all__ = ["Finding"]
