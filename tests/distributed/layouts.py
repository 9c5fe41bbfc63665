"""Names of layouts, and the config of each: `tp2+sp cp2 packed` is what it says."""

from typing import Any

import tiny

from fleming_nemo.config.schema import RunConfig

_PARALLEL: dict[str, dict[str, Any]] = {
    "tp2": {"tp": 2},
    "sp": {"sequence_parallel": True},
    "pp2": {"pp": 2},
    "vp2": {"vp": 2},
    "cp2": {"cp": 2},
    "dp2": {},
    "overlap": {"overlap": True},
}
PACK_TOKENS = 2 * tiny.SEQ_LENGTH


def words(layout: str) -> list[str]:
    return layout.replace("+", " ").split()


def config(arch: str, layout: str, precision: str = "fp32", micro_batch: int = 2) -> RunConfig:
    parallel: dict[str, Any] = {}
    for word in words(layout):
        parallel |= _PARALLEL.get(word, {})
    cfg = tiny.config(arch, micro_batch=micro_batch, precision=precision, **parallel)
    if "packed" in words(layout):
        cfg.train.pack_tokens = PACK_TOKENS
    if "recompute" in words(layout):
        cfg.model.recompute = -1
    return cfg


def world(layout: str) -> int:
    """Processes: two for every size that is cut in two."""
    size = 1
    for word in words(layout):
        size *= 2 if word in ("tp2", "pp2", "cp2", "dp2") else 1
    return size
