"""Proof that an exported folder is the model: every bit of it, and its answer to a fixed prompt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ArchShape
from fleming_nemo.data.chat import IM_END, IM_START
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.model import hf
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone, everyone_or_error

from megatron.core import tensor_parallel  # isort: skip
from megatron.core.pipeline_parallel import get_forward_backward_func  # isort: skip

PROMPT = (
    f"{IM_START}user\nWhich gene is associated with cystic fibrosis?\nA) CFTR\nB) FBN1{IM_END}\n{IM_START}assistant\n"
)
"""What the exported weights are asked; the best next tokens are kept in export.json for other engines to compare."""

TOP = 10


def check(networks: list[Any], shape: ArchShape, folder: Path, chat: ChatTokenizer) -> dict[str, Any]:
    """Raise a UserError where the folder is not the model; else what its answer to the fixed prompt begins with.

    Collective.  Afterwards the networks hold the weights of the folder, which are their own.
    """
    tokens = chat.encode(PROMPT)
    expected = last_stage_logits(networks, tokens)
    finite = expected is None or bool(expected.isfinite().all())
    everyone_or_error(
        lambda: _refuse_unless(finite, "the logits of this checkpoint are not finite; export an earlier step")
    )

    def compare() -> None:
        difference = hf.first_difference(networks, folder, shape)
        _refuse_unless(difference is None, f"the export is damaged: {difference}; check the disk, and export again")

    everyone_or_error(compare)
    with torch.no_grad():
        for network in networks:
            for parameter in network.parameters():
                parameter.fill_(torch.nan)
    hf.load(networks, folder, shape)
    found = last_stage_logits(networks, tokens)
    # rows of the padded vocabulary are no part of a folder
    same = expected is None or (
        found is not None and torch.equal(*(x[:, : shape.vocab_size] for x in (expected, found)))
    )
    everyone_or_error(
        lambda: _refuse_unless(same, "the exported weights give other logits than the checkpoint; this is a bug")
    )
    best: list[Any] | None = None
    if found is not None:
        values, ids = found[-1, : chat.size].float().topk(TOP)
        best = [
            {"token": i, "text": chat.decode([i]), "logit": v}
            for i, v in zip(ids.tolist(), values.tolist(), strict=True)
        ]
    best = next(filter(None, everyone(best)))
    return {"text": PROMPT, "tokens": tokens, "best_next": best}


@torch.no_grad()
def last_stage_logits(networks: list[Any], tokens: list[int]) -> Tensor | None:
    """Logits [T, V] of one sequence on the ranks of the last pipeline stage, None on the others; V with padding."""
    tokens_BT = torch.tensor([tokens], device=groups.device())
    positions_BT = torch.arange(len(tokens), device=groups.device())[None]

    def forward_step(_: Any, model: Any) -> tuple[Tensor, Callable[..., Tensor]]:
        def keep(logits_BTV: Tensor, non_loss_data: bool) -> Tensor:
            return tensor_parallel.gather_from_tensor_model_parallel_region(logits_BTV)

        return model(tokens_BT, positions_BT, None), keep

    for network in networks:
        network.eval()
    kept = get_forward_backward_func()(
        forward_step_func=forward_step,
        data_iterator=None,
        model=networks,
        num_microbatches=1,
        seq_length=len(tokens),
        micro_batch_size=1,
        forward_only=True,
        collect_non_loss_data=True,
    )
    return kept[0][0] if kept else None


def _refuse_unless(condition: bool, sentence: str) -> None:
    if not condition:
        raise UserError(sentence)
