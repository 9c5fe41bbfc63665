"""One GRPO step, from sampling to update, makes rewarded responses more probable and the others less."""

from pathlib import Path

import numpy as np
import pytest
import tiny

from fleming_nemo.data.micro_batch import Sample
from fleming_nemo.grpo.objectives import Paper
from fleming_nemo.rollout.megatron import MegatronRollouts
from fleming_nemo.rollout.types import Request

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny"])
def test_one_step(arch: str, weights: dict[str, Path]) -> None:
    cfg = tiny.config(arch, micro_batch=4)
    engine = tiny.engine(cfg, weights[arch])
    prompts = [(1, 2, 3), (9, 8), (5, 5, 5, 5)]
    sampler = MegatronRollouts(engine.network, tiny.NUM_TOKENS, {7}, pad_id=0, decode_batch=32)
    requests = [Request(p, seed) for p in prompts for seed in range(8)]
    rollouts = sampler.generate(requests, 1.0, 6, 0)
    reward_PG = np.array([float(r.tokens[0] < tiny.NUM_TOKENS / 2) for r in rollouts]).reshape(3, 8)
    assert 0 < reward_PG.mean() < 1

    def samples(weight_PG: np.ndarray) -> list[Sample]:
        return [
            Sample(
                np.array([*request.prompt, *rollout.tokens]),
                np.array([0] * len(request.prompt) + [1] * len(rollout.tokens)),
                weight=float(weight),
                logprobs=rollout.logprobs,
            )
            for request, rollout, weight in zip(requests, rollouts, weight_PG.ravel(), strict=True)
        ]

    loss = tiny.grpo_objective(temperature=1.0)

    def log_probability(of_PG: np.ndarray) -> float:
        """Mean log p of the responses marked 1, times a constant."""
        return -engine.evaluate(tiny.batches(cfg, samples(of_PG)), loss)["loss"]

    before = log_probability(reward_PG), log_probability(1 - reward_PG)
    metrics = engine.train_step(tiny.batches(cfg, samples(Paper().advantages(reward_PG))), loss, lr=1e-3)
    after = log_probability(reward_PG), log_probability(1 - reward_PG)
    assert metrics["mismatch_max"] < 1e-5
    assert after[0] > before[0] + 0.05
    assert after[1] < before[1] - 0.05
