"""Progress bars of a run with many ranks."""

from __future__ import annotations

from fleming_nemo.parallel import groups


def quiet() -> bool | None:
    """tqdm's `disable`: bars on rank 0 only, and there only on a terminal."""
    return None if groups.rank() == 0 else True
