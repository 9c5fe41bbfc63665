"""One batch of rollouts, turned into optimizer steps.

log-probs   where needed: of the policy that drew the batch (more than one update), of the reference (KL term)
update      one optimizer step for each part of the batch, in the order of its questions
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import families
from fleming_nemo.data.batch import micro_batches
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.grpo import loss, objectives
from fleming_nemo.rollout.episodes import Episode
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.logprobs import Sampling
from fleming_nemo.training.phases import Phases

_MAXIMA = ("mismatch_max", "skipped")


class Updates:
    """Trains `engine` on batches of rollouts.  Made before a checkpoint is loaded: the weights it finds are the
    reference of the KL term, if there is one."""

    def __init__(self, cfg: RunConfig, engine: Engine, chat: ChatTokenizer) -> None:
        grpo = cfg.grpo
        self.cfg, self.engine, self.pad_id = cfg, engine, chat.pad_id
        self.objective = objectives.build(grpo.objective, cfg.rollout.max_response, grpo.dual_clip)
        self._distribution = Sampling(cfg.rollout.temperature, chat.size)
        self._loss = loss.policy_loss(self.objective, self._distribution, correction_of(cfg), grpo.kl_beta)
        self._reference = _copy(engine) if grpo.kl_beta else None

    def __call__(self, groups_PG: list[list[Sample]], lr: float, phases: Phases) -> dict[str, float]:
        """Take the optimizer steps of one batch; returns their metrics, averaged over the updates.

        Args:
            groups_PG: the samples of each question of the whole batch, the same on all ranks.
        """
        updates = self.cfg.grpo.updates_per_batch
        size = len(groups_PG) // updates
        parts = [self._batches(groups_PG[n * size : (n + 1) * size]) for n in range(updates)]
        with phases("logprobs"):
            if self._reference is not None:
                with _weights(self.engine, self._reference):
                    self._record("reference_BT", parts)
            if updates > 1:
                self._record("old_BT", parts)
        with phases("update"):
            rows = [self.engine.train_step(part, self._loss, lr) for part in parts]
        return {name: (max if name in _MAXIMA else fmean)(row[name] for row in rows) for name in rows[0]}

    def _batches(self, groups_PG: list[list[Sample]]) -> list[MicroBatch]:
        samples = [sample for group in groups_PG for sample in group]
        lengths = [len(s.tokens) for s in samples]
        alike = families.of_questions([[s.prompt for s in group] for group in groups_PG])
        return micro_batches(lengths, samples.__getitem__, self.cfg, self.pad_id, alike=alike)

    def _record(self, into: str, parts: list[list[MicroBatch]]) -> None:
        keep = loss.record(into, self._distribution)
        for part in parts:
            self.engine.evaluate(part, keep)


def correction_of(cfg: RunConfig) -> str:
    """The kind of correction in force: `auto` needs none where the engine is the trainer itself."""
    if cfg.grpo.correction == "auto":
        return "none" if cfg.rollout.engine == "trainer" else "token"
    return cfg.grpo.correction


def sample(episode: Episode, advantage: float, mask_truncated: bool) -> Sample:
    """A judged response as a training sequence; truncated ones are kept out of the loss, not out of the batch."""
    prompt, rollout = episode.prompt, episode.rollout
    tokens = np.array([*prompt, *rollout.tokens], dtype=np.int32)
    mask = np.arange(len(tokens)) >= len(prompt)
    logprobs = rollout.logprobs
    if mask_truncated and not rollout.finished:
        mask, logprobs = np.zeros_like(mask), logprobs[:0]
    return Sample(tokens, mask, weight=float(advantage), logprobs=logprobs, prompt=len(prompt))


def _copy(engine: Engine) -> list[Tensor]:
    """This rank's weights in the host's memory."""
    return [p.detach().to("cpu", copy=True) for network in engine.networks for p in network.parameters()]


@contextmanager
@torch.no_grad()
def _weights(engine: Engine, other: list[Tensor]) -> Iterator[None]:
    """Other weights for a while; the policy's come back bit by bit."""
    parameters = [p for network in engine.networks for p in network.parameters()]
    own = [p.detach().clone() for p in parameters]
    for parameter, value in zip(parameters, other, strict=True):
        parameter.copy_(value)
    try:
        yield
    finally:
        for parameter, value in zip(parameters, own, strict=True):
            parameter.copy_(value)
