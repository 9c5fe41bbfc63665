"""Only ids that the tokenizer can decode are ever sampled, as in the trainer's softmax.

Embeddings have more rows than a tokenizer has tokens (Qwen2.5-7B: 152,064 for 151,665).  The trainer's distribution
leaves the rest out, so the engine's has to, or importance weights compare two different distributions.
"""

import os
from typing import TYPE_CHECKING

import torch
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor

if TYPE_CHECKING:
    from vllm.config import VllmConfig

NUM_TOKENS = "FLEMING_VLLM_NUM_TOKENS"


class Decodable(LogitsProcessor):
    """For `--logits-processors fleming_vocabulary:Decodable`; processed log-probabilities are taken after it."""

    def __init__(self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool) -> None:
        self._count = int(os.environ[NUM_TOKENS])

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        logits[:, self._count :] = -float("inf")
        return logits

    def is_argmax_invariant(self) -> bool:
        return False  # greedy responses are kept to these ids too

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        pass
