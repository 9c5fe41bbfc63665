"""The fastest layouts of a run that fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.planner import memory
from fleming_nemo.planner.hardware import GB, GPU
from fleming_nemo.planner.plan import Plan, plan
from fleming_nemo.planner.workload import Workload, from_config

MARGIN = 0.95
"""Share of the memory that a layout may fill: what the model does not know must fit into the rest."""
MOST_MODEL_PARALLEL = 64
"""GPUs for one copy of the model, context parallelism apart: more are never needed for models of this size."""
EQUAL = 1.01
"""Layouts whose speed differs by less than this factor count as equal; the simpler one comes first."""


@dataclass(frozen=True)
class Layout:
    """One way to run a config, and its plan."""

    cfg: RunConfig
    plan: Plan

    @property
    def overrides(self) -> str:
        """The layout as overrides of the recipe."""
        sizes, cfg = self.cfg.parallel, self.cfg
        flags = {"sequence_parallel": sizes.sequence_parallel, "overlap": sizes.overlap}
        words = [f"parallel.{name}={getattr(sizes, name)}" for name in ("tp", "pp", "vp", "cp")]
        words += [f"parallel.{name}={str(on).lower()}" for name, on in flags.items()]
        words += [f"model.recompute={cfg.model.recompute}", f"train.pack_tokens={cfg.train.pack_tokens}"]
        if not cfg.train.pack_tokens:
            words[-1:] = [f"train.micro_batch={cfg.train.micro_batch}"]
        return " ".join(words)

    @property
    def losses(self) -> list[str]:
        """Shares of the training time that are not the model's own work, largest first, from 1 % on."""
        time = self.plan.training
        shares = {
            "tensor-parallel communication": time.tp_communication,
            "context-parallel communication": time.cp_communication,
            "pipeline communication": time.pp_communication,
            "waiting stages": time.bubble,
            "data-parallel communication": time.dp_communication,
            "recomputation": time.recompute,
            "optimizer": time.optimizer,
        }
        lost = sorted(((seconds / time.total, name) for name, seconds in shares.items()), reverse=True)
        return [f"{share:.0%} {name}" for share, name in lost if share >= 0.01]

    @property
    def reason(self) -> str:
        """Where its memory and its time go."""
        made = self.plan
        spent = f"; of training, {' and '.join(self.losses[:2])}" if self.losses else ""
        return f"{made.memory.total / GB:.0f} of {made.work.gpu.memory / GB:.0f} GB{spent}"


def search(cfg: RunConfig, gpus: int, gpu: GPU, count: int = 5) -> list[Layout]:
    """The `count` best layouts of `cfg` on `gpus` GPUs, fastest first; each differs in tp, pp or cp from the others.

    Raises:
        UserError: no layout fits, or the config allows none on so many GPUs.
    """
    best: dict[tuple[int, int, int], Layout] = {}
    possible, refusal = False, ""
    for candidate in _candidates(cfg, gpus, gpu):
        sizes = candidate.parallel
        key = (sizes.tp, sizes.pp, sizes.cp)
        try:
            work = from_config(candidate, gpus, gpu)
        except UserError as error:
            refusal = refusal or str(error)
            continue
        possible = True
        fitting = _least_recompute(work)
        if fitting is not None:
            model = replace(candidate.model, recompute=fitting.recompute)
            made = Layout(replace(candidate, model=model), plan(fitting))
            if key not in best or _rank(made) < _rank(best[key]):
                best[key] = made
    if not possible:
        raise UserError(f"no layout of {cfg.model.arch} is possible on {gpus} GPUs; the simplest one: {refusal}")
    if not best:
        raise UserError(
            f"no layout of {cfg.model.arch} fits {gpus} {gpu.name} with sequences of {cfg.train.seq_length} tokens; "
            "use more GPUs, GPUs with more memory, or a lower train.seq_length"
        )
    return sorted(best.values(), key=_rank)[:count]


def _rank(layout: Layout) -> tuple[int, int, int, float]:
    """Faster first; of equally fast ones, the one with fewer kinds and ranks of model parallelism."""
    work, speed = layout.plan.work, layout.plan.tokens_per_second
    return -round(math.log(speed) / math.log(EQUAL)), work.pp * work.vp * work.cp, work.tp, -speed


def _least_recompute(work: Workload) -> Workload | None:
    """The workload with as few recomputed layers as fit, in quarters of a chunk; None where not even all of them do."""
    for recompute in sorted({0, work.layers // 4, work.layers // 2, 3 * work.layers // 4}) + [-1]:
        work = replace(work, recompute=recompute)
        if memory.worst(work)[1].total <= MARGIN * work.gpu.memory:
            return work
    return None


def _candidates(cfg: RunConfig, gpus: int, gpu: GPU) -> Iterator[RunConfig]:
    """Layouts without recomputation, possible or not."""
    shape, train = ARCHS[cfg.model.arch], cfg.train
    model = replace(cfg.model, recompute=0)
    for tp in _divisors(shape.num_kv_heads):
        for pp in (n for n in _divisors(shape.num_layers) if n * tp <= min(gpus, MOST_MODEL_PARALLEL)):
            for cp in (n for n in (1, 2, 4, 8) if n * pp * tp <= gpus and tp <= gpu.domain):
                for vp in _divisors(shape.num_layers // pp) if pp > 1 else [1]:
                    sizes = replace(
                        cfg.parallel, tp=tp, pp=pp, vp=vp, cp=cp, dp=0, sequence_parallel=tp > 1, overlap=True
                    )
                    for width in (1, 2, 4):
                        if train.pack_tokens:
                            batch = replace(train, pack_tokens=width * train.seq_length)
                        else:
                            batch = replace(train, micro_batch=width)
                        yield replace(cfg, model=model, parallel=sizes, train=batch)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
