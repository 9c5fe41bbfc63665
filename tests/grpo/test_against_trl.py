"""The presets that TRL has as well, on the same batch: TRL's own loss function, its value and its gradient."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_objectives import LENGTHS, MAX_RESPONSE, REWARD_PG, VOCABULARY, batch_of, computed, logits_STV
from torch import Tensor

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.grpo import objectives

pytestmark = pytest.mark.usefixtures("one_process")
trl = pytest.importorskip("trl.trainer.grpo_trainer", reason="the peer is not installed (extra `bench`)")

__all__ = ["logits_STV"]  # a fixture

SETTINGS: dict[str, dict[str, Any]] = {
    "grpo": {"loss_type": "grpo", "epsilon_low": 0.2, "epsilon_high": 0.2},
    "dr_grpo": {"loss_type": "dr_grpo", "epsilon_low": 0.2, "epsilon_high": 0.2},
    "dapo": {"loss_type": "dapo", "epsilon_low": 0.2, "epsilon_high": 0.28},
    "gspo": {"loss_type": "grpo", "epsilon_low": 3e-4, "epsilon_high": 4e-4, "importance_sampling_level": "sequence"},
    "cispo": {"loss_type": "cispo", "epsilon_low": 0.0, "epsilon_high": 5.0},
}


def trainer(logps_ST: Tensor, beta: float, settings: dict[str, Any]) -> Any:
    """What `GRPOTrainer._compute_loss` looks at, around log-probabilities that are given."""
    same = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x, num_processes=1, device="cpu")
    same.reduce = lambda x, reduction: x
    return SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (logps_ST, torch.zeros_like(logps_ST), None),
        accelerator=same,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        beta=beta,
        model=SimpleNamespace(training=True),
        max_completion_length=MAX_RESPONSE,
        current_gradient_accumulation_steps=1,
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        _entropy_bonus_enabled=False,
        _metrics={"train": defaultdict(list)},
        **({"importance_sampling_level": "token"} | settings),
    )


def theirs(name: str, logits: Tensor, batch: MicroBatch, beta: float) -> Tensor:
    width = max(LENGTHS)
    logp_ST = torch.gather(torch.log_softmax(logits, -1), -1, batch.targets_BT[..., None])[..., 0][:, 2 : 2 + width]
    assert batch.old_BT is not None
    inputs = {
        "prompt_ids": torch.zeros(len(LENGTHS), 2, dtype=torch.long),
        "prompt_mask": torch.ones(len(LENGTHS), 2, dtype=torch.long),
        "completion_ids": batch.targets_BT[:, 2 : 2 + width],
        "completion_mask": batch.mask_BT[:, 2 : 2 + width].long(),
        "advantages": batch.weight_S,
        "old_per_token_logps": batch.old_BT[:, 2 : 2 + width],
        "num_items_in_batch": torch.tensor(float(sum(LENGTHS))),
    }
    if batch.reference_BT is not None:
        inputs["ref_per_token_logps"] = batch.reference_BT[:, 2 : 2 + width]
    return trl.GRPOTrainer._compute_loss(trainer(logp_ST, beta, SETTINGS[name]), None, inputs)


@pytest.mark.parametrize("beta", [0.0, 0.1], ids=["no KL", "KL"])
@pytest.mark.parametrize("name", SETTINGS)
def test_loss_and_gradient_equal_those_of_trl(name: str, beta: float, logits_STV: Tensor) -> None:  # noqa: F811
    recorded = {"reference": 0.4} if beta else {}
    batch = batch_of(objectives.build(name, MAX_RESPONSE).advantages(REWARD_PG), moved=0.5, **recorded)
    mine, other = (logits_STV.clone().requires_grad_() for _ in range(2))
    loss = computed(name, mine, batch, kl_beta=beta)
    (loss.total / loss.count).backward()
    expected = theirs(name, other, batch, beta)
    expected.backward()
    assert loss.total.item() / loss.count == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(mine.grad, other.grad, atol=1e-5, rtol=1e-4)
    assert logits_STV.size(-1) == VOCABULARY


def test_advantages_are_scaled_as_trl_scales_them() -> None:
    """(R - mean) / (std + 1e-4) with the deviation of a sample."""
    reward_PG = torch.from_numpy(REWARD_PG)
    expected_PG = (reward_PG - reward_PG.mean(1, keepdim=True)) / (reward_PG.std(1, keepdim=True) + 1e-4)
    torch.testing.assert_close(torch.from_numpy(objectives.GRPO().advantages(REWARD_PG)), expected_PG)
