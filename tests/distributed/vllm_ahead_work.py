"""A run on real vLLM servers that draw one step ahead, and what can be seen of it from inside."""

from typing import Any
from unittest import mock

import torch
import work

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.grpo import correction
from fleming_nemo.rollout.transfer.push import Transfer


def run(cfg: RunConfig, kill_after: int | None = None) -> dict[str, Any]:
    """`work.whole_run`.

    Returns:
        Beside its own: `modes`, how each transfer met what was being drawn; `corrections`, for every micro-batch that
        any rank took a loss of, the kind and the largest distance of an importance weight from 1.
    """
    modes: list[str] = []
    mine: list[tuple[str, float]] = []
    push, weigh = Transfer.push, correction.weights

    def noted_push(self: Transfer, servers: Any, version: int, pool: Any, mode: str = "wait") -> Any:
        modes.append(mode)
        return push(self, servers, version, pool, mode)

    def noted_weights(kind: str, *of_tokens: Any) -> Any:
        made = weigh(kind, *of_tokens)
        mine.append((kind, 0.0 if made is None else float((made - 1).abs().max())))
        return made

    with mock.patch.object(Transfer, "push", noted_push), mock.patch.object(correction, "weights", noted_weights):
        told = work.whole_run(cfg, kill_after)
    corrections: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(corrections, mine)
    return told | {"modes": modes, "corrections": [each for rank in corrections for each in rank]}
