"""The in-process engine of a training run, with a progress bar; and none, for a run that replays another."""

from __future__ import annotations

from typing import NoReturn

from tqdm import tqdm

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.rollout.episodes import Examiner
from fleming_nemo.rollout.megatron import MegatronRollouts
from fleming_nemo.training.engine import Engine


def examiner(cfg: RunConfig, engine: Engine, chat: ChatTokenizer, bar: tqdm | None = None) -> Examiner:
    """An examiner whose rollouts come from the weights of `engine`; `bar` counts finished sequences of this rank."""
    rollouts = MegatronRollouts(
        engine.network,
        num_tokens=chat.size,
        stop_ids={chat.end_id, chat.pad_id},
        pad_id=chat.pad_id,
        decode_batch=cfg.rollout.decode_batch,
        progress=bar.update if bar is not None else lambda finished: None,
    )
    return Examiner(rollouts, chat, cfg.data.system_prompt, cfg.rollout.max_response)


class _NoEngine:
    """A run that trains on recorded rollouts has no engine, and nothing may ask for one."""

    def generate(self, *_: object, **__: object) -> NoReturn:
        raise AssertionError("a replayed run asked for a rollout")


def without_engine(cfg: RunConfig, chat: ChatTokenizer) -> Examiner:
    """An examiner that can only judge rollouts which are there already."""
    return Examiner(_NoEngine(), chat, cfg.data.system_prompt, cfg.rollout.max_response)
