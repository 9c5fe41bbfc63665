"""What the ranks of the tests of emulated fp8 do."""

from functools import partial
from unittest import mock

import tiny

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.model import gpt
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.fp8_emulation_layers import emulated_block_spec
from fleming_nemo.training.engine import Engine

SHAPE = ArchShape("qwen2.5", 2, 256, 512, 4, 2, 64, 1024, 1e4, 1e-6, False, 128)
"""Blocks of 128 divide every matrix, also on each of two tensor-parallel ranks."""


def train(cfg: RunConfig, recipe: str) -> list[dict[str, float]]:
    """Steps on the random weights of one seed."""
    groups.init(cfg.parallel, seed=7)
    return steps(cfg, recipe)


def steps(cfg: RunConfig, recipe: str) -> list[dict[str, float]]:
    """The same in process groups that are there.

    With a rate of 0: after an update by AdamW a value that fell on the other side of a float8 number would show.
    """
    cfg.optim.lr = 0.0
    with mock.patch.object(gpt, "block_spec", partial(emulated_block_spec, recipe=recipe)):
        engine = Engine(cfg, SHAPE)
    return tiny.train(engine, "sft")
