"""Responses that share one copy of their prompt in a pack: the numbers are those of the sequences written out."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from fleming_nemo.data import families
from fleming_nemo.data.families import Alike
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.grpo.loss import record
from fleming_nemo.parallel.shared_prompts import SharedPrompts
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.logprobs import Sampling

pytestmark = pytest.mark.usefixtures("one_process")

DISTRIBUTION = Sampling(0.7, tiny.NUM_TOKENS)
PLAIN = tiny.config(micro_batch=3)


def packed(arch: str = "qwen2.5-tiny", tokens: int = 128, recompute: int = 0) -> object:
    cfg = tiny.config(arch)
    cfg.train.pack_tokens, cfg.model.recompute = tokens, recompute
    return cfg


def logprobs(engine: Engine, batches: list[MicroBatch]) -> dict[tuple[float, int], float]:
    """Of every trained token, by its sequence's weight and its place in the sequence."""
    engine.evaluate(batches, record("old_BT", DISTRIBUTION))
    found = {}
    for batch in batches:
        for row, at in batch.mask_BT.nonzero().tolist():
            key = float(batch.weight_S[batch.sequence_BT[row, at]]), int(batch.positions_BT[row, at])
            assert key not in found and batch.old_BT is not None
            found[key] = float(batch.old_BT[row, at])
    return found


def gradients(engine: Engine, batches: list[MicroBatch]) -> list[torch.Tensor]:
    """Of all parameters, as the optimizer gets them."""
    engine.train_step(batches, tiny.grpo_objective(), lr=0.0)
    return [p.main_grad.clone() for p in engine.network.parameters()]


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_logprobs_and_gradients_are_those_of_whole_sequences(arch: str, weights: dict[str, Path]) -> None:
    engine = tiny.engine(tiny.config(arch), weights[arch])
    samples = tiny.answers(16)
    plain, shared = tiny.batches(PLAIN, samples), tiny.batches(packed(arch), samples)  # type: ignore[arg-type]
    assert all(isinstance(batch.packed, SharedPrompts) for batch in shared)
    assert sum(b.tokens_BT.numel() for b in shared) < sum(len(s.tokens) for s in samples)
    expected, got = logprobs(engine, plain), logprobs(engine, shared)
    assert got.keys() == expected.keys() and len(got) == sum(int(s.mask.sum()) for s in samples)
    np.testing.assert_allclose([got[key] for key in expected], list(expected.values()), atol=1e-5)
    for a, b in zip(gradients(engine, shared), gradients(engine, plain), strict=True):
        assert float((a - b).norm()) < 1e-5 * max(float(b.norm()), 1e-3)


def test_recomputation_finds_its_way_too(weights: dict[str, Path]) -> None:
    samples = tiny.answers(8)
    norms = []
    for recompute in (0, -1):
        cfg = packed(recompute=recompute)
        engine = tiny.engine(cfg, weights["qwen2.5-tiny"])  # type: ignore[arg-type]
        norms.append(engine.train_step(tiny.batches(cfg, samples), tiny.grpo_objective(), 0.0)["grad_norm"])  # type: ignore[arg-type]
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)


def test_no_member_sees_another(weights: dict[str, Path]) -> None:
    """Other tokens in one response, and every log-probability of the others stays what it is, bit by bit."""
    engine = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    samples = tiny.answers(4)
    before = logprobs(engine, tiny.batches(packed(), samples))  # type: ignore[arg-type]
    changed = samples[2].tokens.copy()
    changed[samples[2].prompt :] = (changed[samples[2].prompt :] + 1) % tiny.NUM_TOKENS
    samples[2] = Sample(changed, samples[2].mask, samples[2].weight, samples[2].logprobs, samples[2].prompt)
    after = logprobs(engine, tiny.batches(packed(), samples))  # type: ignore[arg-type]
    own = float(np.float32(samples[2].weight))
    assert all(after[key] == before[key] for key in before if key[0] != own)
    assert any(after[key] != before[key] for key in before if key[0] == own)


def test_a_group_too_large_for_a_pack_repeats_its_prompt() -> None:
    lengths = [30, 25, 28, 12]
    parts = families.cut([Alike(10, (0, 1, 2, 3))], lengths, budget=48, ranks=1)
    assert [part.members for part in parts] == [(0, 1), (2, 3)]
    assert [part.tokens(lengths) for part in parts] == [45, 30]


def test_ranks_get_parts_of_their_own() -> None:
    lengths = [20] * 8
    parts = families.cut([Alike(4, tuple(range(8)))], lengths, budget=1000, ranks=2)
    assert len(parts) >= 4 and sorted(i for part in parts for i in part.members) == list(range(8))


def test_the_last_token_of_a_prompt_is_everyones_own() -> None:
    assert families.of_questions([[7, 7], [1]]) == [Alike(6, (0, 1)), Alike(0, (2,))]
