"""Proof that servers hold the trainer's weights: both say how likely given tokens are.

Checksums cannot tell.  An engine computes with copies that it has packed, fused or quantised, and a copy that was
forgotten leaves every checksum as it should be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fleming_nemo.data.batch import micro_batches
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone
from fleming_nemo.rollout.vllm.settings import MODEL_NAME
from fleming_nemo.training.engine import Engine, LossSum
from fleming_nemo.training.logprobs import Prediction, Sampling

if TYPE_CHECKING:
    from fleming_nemo.rollout.vllm.pool import Pool
    from fleming_nemo.rollout.vllm.server import Server

_DIFFERENCE = "difference"


def largest_difference(
    engine: Engine, sequences: Sequence[Sequence[int]], servers: list[Server] | None, pool: Pool | None
) -> float:
    """Largest difference, in nats, between the log-probabilities of any token under the trainer and under any server.

    Collective over all ranks; rank 0 names servers and pool.

    Args:
        sequences: token ids, at least two each; the same on all ranks.
    """
    told: list[list[np.ndarray]] = []
    problem: Exception | None = None
    if servers is not None and pool is not None:
        try:
            told = [[_ask(pool, server, tokens) for tokens in sequences] for server in servers]
        except Exception as error:
            problem = error
    answers = everyone((told, problem))[0]
    if answers[1] is not None:
        raise answers[1]
    samples = [
        Sample(np.array(tokens), np.ones(len(tokens), np.uint8), logprobs=logprobs)
        for one in answers[0]
        for tokens, logprobs in zip(sequences, one, strict=True)
    ]
    if not samples:
        return 0.0
    layout = groups.current()
    samples *= layout.dp * layout.pp * engine.cfg.train.micro_batch  # every rank and every stage gets its share
    batches = micro_batches([len(sample.tokens) for sample in samples], samples.__getitem__, engine.cfg, pad_id=0)
    return engine.evaluate(batches, _Difference(engine.shape.vocab_size))[_DIFFERENCE]


class _Difference:
    """An objective that only looks; the servers' log-probabilities are where those of rollouts would be."""

    def __init__(self, vocab_size: int) -> None:
        # without temperature, over every row of the embedding: what an engine says of a prompt
        self._distribution = Sampling(1.0, vocab_size)

    def __call__(self, prediction: Prediction, batch: MicroBatch) -> LossSum:
        logp_N = prediction.of(batch, self._distribution).logp_N
        apart_N = (logp_N - batch.rollout_BT[batch.mask_BT.nonzero(as_tuple=True)]).abs()
        largest = apart_N.max() if len(apart_N) else apart_N.sum()
        return LossSum(total=0 * logp_N.sum(), count=1, maxima={_DIFFERENCE: largest})


def _ask(pool: Pool, server: Server, tokens: Sequence[int]) -> np.ndarray:
    """Log-probability of every token but the first, fp32."""
    body = {"model": MODEL_NAME, "prompt": list(tokens), "max_tokens": 1, "prompt_logprobs": 0}
    call = pool.control(server, "/v1/completions", json=body)
    reply: dict[str, Any] = asyncio.run_coroutine_threadsafe(call, pool.loop).result()
    rows = reply["choices"][0]["prompt_logprobs"][1:]
    return np.array([row[str(token)]["logprob"] for row, token in zip(rows, tokens[1:], strict=True)], np.float32)
