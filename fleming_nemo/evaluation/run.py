"""Evaluate a policy on the held-out questions: several sampled answers and a greedy one for each."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import can_generate
from fleming_nemo.data.items import QAItem, read_items
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.evaluation.stats import OutcomeRow, summarise
from fleming_nemo.parallel import groups
from fleming_nemo.rollout.engines import Rollouts, opened
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.rollout.types import request_seed
from fleming_nemo.training import stop, watchdog
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.progress import quiet
from fleming_nemo.training.rundir import RunDirectory
from fleming_nemo.training.start import start


def run(cfg: RunConfig) -> dict[str, Any]:
    """Task `evaluate`: the weights as they come."""
    engine, chat = start(cfg)
    run_directory = RunDirectory(Path(cfg.run_dir), writer=groups.rank() == 0)
    run_directory.write_card(cfg, engine.layout.sizes(), {"tokenizer": chat.sha256})
    with opened(cfg, engine, chat) as rollouts:
        return evaluate(cfg, rollouts, run_directory)


def heldout(cfg: RunConfig) -> list[QAItem]:
    """The held-out questions of a run, `eval.limit` of them spread evenly over the file."""
    items = read_items(Path(cfg.data.dir) / "items_heldout.jsonl")
    limit = cfg.eval.limit
    return items if limit in (0, len(items)) else items[:: max(1, len(items) // limit)][:limit]


def evaluate(cfg: RunConfig, rollouts: Rollouts, run_directory: RunDirectory, version: int = 0) -> dict[str, Any]:
    """Write eval.json and eval_samples.jsonl; returns the former.  Every rank calls it, every rank gets the result.

    The seed of a sampled answer depends on the question and its number alone, so that stages are compared on equal
    terms.

    Args:
        version: training step of the weights.
    """
    items = heldout(cfg)
    layout = groups.current()
    mine = items[layout.dp_rank :: layout.dp]
    seeds = range(cfg.eval.seeds)
    total = len(mine) * (len(seeds) + 1)
    with (
        tqdm(total=total, desc=f"{cfg.stage} evaluation", disable=quiet()) as bar,
        watchdog.phase("evaluation"),
        stop.nothing_to_save(),
    ):
        judge = rollouts.examiner(bar)
        sampled = judge.play(
            [(item, [request_seed("eval", item.id, s) for s in seeds]) for item in mine], cfg.eval.temperature, version
        )
        greedy = judge.play([(item, [0]) for item in mine], 0.0, version)
    rows = [_row(e, s) for episodes in sampled for s, e in enumerate(episodes)]
    rows += [_row(e, None) for (e,) in greedy]
    shown = [episodes[0].record() for episodes in (sampled if seeds else greedy)]
    all_rows = [row for part in groups.gather_over_dp(rows) for row in part]
    all_shown = [row for part in groups.gather_over_dp(shown) for row in part]
    place = {item.id: n for n, item in enumerate(items)}
    all_rows.sort(key=lambda row: (place[row["item_id"]], -1 if row["seed"] is None else row["seed"]))
    summary = summarise(all_rows, cfg.stage)
    run_directory.write_jsonl("eval_samples.jsonl", sorted(all_shown, key=lambda row: place[row["item_id"]]))
    run_directory.write_json("eval.json", summary)
    return summary


def evaluate_if_possible(
    cfg: RunConfig,
    engine: Engine,
    chat: ChatTokenizer,
    run_directory: RunDirectory,
    rollouts: Rollouts | None = None,
    version: int = 0,
) -> dict[str, Any]:
    """`evaluate`, if the policy can be sampled from under this layout; otherwise say how it can be evaluated.

    Args:
        rollouts: the run's engine; without one it is opened for this.
        version: training step of the weights.
    """
    if can_generate(cfg):
        with nullcontext(rollouts) if rollouts else opened(cfg, engine, chat) as having:
            return evaluate(cfg, having, run_directory, version)
    if groups.rank() == 0:
        print(
            f"{cfg.stage}: not evaluated, generation in process needs pp=1, cp=1 and bf16 or fp32; run task=evaluate "
            f"with model.weights={cfg.run_dir} under tp and dp, or with rollout.engine=vllm"
        )
    return {"stage": cfg.stage, "steps": cfg.train.steps}


def quick_accuracy(cfg: RunConfig, rollouts: Rollouts, step: int) -> float:
    """Accuracy of one sampled answer to each held-out question, for the curve during training."""
    layout = groups.current()
    mine = heldout(cfg)[layout.dp_rank :: layout.dp]
    asked = [(item, [request_seed("curve", item.id)]) for item in mine]
    right = sum(e.correct for (e,) in rollouts.examiner().play(asked, cfg.eval.temperature, step))
    counts = groups.gather_over_dp((right, len(mine)))
    return sum(r for r, _ in counts) / sum(n for _, n in counts)


def _row(episode: Episode, seed: int | None) -> OutcomeRow:
    return {
        "item_id": episode.item.id,
        "seed": seed,
        "outcome": episode.verdict.outcome,
        "num_options": len(episode.item.options),
        "difficulty": episode.item.difficulty,
        "length": len(episode.rollout.tokens),
    }
