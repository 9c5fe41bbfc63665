"""Layouts that a recipe lists by the number of GPUs and the longest sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import ParallelConfig


@dataclass(frozen=True)
class Layout:
    """Sizes as in `ParallelConfig` and `ModelConfig`, with the reason for them."""

    tp: int = 1
    pp: int = 1
    vp: int = 1
    cp: int = 1
    recompute: int = 0
    why: str = ""

    def parallel(self) -> ParallelConfig:
        """The sizes; what is left over becomes data-parallel.

        Sequence parallelism costs nothing where there is tensor parallelism, and overlap nothing anywhere.
        """
        return ParallelConfig(
            tp=self.tp, pp=self.pp, vp=self.vp, cp=self.cp, sequence_parallel=self.tp > 1, overlap=True
        )


Layouts = Mapping[tuple[int, int], Layout]
"""(GPUs, tokens of the longest sequence) -> layout."""


def choose(layouts: Layouts, gpus: int, seq_length: int) -> Layout:
    """The listed layout; UserError that names the listed ones when there is none."""
    if (gpus, seq_length) in layouts:
        return layouts[gpus, seq_length]
    lengths: dict[int, list[int]] = {}
    for count, length in layouts:
        lengths.setdefault(count, []).append(length)
    listed = "; ".join(f"--gpus {n} with --seq-length {' or '.join(map(str, lengths[n]))}" for n in lengths)
    raise UserError(
        f"no layout for {gpus} GPUs and sequences of up to {seq_length} tokens is listed; choose {listed}; or look for "
        f"one with `fleming plan RECIPE --gpus {gpus} --search`, and give it as overrides"
    )
