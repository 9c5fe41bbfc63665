"""What a server is started with: its command and the environment that it gets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerSettings:
    """Attributes:
    model: folder with config.json and the tokenizer; weights come from the trainer.
    num_tokens: ids that the tokenizer can decode; no other is ever sampled.
    dtype: `float32` or `bfloat16`, as the trainer computes.
    max_length: longest prompt and response together, in tokens.
    max_sequences: sequences decoded together (`rollout.decode_batch`).
    tp: tensor-parallel size of each server.
    seed: of whatever is not seeded by a request.
    fp8: weights are quantised to FP8 as they arrive (`vllm-fp8`).
    sleeps: the server gives its memory back between batches, as it shares GPUs with the trainer.
    transfer: backend of the weight transfer: `gloo`, `nccl` or `ipc`.
    """

    model: Path
    num_tokens: int
    dtype: str
    max_length: int
    max_sequences: int
    tp: int = 1
    seed: int = 0
    fp8: bool = False
    sleeps: bool = False
    transfer: str = "gloo"
