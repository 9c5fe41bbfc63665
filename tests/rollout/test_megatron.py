"""The in-process rollout engine against full recomputation in plain torch, and against the trainer.

Not covered here: tensor parallelism (tests/distributed).
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import plain_qwen
import pytest
import tiny
import torch
from safetensors.torch import load_file

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.data.micro_batch import Sample
from fleming_nemo.parallel.fp8_emulation_layers import linears
from fleming_nemo.rollout import lean, megatron
from fleming_nemo.rollout.megatron import MegatronRollouts
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.training.engine import Engine

from megatron.core.models.common.embeddings import rope_utils  # isort: skip
from megatron.core.transformer import attention  # isort: skip

pytestmark = pytest.mark.usefixtures("one_process")

NUM_TOKENS = 40
"""Few ids: no random number of these tests falls so near to a boundary that float noise could move it over."""
STOPS = {3, 7, 11, 19}
PROMPTS = ((1, 2, 5), (30, 31, 32, 33, 34, 35, 36), (12,), (5, 4, 3, 2, 1), (9, 9))
REQUESTS = [Request(PROMPTS[n % 5], seed=100 + n) for n in range(15)]


@pytest.fixture(autouse=True, params=["lean", "megatron"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to decode; a GPU, and layers in fp8, have only megatron-core's."""
    if request.param == "megatron":
        monkeypatch.setattr(megatron, "knows", lambda network: False)
    return request.param


@pytest.fixture(scope="module", params=["qwen2.5-tiny", "qwen3-tiny"])
def policy(request: pytest.FixtureRequest, weights: dict[str, Path]) -> tuple[Engine, Path]:
    return tiny.engine(tiny.config(request.param), weights[request.param]), weights[request.param]


def sampler(engine: Engine, decode_batch: int = 32, stops: set[int] = STOPS) -> MegatronRollouts:
    return MegatronRollouts(engine.network, NUM_TOKENS, stops, pad_id=0, decode_batch=decode_batch)


def log_distribution(folder: Path, engine: Engine, prefix: list[int], temperature: float) -> torch.Tensor:
    """log p of the next token after `prefix`, recomputed from the first token on."""
    logits = plain_qwen.forward(load_file(folder / "model.safetensors"), engine.shape, torch.tensor([prefix]))
    return torch.log_softmax(logits[0, -1, :NUM_TOKENS] / temperature, -1)


def assert_equal(got: list[Rollout], expected: list[Rollout]) -> None:
    for a, b in zip(got, expected, strict=True):
        assert (a.tokens, a.finished, a.seed) == (b.tokens, b.finished, b.seed)
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-5)


def test_greedy_is_arg_max_of_full_recomputation(policy: tuple[Engine, Path]) -> None:
    engine, folder = policy
    for prompt, rollout in zip(
        PROMPTS,
        sampler(engine, stops=set()).generate([Request(p, 0) for p in PROMPTS], 0.0, 10, 0),
        strict=True,
    ):
        assert len(rollout.tokens) == 10
        for n, token in enumerate(rollout.tokens):
            log_p = log_distribution(folder, engine, [*prompt, *rollout.tokens[:n]], 1.0)
            assert token == int(log_p.argmax())
            assert rollout.logprobs[n] == pytest.approx(float(log_p[token]), abs=1e-5)


def test_logprobs_are_those_of_the_sampled_distribution(policy: tuple[Engine, Path]) -> None:
    engine, folder = policy
    for request, rollout in zip(REQUESTS[:4], sampler(engine).generate(REQUESTS[:4], 0.7, 8, 0), strict=True):
        for n, token in enumerate(rollout.tokens):
            log_p = log_distribution(folder, engine, [*request.prompt, *rollout.tokens[:n]], 0.7)
            assert rollout.logprobs[n] == pytest.approx(float(log_p[token]), abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_trainer_finds_the_same_logprobs(policy: tuple[Engine, Path], temperature: float) -> None:
    engine, _ = policy
    rollouts = sampler(engine).generate(REQUESTS, temperature, 12, 0)
    batches = tiny.batches(tiny.config(micro_batch=4), as_samples(REQUESTS, rollouts))
    metrics = engine.evaluate(batches, tiny.grpo_objective(temperature=temperature, num_tokens=NUM_TOKENS))
    assert metrics["mismatch_max"] < 1e-5
    assert metrics["mismatch_kl"] < 1e-9
    # and it does look: at another temperature they differ
    assert engine.evaluate(batches, tiny.grpo_objective(temperature=1.3, num_tokens=NUM_TOKENS))["mismatch_max"] > 0.01


def test_rollouts_follow_the_weights(weights: dict[str, Path]) -> None:
    engine = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    before = sampler(engine).generate(REQUESTS, 1.0, 12, 0)
    tiny.train(engine, "sft")
    after = sampler(engine).generate(REQUESTS, 1.0, 12, 3)
    assert [r.tokens for r in after] != [r.tokens for r in before]
    assert {r.weight_version for r in after} == {3}
    batches = tiny.batches(tiny.config(micro_batch=4), as_samples(REQUESTS, after))
    assert engine.evaluate(batches, tiny.grpo_objective(temperature=1.0, num_tokens=NUM_TOKENS))["mismatch_max"] < 1e-5


def as_samples(requests: list[Request], rollouts: list[Rollout]) -> list[Sample]:
    return [
        Sample(
            np.array([*request.prompt, *rollout.tokens]),
            np.array([0] * len(request.prompt) + [1] * len(rollout.tokens)),
            weight=1.0,
            logprobs=rollout.logprobs,
        )
        for request, rollout in zip(requests, rollouts, strict=True)
    ]


@pytest.mark.parametrize("decode_batch", [4, 15])
def test_a_rollout_does_not_depend_on_its_neighbours(policy: tuple[Engine, Path], decode_batch: int) -> None:
    engine, _ = policy
    alone = [sampler(engine).generate([request], 1.0, 12, 0)[0] for request in REQUESTS]
    assert_equal(sampler(engine, decode_batch).generate(REQUESTS, 1.0, 12, 0), alone)
    assert_equal(sampler(engine, decode_batch).generate(REQUESTS[::-1], 1.0, 12, 0), alone[::-1])


def test_dropping_finished_sequences_changes_nothing(
    policy: tuple[Engine, Path], decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = policy
    sizes: list[int] = []

    def counting(select: Callable[[Any, torch.Tensor], None]) -> Callable[[Any, torch.Tensor], None]:
        def selected(self: object, rows: torch.Tensor) -> None:
            sizes.append(len(rows))
            select(self, rows)

        return selected

    for kind in (lean.LeanDecoder, megatron._Padded):
        monkeypatch.setattr(kind, "select", counting(kind.select))
    got = sampler(engine).generate(REQUESTS, 1.0, 24, 0)
    at_start = int(decoder == "megatron")  # it makes rows of prompts as it drops them
    assert len(sizes) >= 3 + at_start and sizes == sorted(sizes, reverse=True) and sizes[-1] <= 5, "nothing was dropped"
    sizes.clear()
    monkeypatch.setattr(megatron, "_COMPACT_BELOW", 0.0)
    assert_equal(sampler(engine).generate(REQUESTS, 1.0, 24, 0), got)
    assert sizes == [len(REQUESTS)] * at_start


def test_prompts_whose_responses_have_ended_leave_the_cache(policy: tuple[Engine, Path], decoder: str) -> None:
    """Several responses to each of three prompts, and those of one prompt all end before the others."""
    if decoder != "lean":
        pytest.skip("megatron-core's cache holds every sequence for itself")
    engine, _ = policy
    requests = [Request(PROMPTS[n % 3], seed=100 + n) for n in range(24)]
    kept: list[tuple[int, int]] = []
    place = lean.LeanDecoder._place

    def watched(self: lean.LeanDecoder, prompt_A: np.ndarray) -> None:
        place(self, prompt_A)
        kept.append((len(self._prompt_keys[0]), self._slots))

    with mock.patch.object(lean.LeanDecoder, "_place", watched):
        together = sampler(engine).generate(requests, 1.0, 40, 0)
    assert kept[0] == (3, 8) and kept[-1][0] < 3 and kept[-1][1] < 8
    assert_equal(together, [sampler(engine).generate([r], 1.0, 40, 0)[0] for r in requests])


def test_a_response_may_outgrow_the_room_it_is_given(
    policy: tuple[Engine, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = policy
    expected = sampler(engine).generate(REQUESTS, 1.0, 24, 0)
    monkeypatch.setattr(lean, "_FIRST", 3)
    assert_equal(sampler(engine).generate(REQUESTS, 1.0, 24, 0), expected)


def test_layers_in_fp8_are_left_to_megatron_core(policy: tuple[Engine, Path], decoder: str) -> None:
    engine, _ = policy
    if decoder == "lean":
        assert lean.knows(engine.network)
        linear = engine.network.decoder.layers[1].mlp.linear_fc1
        plain = type(linear)
        linear.__class__ = linears("delayed")[0]
        assert not lean.knows(engine.network)
        linear.__class__ = plain


def test_the_seed_decides(policy: tuple[Engine, Path]) -> None:
    engine, _ = policy
    requests = [Request(PROMPTS[0], seed) for seed in (1, 1, 2, 3, 2**63 - 1)]
    first, again, *others = sampler(engine, stops=set()).generate(requests, 1.0, 16, 0)
    assert first.tokens == again.tokens
    assert len({tuple(r.tokens) for r in [first, *others]}) == 4
    assert [r.seed for r in others] == [2, 3, 2**63 - 1]


def test_a_shorter_limit_cuts_the_same_response(policy: tuple[Engine, Path]) -> None:
    engine, _ = policy
    long = sampler(engine).generate(REQUESTS, 1.0, 16, 0)
    short = sampler(engine).generate(REQUESTS, 1.0, 6, 0)
    for a, b in zip(long, short, strict=True):
        assert b.tokens == a.tokens[:6]
        assert b.finished == (len(a.tokens) <= 6 and a.finished)


def test_a_stop_token_ends_the_response_and_is_part_of_it_once(policy: tuple[Engine, Path]) -> None:
    engine, _ = policy
    rollouts = sampler(engine).generate(REQUESTS, 1.0, 16, 0)
    assert {r.finished for r in rollouts} == {True, False}
    for r in rollouts:
        assert len(r.tokens) == len(r.logprobs) <= 16
        assert not STOPS & set(r.tokens[:-1])
        assert r.finished == (r.tokens[-1] in STOPS)
        assert r.finished or len(r.tokens) == 16


def test_ids_without_a_token_are_never_sampled(policy: tuple[Engine, Path]) -> None:
    engine, _ = policy
    requests = [Request(PROMPTS[0], seed) for seed in range(100)]
    rollouts = sampler(engine, 128, stops=set()).generate(requests, 50.0, 8, 0)  # next to uniform
    seen = {token for r in rollouts for token in r.tokens}
    assert seen == set(range(NUM_TOKENS))
    assert sum(map(len, (r.tokens for r in rollouts))) == 800
    for prompt in PROMPTS:
        greedy = sampler(engine, stops=set()).generate([Request(prompt, 0)], 0.0, 8, 0)[0]
        assert max(greedy.tokens) < NUM_TOKENS


def test_frequencies_follow_the_distribution(policy: tuple[Engine, Path]) -> None:
    """Chi-square over the first tokens of 4000 seeds; 72.06 is the 99.9 % quantile at 39 degrees of freedom."""
    engine, folder = policy
    rollouts = sampler(engine, 4000).generate([Request(PROMPTS[1], seed) for seed in range(4000)], 1.0, 1, 0)
    found = Counter(r.tokens[0] for r in rollouts)
    expected = 4000 * log_distribution(folder, engine, list(PROMPTS[1]), 1.0).exp().numpy()
    assert expected.min() > 5 and expected.max() > 5 * expected.min()
    assert sum((found[i] - n) ** 2 / n for i, n in enumerate(expected)) < 72.06


def test_progress_counts_every_sequence(policy: tuple[Engine, Path]) -> None:
    engine, _ = policy
    seen: list[int] = []
    rollouts = MegatronRollouts(engine.network, NUM_TOKENS, STOPS, 0, decode_batch=4, progress=seen.append)
    rollouts.generate(REQUESTS, 1.0, 4, 0)
    assert seen == [4, 4, 4, 3]


def test_shapes_hold_for_every_architecture(weights: dict[str, Path]) -> None:
    """The tied model that ships with the package has another head size than the tiny ones."""
    engine = tiny.engine(tiny.config("nano"), weights["nano"])
    (rollout,) = sampler(engine, stops=set()).generate([Request(PROMPTS[0], 0)], 0.0, 4, 0)
    log_p = log_distribution(weights["nano"], engine, [*PROMPTS[0], *rollout.tokens[:3]], 1.0)
    assert ARCHS["nano"].tied and rollout.tokens[3] == int(log_p.argmax())


def test_a_key_is_rotated_once(policy: tuple[Engine, Path], decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotating all keys of the cache for every token, as megatron-core does, took half of the time."""
    engine, _ = policy
    rotated, rotate = [], rope_utils.apply_rotary_pos_emb

    def counting(x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        rotated.append(len(x))
        return rotate(x, *args, **kwargs)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("rotated again")

    monkeypatch.setattr(rope_utils, "apply_rotary_pos_emb", counting)
    monkeypatch.setattr(attention, "apply_rotary_pos_emb", refused)
    sampler(engine, stops=set()).generate([Request((1, 2, 5), 0), Request((4, 5), 1)], 1.0, 6, 0)
    both = 2 * engine.shape.num_layers  # queries and keys
    # the lean decoder rotates the new token by itself
    assert rotated == [3] * both + [1] * both * (5 if decoder == "megatron" else 0)
