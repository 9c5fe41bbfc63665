"""What the ranks of test_guards.py do."""

from pathlib import Path
from typing import Any

import tiny
import torch
from work import fingerprint

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.parallel import groups
from fleming_nemo.training import checkpoint
from fleming_nemo.training.engine import Engine, LossSum
from fleming_nemo.training.logprobs import Prediction

SPIKE = 1e4


def _step(engine: Engine, step: int, poison: float) -> dict[str, float]:
    """A step whose loss is poisoned on the last rank alone."""
    loss = tiny.objective_of("sft")
    last = groups.rank() == torch.distributed.get_world_size() - 1

    def objective(prediction: Prediction, batch: MicroBatch) -> LossSum:
        made = loss(prediction, batch)
        if last:
            made.total = made.total * poison
        return made

    return engine.train_step(tiny.batches(engine.cfg, tiny.samples(seed=step)), objective, engine.cfg.optim.lr)


def skip_and_go_on(cfg: RunConfig, folder: Path, run_dir: Path) -> dict[str, Any]:
    """Good steps, poisoned ones (NaN, then a spike), a checkpoint, a spike, and good steps again."""
    groups.init(cfg.parallel, seed=7)
    engine = tiny.engine(cfg, folder)
    norm = tiny.train(engine, "sft", range(2))[-1]["grad_norm"]
    engine.guard.load_state_dict({"accepted": [norm] * 30, "judged": 2, "skipped_in_a_row": 0})
    before = fingerprint(engine)
    poisoned = [_step(engine, 2, float("nan")), _step(engine, 3, SPIKE)]
    unchanged = fingerprint(engine) == before
    checkpoint.save(engine, run_dir, 4, {"guard": engine.guard.state_dict()}, keep=1)
    after = [_step(engine, 4, SPIKE), *tiny.train(engine, "sft", range(5, 7))]
    return {
        "unchanged": unchanged,
        "poisoned": poisoned,
        "after": after,
        "state": fingerprint(engine),
        "guards": _everyones(engine),
    }


def go_on(cfg: RunConfig, run_dir: Path) -> dict[str, Any]:
    """The same from the checkpoint."""
    groups.init(cfg.parallel, seed=8)
    engine = tiny.engine(cfg)
    state = checkpoint.resume(engine, run_dir)
    assert state is not None
    engine.guard.load_state_dict(state["guard"])
    after = [_step(engine, 4, SPIKE), *tiny.train(engine, "sft", range(5, 7))]
    return {"after": after, "state": fingerprint(engine), "guards": _everyones(engine)}


def _everyones(engine: Engine) -> list[dict[str, Any]]:
    states: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(states, engine.guard.state_dict())
    return states
