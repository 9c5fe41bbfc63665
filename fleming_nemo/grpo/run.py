"""The GRPO run: draw questions, sample groups, judge, update, and again.

Stages 1 and 2 are this same loop with other question pools and another group size.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.batch import Sample, check_length, micro_batches
from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import QAItem, read_items
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.evaluation.run import evaluate, quick_accuracy
from fleming_nemo.grpo import curriculum, mining, objective
from fleming_nemo.grpo.ledger import Ledger, entry
from fleming_nemo.parallel import groups
from fleming_nemo.reward.verify import Outcome, reward
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.rollout.local import examiner
from fleming_nemo.rollout.types import request_seed
from fleming_nemo.training import checkpoint, throughput, watchdog
from fleming_nemo.training.checkpoint import Checkpoints
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.progress import Steps, speeds
from fleming_nemo.training.rundir import RunDirectory
from fleming_nemo.training.schedule import learning_rate
from fleming_nemo.training.start import start


def run(cfg: RunConfig) -> dict[str, Any]:
    """Task `grpo`: train to `train.steps`, going on from this run's newest checkpoint, then evaluate the policy."""
    engine, chat = start(cfg)
    layout = engine.layout
    run_directory = RunDirectory(Path(cfg.run_dir), writer=groups.rank() == 0)
    pool_file = Path(cfg.data.dir) / "items_rl.jsonl"
    items = read_items(pool_file)
    prompts = chat.encode_batch([render_prompt(item, cfg.data.system_prompt) for item in items])
    check_length(max(map(len, prompts), default=0) + cfg.rollout.max_response, cfg.train.seq_length)
    run_directory.write_card(cfg, layout.sizes(), {"items_rl.jsonl": files.sha256(pool_file), "tokenizer": chat.sha256})
    # before a checkpoint of this run is loaded: mining is done with the policy of the stage before
    questions, ledger = _questions(cfg, engine, chat, items, run_directory)
    checkpoints = Checkpoints(engine, run_directory.path, cfg.train.keep_checkpoints)
    state = checkpoints.resume()
    first = 0
    if state:
        first, ledger = state["step"], Ledger(state["ledger"])
        engine.guard.load_state_dict(state["guard"])
    run_directory.rewind(first)
    loss = objective.paper(cfg.rollout.temperature, chat.size)
    judge = examiner(cfg, engine, chat)
    steps, group_size = cfg.train.steps, cfg.grpo.rollouts_per_prompt
    speed = throughput.of_this_run(engine.shape, cfg.model.precision)
    scored_by = "heldout_accuracy" if cfg.eval.every else "reward"
    scores: list[float] = []  # since the newest checkpoint
    progress = Steps(cfg.stage, first, steps)
    for step in progress:
        watchdog.beat(step + 1, "generate")
        clock = [time.perf_counter()]
        # numbered before they are dealt out: the number of ranks must not change what is sampled
        drawn = list(enumerate(questions.draw(step, cfg.grpo.prompts_per_step)))[layout.dp_rank :: layout.dp]
        asked = [
            (item, [request_seed("train", cfg.seed, cfg.stage, step, n, item.id, k) for k in range(group_size)])
            for n, item in drawn
        ]
        episodes_PG = judge.play(asked, cfg.rollout.temperature, step)
        clock.append(time.perf_counter())

        watchdog.beat(phase="train")
        reward_PG = np.array([[reward(e.verdict) for e in group] for group in episodes_PG])
        advantage_PG = objective.advantages(reward_PG)
        samples = [
            _sample(episode, advantage)
            for group, row in zip(episodes_PG, advantage_PG, strict=True)
            for episode, advantage in zip(group, row, strict=True)
        ]
        # dealt out anew over all ranks: one may have drawn much longer responses than another
        everyone = [s for part in groups.gather_over_dp(samples) for s in part]
        batches = micro_batches([len(s.tokens) for s in everyone], everyone.__getitem__, cfg, chat.pad_id)
        lr = learning_rate(cfg.optim, step, steps)
        metrics = engine.train_step(batches, loss, lr)
        clock.append(time.perf_counter())

        entries = [entry(group, f"{cfg.stage}/step_{step}", "train") for group in episodes_PG]
        ledger.add(e for part in groups.gather_over_dp(entries) for e in part)
        metrics |= _statistics(episodes_PG, reward_PG)
        if cfg.eval.every and (step + 1) % cfg.eval.every == 0:
            with watchdog.phase("evaluation"):
                metrics["heldout_accuracy"] = quick_accuracy(cfg, engine, chat, step + 1)
        seconds = {name: round(b - a, 3) for name, a, b in zip(("generate", "train"), clock, clock[1:], strict=False)}
        lengths = [len(s.tokens) for s in everyone]
        metrics |= {"lr": lr} | speed.row(lengths, clock[-1] - clock[0], training_seconds=clock[2] - clock[1])
        run_directory.log({"step": step + 1, "stage": cfg.stage, **metrics, "seconds": seconds})
        _save_rollouts(run_directory, step + 1, episodes_PG, advantage_PG)
        numbers = {"reward": f"{metrics['reward']:.3f}", "length": f"{metrics['response_length']:.0f}"}
        progress.show(step + 1, **numbers, **speeds(metrics))
        if scored_by in metrics:
            scores.append(metrics[scored_by])
        if (step + 1) % cfg.train.save_every == 0 or step + 1 == steps:
            with watchdog.phase("checkpoint"):
                state = {"ledger": ledger.rows(), "guard": engine.guard.state_dict()}
                checkpoints.save(step + 1, state, score=fmean(scores) if scores else None)
            scores = []
        checkpoints.poll()
    checkpoints.close()
    return evaluate(cfg, engine, chat, run_directory)


def _questions(
    cfg: RunConfig, engine: Engine, chat: ChatTokenizer, items: list[QAItem], run_directory: RunDirectory
) -> tuple[curriculum.Curriculum, Ledger]:
    """The question pools of this stage and the ledger so far; mines once, at the first start of a stage 2."""
    if cfg.grpo.curriculum == "easy_moderate":
        return curriculum.Curriculum(curriculum.easy_and_moderate(items), cfg.grpo.mix, cfg.seed), Ledger()
    mined = run_directory.path / "mined.json"
    have = mined.is_file()
    groups.barrier()  # all ranks look before rank 0 can write the file
    if have:
        ledger = Ledger(files.read_json(mined))
    else:
        ledger = Ledger(checkpoint.last_state(Path(cfg.model.weights)).get("ledger", []))
        ledger.add(mining.mine(cfg, engine, chat, items, policy=cfg.model.weights))
    entries = ledger.entries[-len(items) :]
    pools = mining.split(cfg, items, entries)
    for name in (name for name, pool in pools.items() if not pool and run_directory.writer):
        print(f"{cfg.stage}: mining found no {name} question; all questions come from the other pool")
    run_directory.write_json("mining.json", mining.report(cfg, items, entries, pools))
    if not have:
        run_directory.write_json("mined.json", ledger.rows())
    return curriculum.Curriculum(pools, cfg.grpo.mix, cfg.seed), ledger


def _sample(episode: Episode, advantage: float) -> Sample:
    prompt, rollout = episode.prompt, episode.rollout
    tokens = np.array([*prompt, *rollout.tokens], dtype=np.int32)
    mask = np.arange(len(tokens)) >= len(prompt)
    return Sample(tokens, mask, weight=float(advantage), logprobs=rollout.logprobs)


def _statistics(episodes_PG: list[list[Episode]], reward_PG: np.ndarray) -> dict[str, float]:
    """Numbers of a step over the rollouts of all ranks."""
    episodes = [e for group in episodes_PG for e in group]
    outcomes = [e.verdict.outcome for e in episodes]
    sums = np.array(
        [
            len(episodes),
            len(reward_PG),
            reward_PG.sum(),
            outcomes.count(Outcome.CORRECT),
            outcomes.count(Outcome.MALFORMED),
            outcomes.count(Outcome.TRUNCATED),
            sum(len(e.rollout.tokens) for e in episodes),
            (np.ptp(reward_PG, axis=1) == 0).sum(),
        ]
    )
    rollouts, prompts, *totals, flat = np.sum(groups.gather_over_dp(sums), axis=0).tolist()
    names = ("reward", "accuracy", "malformed", "truncated", "response_length")
    return {name: total / rollouts for name, total in zip(names, totals, strict=True)} | {
        "zero_variance": flat / prompts
    }


def _save_rollouts(
    run_directory: RunDirectory, step: int, episodes_PG: list[list[Episode]], advantage_PG: np.ndarray
) -> None:
    rows = []
    for group, advantage_G in zip(episodes_PG, advantage_PG, strict=True):
        shared = {k: v for k, v in group[0].record().items() if k not in ("response", "outcome", "length")}
        responses = [
            {
                "text": e.text,
                "outcome": str(e.verdict.outcome),
                "reward": reward(e.verdict),
                "advantage": float(a),
                "length": len(e.rollout.tokens),
                "logp_mean": float(e.rollout.logprobs.mean()),
            }
            for e, a in zip(group, advantage_G, strict=True)
        ]
        rows.append(shared | {"responses": responses})
    run_directory.write_jsonl(f"rollouts/step_{step}.jsonl", rows)
