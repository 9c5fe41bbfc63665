"""Runs that the tests of real vLLM servers share."""

import json
from pathlib import Path
from typing import Any

import tiny

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer

QUESTIONS, GROUP = 4, 3
COLLECTIVE_LIMIT_S = 600
"""A server has minutes to answer: all its processes share the cores with the trainer."""


def config(
    run_dir: Path, data: Path, chat: ChatTokenizer, weights: dict[str, Path], arch: str, **parallel: Any
) -> RunConfig:
    """GRPO on servers, a checkpoint every third of ten steps."""
    cfg = tiny.config(arch, **parallel)
    cfg.task, cfg.stage, cfg.run_dir = "grpo", "grpo_stage1", str(run_dir)
    cfg.model.weights = str(weights[arch])
    cfg.data.dir, cfg.data.tokenizer = str(data), str(chat.folder)
    cfg.train.steps, cfg.train.save_every, cfg.train.seq_length = 10, 3, 512
    cfg.rollout.engine, cfg.rollout.max_response, cfg.rollout.decode_batch = "vllm", 16, 16
    cfg.grpo.prompts_per_step, cfg.grpo.rollouts_per_prompt = QUESTIONS, GROUP
    cfg.grpo.mask_truncated = False  # random weights never end a response
    cfg.eval.seeds = 1
    return cfg


def rows(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def events(run_dir: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (run_dir / "events.jsonl").read_text().splitlines()]


def groups_of(run_dir: Path, step: int) -> list[list[dict[str, Any]]]:
    """The responses to each question of a step (from 1)."""
    lines = (run_dir / "rollouts" / f"step_{step}.jsonl").read_text().splitlines()
    return [json.loads(line)["responses"] for line in lines]
