"""What the ranks of a distributed test do.  Every function runs on all ranks; the value of rank 0 is handed back."""

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import tiny
import torch

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo import drift_check
from fleming_nemo.grpo import run as grpo_run
from fleming_nemo.grpo.generate import Generation
from fleming_nemo.grpo.update import Updates
from fleming_nemo.parallel import groups
from fleming_nemo.reward.verify import Outcome, Verdict
from fleming_nemo.rollout import episodes
from fleming_nemo.rollout.megatron import MegatronRollouts
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.sft import run as sft_run
from fleming_nemo.training import checkpoint, stop
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.phases import Phases
from fleming_nemo.training.rundir import RunDirectory

Metrics = list[dict[str, float]]


def both_objectives(cfg: RunConfig, folder: Path, steps: range = range(3), count: int = 8) -> dict[str, Metrics]:
    """Steps of SFT, and as many of GRPO, each from the same weights, on `count` sequences each."""
    groups.init(cfg.parallel, seed=7)
    return {kind: tiny.train(tiny.engine(cfg, folder), kind, steps, count) for kind in ("sft", "grpo")}


def several_updates(cfg: RunConfig, folder: Path) -> dict[str, Metrics]:
    """`updates_of_a_batch` in process groups of its own."""
    groups.init(cfg.parallel, seed=7)
    return updates_of_a_batch(cfg, folder)


def updates_of_a_batch(cfg: RunConfig, folder: Path) -> dict[str, Metrics]:
    """Two batches with two updates each, a reference and a correction, under the objectives that need most for it."""
    made = {}
    for name in ("gspo", "dapo", "dr_grpo"):
        cfg.grpo = replace(cfg.grpo, objective=name, kl_beta=0.1, updates_per_batch=2, correction="token")
        engine = tiny.engine(cfg, folder)
        updates = Updates(cfg, engine, SimpleNamespace(size=tiny.NUM_TOKENS, pad_id=0))  # type: ignore[arg-type]
        batches = [tiny.answers(8, seed) for seed in range(2)]
        made[name] = [updates([b[n : n + 4] for n in range(0, 8, 4)], 1e-3, Phases(1)) for b in batches]
    return made


def lopsided(cfg: RunConfig, folder: Path) -> Metrics:
    """Steps whose trained tokens are all on the first data-parallel or context-parallel rank."""
    groups.init(cfg.parallel, seed=7)
    engine = tiny.engine(cfg, folder)
    batches = tiny.batches(cfg, tiny.lopsided_samples())
    return [engine.train_step(batches, tiny.objective_of(kind), 1e-3) for kind in ("sft", "grpo", "sft")]


def random_start(cfg: RunConfig) -> float:
    """Loss of the random weights that a seed gives."""
    groups.init(cfg.parallel, seed=7)
    return tiny.engine(cfg).evaluate(tiny.batches(cfg, tiny.samples()), tiny.objective_of("sft"))["loss"]


def save_midway(cfg: RunConfig, folder: Path, run_dir: Path) -> dict[str, Any]:
    """Five steps without interruption; and two steps with a checkpoint after them, by another engine."""
    groups.init(cfg.parallel, seed=7)
    unbroken = tiny.engine(cfg, folder)
    metrics = tiny.train(unbroken, "sft", range(5))
    engine = tiny.engine(cfg, folder)
    tiny.train(engine, "sft", range(2))
    checkpoint.save(engine, run_dir, 2, {"note": "midway"}, keep=1)
    return {"metrics": metrics[2:], "state": fingerprint(unbroken)}


def go_on(cfg: RunConfig, run_dir: Path) -> dict[str, Any]:
    """Three more steps from the checkpoint."""
    groups.init(cfg.parallel, seed=8)
    engine = tiny.engine(cfg)
    state = checkpoint.resume(engine, run_dir)
    assert state is not None and state["step"] == 2 and state["note"] == "midway"
    return {"metrics": tiny.train(engine, "sft", range(2, 5)), "state": fingerprint(engine)}


def start_from(cfg: RunConfig, run_dir: Path) -> float:
    """Loss of an earlier stage's weights, with an optimizer of its own."""
    groups.init(cfg.parallel, seed=8)
    engine = tiny.engine(cfg)
    assert checkpoint.load_weights(engine, run_dir) == 2
    return engine.evaluate(tiny.batches(cfg, tiny.samples(seed=2)), tiny.objective_of("sft"))["loss"]


def drift(run_dir: Path) -> dict[str, Any]:
    """The check of a run that has been."""
    return drift_check.run(drift_check.config_of(run_dir, 4))


def fingerprint(engine: Engine) -> list[dict[str, str]]:
    """Hashes of weights and optimizer state of every rank."""
    weights, moments = hashlib.sha256(), hashlib.sha256()
    for parameter in (p for network in engine.networks for p in network.parameters()):
        weights.update(parameter.detach().numpy().tobytes())
    for part in getattr(engine.optimizer, "chained_optimizers", [engine.optimizer]):
        for group in part.optimizer.param_groups:
            for parameter in group["params"]:
                for name, value in sorted(part.optimizer.state[parameter].items()):
                    moments.update(name.encode() + value.numpy().tobytes())
    mine = {"weights": weights.hexdigest(), "optimizer": moments.hexdigest()}
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, mine)
    return everyone


def rollouts(engine: Engine) -> list[Rollout]:
    """Over ids of which some lie on each of two tensor-parallel ranks."""
    sampler = MegatronRollouts(
        engine.network, tiny.NUM_TOKENS, set(range(0, tiny.NUM_TOKENS, 10)), pad_id=0, decode_batch=5
    )
    prompts = [(1, tiny.NUM_TOKENS - 2, 5), (30, 31, tiny.NUM_TOKENS - 3, 33), (12,)]
    return sampler.generate([Request(prompts[n % 3], 100 + n) for n in range(9)], 1.0, 12, 0)


def sample(cfg: RunConfig, folder: Path) -> tuple[list[Rollout], Metrics]:
    """Rollouts, and a step of training after them."""
    groups.init(cfg.parallel, seed=7)
    engine = tiny.engine(cfg, folder)
    sampled = rollouts(engine)
    assert engine.network.config.sequence_parallel == cfg.parallel.sequence_parallel, "switched off for good"
    return sampled, tiny.train(engine, "sft", range(1))


def whole_run(cfg: RunConfig, kill_after: int | None = None) -> dict[str, Any]:
    """A run as a recipe starts it; with `kill_after`, a kill -9 of all ranks when that step is logged.

    Responses of even length count as right: random weights never write an answer, and without reward nothing is
    learned.
    """
    log, steps = RunDirectory.log, []

    def log_and_die(self: RunDirectory, row: dict[str, Any]) -> None:
        log(self, row)
        steps.append(row["step"])
        groups.barrier()
        if row["step"] == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def verify(text: str, num_options: int, answer_index: int, finished: bool) -> Verdict:
        return Verdict(Outcome.WRONG if len(text) % 2 else Outcome.CORRECT, "A", "made up")

    with mock.patch.object(RunDirectory, "log", log_and_die), mock.patch.object(episodes, "verify", verify):
        result = (sft_run if cfg.task == "sft" else grpo_run).run(cfg)
    return {"result": result, "steps": steps}


def stopped_run(cfg: RunConfig, after: int) -> str:
    """A run of which rank 1 alone gets SIGUSR2 while it logs a step; returns what rank 0 says of its end."""
    log = RunDirectory.log

    def log_and_ask(self: RunDirectory, row: dict[str, Any]) -> None:
        log(self, row)
        if row["step"] == after and groups.rank() == 1:
            os.kill(os.getpid(), signal.SIGUSR2)

    handlers = {number: signal.getsignal(number) for number in stop.SIGNALS}
    stop.heed()
    try:
        with mock.patch.object(RunDirectory, "log", log_and_ask), mock.patch.object(stop, "_asked", None):
            whole_run(cfg)
    except stop.Stopped as stopped:
        return str(stopped)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return "it was not stopped"


def killed_before_forgetting(cfg: RunConfig) -> None:
    """A run whose last checkpoint is whole, and which dies before it has dropped the rollouts that are in it."""
    saved = Generation.saved

    def saved_or_die(self: Generation, steps: int) -> None:
        if steps == cfg.train.steps:
            groups.barrier()
            os.kill(os.getpid(), signal.SIGKILL)
        saved(self, steps)

    with mock.patch.object(Generation, "saved", saved_or_die):
        whole_run(cfg)
