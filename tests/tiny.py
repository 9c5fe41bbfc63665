"""Small models, configs and samples for tests of the training engine."""

from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import ModelConfig, OptimConfig, ParallelConfig, RunConfig, TrainConfig
from fleming_nemo.data import families
from fleming_nemo.data.batch import micro_batches
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.grpo import objectives
from fleming_nemo.grpo.loss import policy_loss
from fleming_nemo.model import hf
from fleming_nemo.sft.loss import cross_entropy
from fleming_nemo.training.engine import Engine, Objective
from fleming_nemo.training.logprobs import Sampling

ARCHITECTURES = ("qwen2.5-tiny", "qwen3-tiny", "nano", "llama-tiny")
SEQ_LENGTH = 48
NUM_TOKENS = 3 * min(ARCHS[arch].vocab_size for arch in ARCHITECTURES) // 4
"""Ids in use: of two tensor-parallel ranks one has rows for such ids alone, the other also rows without a token."""


def config(arch: str = "qwen2.5-tiny", micro_batch: int = 2, precision: str = "fp32", **parallel: object) -> RunConfig:
    """A run whose learning rate is high enough that three steps change the loss visibly."""
    return RunConfig(
        model=ModelConfig(arch=arch, precision=precision),
        parallel=ParallelConfig(**parallel),  # type: ignore[arg-type]
        optim=OptimConfig(lr=1e-3, decay="constant"),
        train=TrainConfig(micro_batch=micro_batch, seq_length=SEQ_LENGTH),
    )


def engine(cfg: RunConfig, folder: Path | None = None) -> Engine:
    """The policy of this rank with the weights of a Hugging Face folder, or random ones."""
    shape = ARCHS[cfg.model.arch]
    made = Engine(cfg, shape)
    if folder is not None:
        hf.load(made.networks, folder, shape)
        made.weights_changed()
    return made


def save_random(arch: str, folder: Path) -> Path:
    """Random weights as a Hugging Face folder, larger than at the start of a training.

    With those of a fresh model all logits are nearly equal: neither attention nor biases would show in the loss.
    """
    shape = ARCHS[arch]
    made = engine(config(arch))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in made.network.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "layernorm" in name:
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(noise * (0.3 if name.endswith("bias") else 0.6 * shape.hidden_size**-0.5))
    hf.save(made.networks, folder, shape)
    return folder


def samples(count: int = 8, seed: int = 0) -> list[Sample]:
    """Sequences of different length, with made-up advantages and rollout log-probabilities for a loss of some units."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        length = int(rng.integers(9, SEQ_LENGTH + 1))
        prompt = int(rng.integers(2, length - 4))
        made.append(
            Sample(
                tokens=rng.integers(0, NUM_TOKENS, length),
                mask=(np.arange(length) >= prompt).astype(np.uint8),
                weight=0.03 * float(rng.normal()),
                logprobs=rng.normal(-6, 0.2, length - prompt).astype(np.float32),
            )
        )
    return made


def answers(count: int = 8, seed: int = 0) -> list[Sample]:
    """Four responses to each of some questions, of different length, one of all cut off and so not trained."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(count):
        if n % 4 == 0:
            prompt = rng.integers(0, NUM_TOKENS, int(rng.integers(1, SEQ_LENGTH // 2)))
        own = int(rng.integers(1, SEQ_LENGTH - len(prompt) + 1))
        trained = n != 1
        made.append(
            Sample(
                tokens=np.concatenate([prompt, rng.integers(0, NUM_TOKENS, own)]),
                mask=(np.arange(len(prompt) + own) >= len(prompt)) * np.uint8(trained),
                weight=0.03 * float(rng.normal()),
                logprobs=rng.normal(-6, 0.2, own * trained).astype(np.float32),
                prompt=len(prompt),
            )
        )
    return made


def lopsided_samples() -> list[Sample]:
    """Every second sequence is trained, and of it the last quarter: the others of two ranks have nothing to train."""
    rng = np.random.default_rng(3)
    made = []
    for n in range(8):
        trained = 0 if n % 2 else SEQ_LENGTH // 4 - 2
        mask = (np.arange(SEQ_LENGTH) >= SEQ_LENGTH - trained).astype(np.uint8)
        tokens = rng.integers(0, NUM_TOKENS, SEQ_LENGTH)
        made.append(Sample(tokens, mask, weight=float(rng.normal()), logprobs=np.full(trained, -6, np.float32)))
    return made


def batches(cfg: RunConfig, of: list[Sample]) -> list[MicroBatch]:
    """This rank's micro-batches of the samples of a global batch; those of `answers` share prompts in a pack."""
    questions = [list(group) for _, group in groupby(of, key=lambda s: s.tokens[: s.prompt].tolist())]
    alike = families.of_questions([[s.prompt for s in group] for group in questions]) if of[0].prompt else []
    return micro_batches([len(s.tokens) for s in of], of.__getitem__, cfg, pad_id=0, alike=alike)


def objective_of(kind: str) -> Objective:
    """The objective of SFT, or of GRPO at a temperature other than 1."""
    return cross_entropy(NUM_TOKENS) if kind == "sft" else grpo_objective()


def grpo_objective(name: str = "paper", temperature: float = 0.7, num_tokens: int = NUM_TOKENS) -> Objective:
    """One of the policy objectives, without corrections."""
    return policy_loss(objectives.build(name, SEQ_LENGTH), Sampling(temperature, num_tokens))


def train(made: Engine, kind: str, steps: range = range(3), count: int = 8) -> list[dict[str, float]]:
    """Metrics of some optimizer steps, each on `count` samples of its own."""
    loss, of = objective_of(kind), samples if kind == "sft" else answers
    return [made.train_step(batches(made.cfg, of(count, step)), loss, made.cfg.optim.lr) for step in steps]
