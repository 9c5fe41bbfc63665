"""Sampling from the training weights in place: prompts and, on a GPU, responses on megatron-core's static cache.

Nothing is copied or converted: the policy that is trained is the policy that speaks.  Prompts of one batch are padded
on the left, each distinct prompt is prefilled once, and finished sequences leave the batch.  On a CPU the tokens after
the prompt are computed by `lean`.  Tensor parallelism works as in training; pipeline and context parallelism are
refused by `config.validate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fleming_nemo.parallel import cpu_backend, groups
from fleming_nemo.rollout.draw import draw
from fleming_nemo.rollout.lean import LeanDecoder, knows
from fleming_nemo.rollout.types import Request, Rollout
from fleming_nemo.training import watchdog

from megatron.core.inference.contexts import StaticInferenceContext  # isort: skip

_COMPACT_BELOW = 0.75
"""Share of sequences still running below which the finished ones are dropped from the cache."""


class MegatronRollouts:
    """In-process rollout engine of one model replica.

    Args:
        network: this rank's GPTModel.
        num_tokens: ids that the tokenizer can decode; no other is ever sampled.
        stop_ids: a response ends with the first of these.
        pad_id: any id; its position is masked.
        decode_batch: how many sequences are decoded together.
        progress: called with the number of finished sequences.
    """

    def __init__(
        self,
        network: Any,
        num_tokens: int,
        stop_ids: set[int],
        pad_id: int,
        decode_batch: int,
        progress: Callable[[int], None] = lambda finished: None,
    ) -> None:
        self.network = network
        self.num_tokens = num_tokens
        self.stop_ids = torch.tensor(sorted(stop_ids), device=groups.device())
        self.pad_id = pad_id
        self.decode_batch = decode_batch
        self.progress = progress

    @torch.no_grad()
    def generate(
        self, requests: list[Request], temperature: float, max_response: int, weight_version: int
    ) -> list[Rollout]:
        """See `RolloutEngine.generate`."""
        self.network.eval()
        # neighbours of similar length waste little padding; requests of one prompt stay together
        order = sorted(range(len(requests)), key=lambda i: (len(requests[i].prompt), requests[i].prompt))
        rollouts: list[Any] = [None] * len(requests)
        for start in range(0, len(order), self.decode_batch):
            part = order[start : start + self.decode_batch]
            with _without_sequence_parallelism(self.network):
                batch = self._decode([requests[i] for i in part], temperature, max_response)
            for i, (tokens, logprobs, finished) in zip(part, batch, strict=True):
                rollouts[i] = Rollout(tokens, logprobs, finished, requests[i].seed, weight_version)
            self.progress(len(part))
        return rollouts

    def _decode(
        self, requests: list[Request], temperature: float, max_response: int
    ) -> list[tuple[list[int], np.ndarray, bool]]:
        """Shapes below: A sequences still running, K cache positions, V whole vocabulary."""
        decoder, logits_AV = self._prefill(requests, max_response)
        device = logits_AV.device
        uniform = np.stack([_uniforms(r.seed, max_response) for r in requests])
        tokens_BT = np.zeros((len(requests), max_response), dtype=np.int64)
        logprobs_BT = np.zeros((len(requests), max_response), dtype=np.float32)
        length_B = np.full(len(requests), max_response)
        finished_B = np.zeros(len(requests), dtype=bool)
        row_A = np.arange(len(requests))  # which request each running sequence belongs to
        done_A = np.zeros(len(requests), dtype=bool)
        for position in range(max_response):
            watchdog.beat()
            uniform_A = torch.from_numpy(uniform[row_A, position]).to(device)
            token_A, logprob_A = draw(logits_AV[:, : self.num_tokens], uniform_A, temperature)
            running = ~done_A
            tokens_BT[row_A[running], position] = token_A.cpu().numpy()[running]
            logprobs_BT[row_A[running], position] = logprob_A.cpu().numpy()[running]
            stopped = torch.isin(token_A, self.stop_ids).cpu().numpy() & running
            length_B[row_A[stopped]] = position + 1
            finished_B[row_A[stopped]] = True
            done_A |= stopped
            if done_A.all() or position + 1 == max_response:
                break
            if (~done_A).mean() < _COMPACT_BELOW:
                keep = torch.from_numpy(np.flatnonzero(~done_A)).to(device)
                decoder.select(keep)
                token_A = token_A[keep]
                row_A, done_A = row_A[~done_A], done_A[~done_A]
            with cpu_backend.bypassed():
                logits_AV = decoder.step(token_A)
        return [
            (tokens_BT[b, :n].tolist(), logprobs_BT[b, :n].copy(), bool(finished_B[b])) for b, n in enumerate(length_B)
        ]

    def _prefill(self, requests: list[Request], max_response: int) -> tuple[LeanDecoder | _Padded, Tensor]:
        """Run each distinct prompt once; returns what decodes the responses of all requests, and the first logits."""
        prompts = list(dict.fromkeys(r.prompt for r in requests))  # in their order, so that the rows ascend
        row_of = {prompt: row for row, prompt in enumerate(prompts)}
        rows = np.array([row_of[r.prompt] for r in requests])
        width = max(map(len, prompts))
        lean = knows(self.network)
        ids = np.full((len(prompts), width), self.pad_id)
        valid = np.zeros((len(prompts), width + (0 if lean else max_response)), dtype=bool)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = prompt
            valid[row, width - len(prompt) : width] = True
        device = groups.device()
        valid_PK = torch.from_numpy(valid).to(device)
        cache = StaticInferenceContext(*valid.shape)
        cache.enable_prefill_mode()
        logits_PV = _forward(self.network, torch.from_numpy(ids).to(device), cache, valid_PK)
        rows_A = torch.from_numpy(rows).to(device)
        if lean:
            return LeanDecoder(self.network, cache.key_value_memory_dict, valid_PK, rows), logits_PV[rows_A]
        cache.enable_decode_mode()
        padded = _Padded(self.network, cache, valid_PK)
        padded.select(rows_A)
        return padded, logits_PV[rows_A]


class _Padded:
    """The running sequences in megatron-core's static cache, each with the keys and values of its prompt."""

    def __init__(self, network: Any, cache: StaticInferenceContext, valid_AK: Tensor) -> None:
        self._network, self._cache, self._valid_AK = network, cache, valid_AK

    def select(self, rows: Tensor) -> None:
        """Make the cache one of these rows (each may occur any number of times).

        megatron-core sees [positions, batch, heads, d].  In memory the positions of one head lie together, which is how
        decoding reads them: several times faster than megatron-core's own order.
        """
        self._valid_AK = self._valid_AK[rows]
        self._cache.max_batch_size = len(rows)
        for layer, pair in self._cache.key_value_memory_dict.items():
            self._cache.key_value_memory_dict[layer] = tuple(
                x.permute(1, 2, 0, 3).index_select(0, rows).permute(2, 0, 1, 3) for x in pair
            )

    def step(self, token_A: Tensor) -> Tensor:
        """Logits [A, V] after one more token of each sequence."""
        self._valid_AK[:, self._cache.sequence_len_offset] = True
        return _forward(self._network, token_A[:, None], self._cache, self._valid_AK)


def _forward(network: Any, ids_AT: Tensor, cache: StaticInferenceContext, valid_AK: Tensor) -> Tensor:
    """Logits [A, V] of the last position, gathered over the tensor-parallel ranks."""
    start = cache.sequence_len_offset
    positions = torch.arange(start, start + ids_AT.size(1), device=ids_AT.device).expand_as(ids_AT)
    with cpu_backend.bypassed():
        logits = network(ids_AT, positions, valid_AK, inference_context=cache, runtime_gather_output=True)
    cache.sequence_len_offset += ids_AT.size(1)
    return logits[:, -1]


@contextmanager
def _without_sequence_parallelism(network: Any) -> Iterator[None]:
    """A single new token cannot be cut along the sequence: tensor-parallel ranks all compute the whole of it."""
    names = ("sequence_parallel", "scatter_to_sequence_parallel", "reduce_scatter_embeddings")
    switched = [
        (part, name) for part in (network.config, *network.modules()) for name in names if getattr(part, name, False)
    ]
    for part, name in switched:
        setattr(part, name, False)
    try:
        yield
    finally:
        for part, name in switched:
            setattr(part, name, True)


def _uniforms(seed: int, count: int) -> np.ndarray:
    """The random numbers of one request: its own counter-based stream, whatever it is batched with."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)
