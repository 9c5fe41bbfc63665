"""The GRPO run: draw questions, sample groups, judge, update, and again.

Stages 1 and 2 are this same loop with other question pools and another group size.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.items import QAItem
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.evaluation.run import evaluate_if_possible, quick_accuracy
from fleming_nemo.grpo import records, update
from fleming_nemo.grpo.curriculum import refill
from fleming_nemo.grpo.curriculum.stage import Curriculum
from fleming_nemo.grpo.drift import DriftGate
from fleming_nemo.grpo.generate import Generation
from fleming_nemo.grpo.ledger import entry
from fleming_nemo.grpo.opening import open_run
from fleming_nemo.parallel import groups
from fleming_nemo.reward.verify import reward
from fleming_nemo.rollout.engines import Rollouts, opened
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.training import stop, throughput, watchdog
from fleming_nemo.training.checkpoint import Checkpoints
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.phases import Phases
from fleming_nemo.training.progress import Steps, speeds
from fleming_nemo.training.rundir import EVENTS, RunDirectory
from fleming_nemo.training.schedule import learning_rate


def run(cfg: RunConfig) -> dict[str, Any]:
    """Task `grpo`: train to `train.steps`, going on from this run's newest checkpoint, then evaluate the policy."""
    engine, chat, items, run_directory = open_run(cfg)
    with opened(cfg, engine, chat) as rollouts:
        try:
            done = _train(cfg, engine, chat, items, run_directory, rollouts)
            return evaluate_if_possible(cfg, engine, chat, run_directory, rollouts, done)
        finally:
            run_directory.append(EVENTS, rollouts.events())


def _train(
    cfg: RunConfig,
    engine: Engine,
    chat: ChatTokenizer,
    items: list[QAItem],
    run_directory: RunDirectory,
    rollouts: Rollouts,
) -> int:
    """The steps that are left; returns the number of the last one."""
    layout = engine.layout
    # before a checkpoint of this run is loaded: mining is done with the policy of the stage before, and the reference
    # of a KL term are the weights that the stage starts with
    curriculum = Curriculum(cfg, rollouts, items, run_directory)
    curriculum.begin()
    updates = update.Updates(cfg, engine, chat)
    checkpoints = Checkpoints(engine, run_directory.path, cfg.train.keep_checkpoints)
    gate = DriftGate(cfg.grpo.max_mismatch)
    generation = Generation(cfg, rollouts, chat)
    state = checkpoints.resume()
    first, at_start = 0, None
    scores: list[float] = []  # since the newest checkpoint that was due
    if state:
        first, at_start, scores = state["step"], state["accuracy_at_start"], state["scores"]
        curriculum.load_state_dict(state)
        engine.guard.load_state_dict(state["guard"])
        gate.load_state_dict(state["drift"])
        generation.load_state_dict(state)
        generation.saved(first)  # a kill may have come between the checkpoint and this
    elif cfg.eval.every:
        with watchdog.phase("evaluate"):
            at_start = quick_accuracy(cfg, rollouts, 0)
    run_directory.rewind(first)
    steps, group_size = cfg.train.steps, cfg.grpo.rollouts_per_prompt
    speed = throughput.of_this_run(engine.shape, cfg.model.precision)
    scored_by = "heldout_accuracy" if cfg.eval.every else "reward"
    progress = Steps(cfg.stage, first, first if curriculum.over else steps)
    for step in progress:
        phases = Phases(step + 1)
        if curriculum.mining_is_due(step):
            with phases("mine"):
                curriculum.mine(step)
        generation.begin_step(step, phases)
        with phases("generate"):
            batch = refill.fill(
                cfg.grpo.prompts_per_step,
                curriculum.draw,
                partial(generation.play, step),
                cfg.grpo.refill,
                layout.dp_rank,
                layout.dp,
            )
        if _goes_ahead(cfg, curriculum, step + 1):
            generation.begin_ahead(step + 1, curriculum.upcoming(cfg.grpo.prompts_per_step))
        else:
            generation.rest(phases)
        with phases("score"):
            trained = batch.trained()
            reward_PG = _rewards(trained.values(), group_size)
            advantage_PG = updates.objective.advantages(reward_PG)
            mine = {
                n: [update.sample(e, a, cfg.grpo.mask_truncated) for e, a in zip(group, row, strict=True)]
                for (n, group), row in zip(trained.items(), advantage_PG, strict=True)
            }
            # in the order of the questions, and on all ranks: one may have drawn much longer responses than another
            samples = {n: group for part in groups.gather_over_dp(mine) for n, group in part.items()}
            batch_PG = [samples[n] for n in batch.chosen]
            curriculum.record(batch.in_order(partial(entry, policy=f"{cfg.stage}/step_{step}", round_name="train")))
            # of the questions as they were drawn: refilling would flatter the policy and hide what the switch looks for
            metrics = records.statistics(batch.first(), _rewards(batch.first(), group_size))
            metrics |= {"extra_prompts": batch.extra} if cfg.grpo.refill else {}
            metrics |= {"generation_hidden": generation.hidden} if generation.hidden is not None else {}
            metrics |= curriculum.measure(step + 1, metrics["reward"], metrics["zero_variance"])
        lr = learning_rate(cfg.optim, step, steps)
        metrics = updates(batch_PG, lr, phases) | metrics
        generation.trained(metrics["loss"], metrics["grad_norm"])
        gate.judge(step + 1, metrics["mismatch_kl"], metrics["mismatch_max"], run_directory.writer)
        if cfg.eval.every and (step + 1) % cfg.eval.every == 0:
            with phases("evaluate"):
                metrics["heldout_accuracy"] = quick_accuracy(cfg, rollouts, step + 1)
            if run_directory.writer and at_start is not None and metrics["heldout_accuracy"] < at_start:
                warning = f"the policy answers {metrics['heldout_accuracy']:.1%} of the held-out questions right"
                print(f"warning: step {step + 1}: {warning}, fewer than at its start ({at_start:.1%})", file=sys.stderr)
        lengths = [len(s.tokens) for group in batch_PG for s in group]
        training = phases.seconds["logprobs"] + phases.seconds["update"]
        metrics |= {"lr": lr} | speed.row(lengths, phases.total(), training_seconds=training)
        run_directory.log(
            {"step": step + 1, "stage": cfg.stage, **metrics, "from_bank": generation.taken, "seconds": phases.row()}
        )
        run_directory.write_jsonl(
            f"rollouts/step_{step + 1}.jsonl", records.rollout_rows([*trained.values()], advantage_PG)
        )
        run_directory.append(EVENTS, rollouts.events())
        numbers = {"reward": f"{metrics['reward']:.3f}", "length": f"{metrics['response_length']:.0f}"}
        progress.show(step + 1, **numbers, **speeds(metrics))
        if scored_by in metrics:
            scores.append(metrics[scored_by])
        due = (step + 1) % cfg.train.save_every == 0 or step + 1 == steps or curriculum.over
        if (why := stop.agreed(run_directory.path)) or due:
            with watchdog.phase("checkpoint"):
                state = {
                    **curriculum.state_dict(),
                    "guard": engine.guard.state_dict(),
                    "drift": gate.state_dict(),
                    "accuracy_at_start": at_start,
                    **generation.state_dict(),
                    "scores": [] if due else scores,
                }
                checkpoints.save(step + 1, state, score=fmean(scores) if scores else None)
                if due:
                    scores = []
                if why:
                    checkpoints.close()
                    raise stop.Stopped(why, step + 1)
        checkpoints.poll()
        generation.saved(checkpoints.newest)
        if curriculum.over:
            break
    generation.abandon()
    checkpoints.close()
    return checkpoints.newest


def _goes_ahead(cfg: RunConfig, curriculum: Curriculum, step: int) -> bool:
    """Whether the questions of a coming step can be asked already: another mining may choose others."""
    return cfg.rollout.staleness > 0 and step < cfg.train.steps and not curriculum.mining_is_due(step)


def _rewards(groups_PG: Iterable[list[Episode]], group_size: int) -> np.ndarray:
    """Rewards [P, G] of groups; P may be 0 on a rank whose questions were all replaced."""
    return np.array([[reward(e.verdict) for e in group] for group in groups_PG]).reshape(-1, group_size)
