"""The GRPO run: draw questions, sample groups, judge, update, and again.

Stages 1 and 2 are this same loop with other question pools and another group size.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.batch import check_length
from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import QAItem, read_items
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.evaluation.run import evaluate, quick_accuracy
from fleming_nemo.grpo import curriculum, mining, records, update
from fleming_nemo.grpo.drift import DriftGate
from fleming_nemo.grpo.ledger import Ledger, entry
from fleming_nemo.parallel import groups
from fleming_nemo.reward.verify import reward
from fleming_nemo.rollout.local import examiner
from fleming_nemo.rollout.types import request_seed
from fleming_nemo.training import checkpoint, throughput, watchdog
from fleming_nemo.training.checkpoint import Checkpoints
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.phases import Phases
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
    # before a checkpoint of this run is loaded: mining is done with the policy of the stage before, and the reference
    # of a KL term are the weights that the stage starts with
    questions, ledger = _questions(cfg, engine, chat, items, run_directory)
    updates = update.Updates(cfg, engine, chat)
    checkpoints = Checkpoints(engine, run_directory.path, cfg.train.keep_checkpoints)
    gate = DriftGate(cfg.grpo.max_mismatch)
    judge = examiner(cfg, engine, chat)
    state = checkpoints.resume()
    first, at_start = 0, None
    if state:
        first, ledger, at_start = state["step"], Ledger(state["ledger"]), state["accuracy_at_start"]
        engine.guard.load_state_dict(state["guard"])
        gate.load_state_dict(state["drift"])
    elif cfg.eval.every:
        with watchdog.phase("evaluate"):
            at_start = quick_accuracy(cfg, engine, chat, 0)
    run_directory.rewind(first)
    steps, group_size = cfg.train.steps, cfg.grpo.rollouts_per_prompt
    speed = throughput.of_this_run(engine.shape, cfg.model.precision)
    scored_by = "heldout_accuracy" if cfg.eval.every else "reward"
    scores: list[float] = []  # since the newest checkpoint
    progress = Steps(cfg.stage, first, steps)
    for step in progress:
        phases = Phases(step + 1)
        with phases("generate"):
            # numbered before they are dealt out: the number of ranks must not change what is sampled
            drawn = list(enumerate(questions.draw(step, cfg.grpo.prompts_per_step)))[layout.dp_rank :: layout.dp]
            asked = [
                (item, [request_seed("train", cfg.seed, cfg.stage, step, n, item.id, k) for k in range(group_size)])
                for n, item in drawn
            ]
            episodes_PG = judge.play(asked, cfg.rollout.temperature, step)
        with phases("score"):
            reward_PG = np.array([[reward(e.verdict) for e in group] for group in episodes_PG])
            advantage_PG = updates.objective.advantages(reward_PG)
            mine = [
                [update.sample(e, a, cfg.grpo.mask_truncated) for e, a in zip(group, row, strict=True)]
                for group, row in zip(episodes_PG, advantage_PG, strict=True)
            ]
            # in the order of the questions, and on all ranks: one may have drawn much longer responses than another
            parts = groups.gather_over_dp(mine)
            batch_PG = [parts[n % layout.dp][n // layout.dp] for n in range(cfg.grpo.prompts_per_step)]
            entries = [entry(group, f"{cfg.stage}/step_{step}", "train") for group in episodes_PG]
            ledger.add(e for part in groups.gather_over_dp(entries) for e in part)
            metrics = records.statistics(episodes_PG, reward_PG)
        lr = learning_rate(cfg.optim, step, steps)
        metrics = updates(batch_PG, lr, phases) | metrics
        gate.judge(step + 1, metrics["mismatch_kl"], metrics["mismatch_max"], run_directory.writer)
        if cfg.eval.every and (step + 1) % cfg.eval.every == 0:
            with phases("evaluate"):
                metrics["heldout_accuracy"] = quick_accuracy(cfg, engine, chat, step + 1)
            if run_directory.writer and at_start is not None and metrics["heldout_accuracy"] < at_start:
                warning = f"the policy answers {metrics['heldout_accuracy']:.1%} of the held-out questions right"
                print(f"warning: step {step + 1}: {warning}, fewer than at its start ({at_start:.1%})", file=sys.stderr)
        lengths = [len(s.tokens) for group in batch_PG for s in group]
        training = phases.seconds["logprobs"] + phases.seconds["update"]
        metrics |= {"lr": lr} | speed.row(lengths, phases.total(), training_seconds=training)
        run_directory.log({"step": step + 1, "stage": cfg.stage, **metrics, "seconds": phases.row()})
        run_directory.write_jsonl(f"rollouts/step_{step + 1}.jsonl", records.rollout_rows(episodes_PG, advantage_PG))
        numbers = {"reward": f"{metrics['reward']:.3f}", "length": f"{metrics['response_length']:.0f}"}
        progress.show(step + 1, **numbers, **speeds(metrics))
        if scored_by in metrics:
            scores.append(metrics[scored_by])
        if (step + 1) % cfg.train.save_every == 0 or step + 1 == steps:
            with watchdog.phase("checkpoint"):
                state = {
                    "ledger": ledger.rows(),
                    "guard": engine.guard.state_dict(),
                    "drift": gate.state_dict(),
                    "accuracy_at_start": at_start,
                }
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
