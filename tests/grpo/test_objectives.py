"""Every objective against its published equation, written out by loops over responses in double precision.

One batch: two questions with three responses each, of 1 to 7 tokens, drawn from a policy that has moved since.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.grpo import objectives
from fleming_nemo.grpo.loss import policy_loss
from fleming_nemo.training import logprobs
from fleming_nemo.training.engine import LossSum
from fleming_nemo.training.logprobs import Prediction, Sampling

pytestmark = pytest.mark.usefixtures("one_process")

VOCABULARY, MAX_RESPONSE = 11, 7
LENGTHS = [3, 7, 1, 5, 2, 6]
REWARD_PG = np.array([[1.0, 0, 0], [1, 1, 0]])


@pytest.fixture
def logits_STV() -> Tensor:
    rng = np.random.default_rng(3)
    return torch.from_numpy(rng.normal(0, 1, (len(LENGTHS), max(LENGTHS) + 2, VOCABULARY))).float()


def batch_of(advantages: np.ndarray, moved: float = 0.3, **recorded: float) -> MicroBatch:
    """The responses after two positions of prompt; old log-probabilities lie about `moved` from the present ones."""
    rng = np.random.default_rng(4)
    shape = (len(LENGTHS), max(LENGTHS) + 2)
    mask_BT = torch.zeros(shape)
    for row, length in enumerate(LENGTHS):
        mask_BT[row, 2 : 2 + length] = 1

    def near(distance: float) -> Tensor:
        return torch.from_numpy(rng.normal(-2.6, distance, shape)).float() * mask_BT

    return MicroBatch(
        tokens_BT=torch.zeros(shape, dtype=torch.long),
        positions_BT=torch.zeros(shape, dtype=torch.long),
        targets_BT=torch.from_numpy(rng.integers(0, VOCABULARY, shape)),
        mask_BT=mask_BT,
        sequence_BT=torch.arange(len(LENGTHS))[:, None].expand(shape),
        rollout_BT=near(0.5),
        weight_S=torch.from_numpy(advantages).float().flatten(),
        length_S=torch.tensor(LENGTHS, dtype=torch.float32),
        packed=None,
        old_BT=near(moved),
        **{f"{name}_BT": near(distance) for name, distance in recorded.items()},
    )


def computed(name: str, logits_STV: Tensor, batch: MicroBatch, dual_clip: float = 0.0, **options: object) -> LossSum:
    loss = policy_loss(
        objectives.build(name, MAX_RESPONSE, dual_clip),
        Sampling(1.0, VOCABULARY),
        **options,  # type: ignore[arg-type]
    )
    return loss(Prediction(logits_STV, torch.eye(VOCABULARY)), batch)


def by_response(logits_STV: Tensor, batch: MicroBatch) -> Iterator[tuple[Tensor, Tensor, float]]:
    """(log pi, log pi_old, advantage) of each response, tokens in order, in double precision."""
    logp_STV = torch.log_softmax(logits_STV.double(), -1)
    assert batch.old_BT is not None
    for row, length in enumerate(LENGTHS):
        at = range(2, 2 + length)
        yield (
            logp_STV[row, at, batch.targets_BT[row, 2 : 2 + length]],
            batch.old_BT[row, 2 : 2 + length].double(),
            float(batch.weight_S[row]),
        )


def clipped(ratio: Tensor, advantage: float, low: float, high: float, dual: float = math.inf) -> Tensor:
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    return gain.clamp(min=dual * advantage) if advantage < 0 and dual < math.inf else gain


EQUATIONS: dict[str, Callable[[list[tuple[Tensor, Tensor, float]]], Tensor]] = {
    "paper": lambda rows: sum((logp.sum() * a for logp, _, a in rows), torch.zeros(())) / len(rows),
    "grpo": lambda rows: (
        sum((clipped((p - q).exp(), a, 0.2, 0.2).mean() for p, q, a in rows), torch.zeros(())) / len(rows)
    ),
    "dr_grpo": lambda rows: (
        sum((clipped((p - q).exp(), a, 0.2, 0.2).sum() / MAX_RESPONSE for p, q, a in rows), torch.zeros(())) / len(rows)
    ),
    "dapo": lambda rows: (
        sum((clipped((p - q).exp(), a, 0.2, 0.28).sum() for p, q, a in rows), torch.zeros(())) / sum(LENGTHS)
    ),
    "gspo": lambda rows: (
        sum((clipped((p - q).mean().exp(), a, 3e-4, 4e-4) for p, q, a in rows), torch.zeros(())) / len(rows)
    ),
    "cispo": lambda rows: (
        sum(((p - q).exp().clamp(max=5).detach() @ p * a for p, q, a in rows), torch.zeros(())) / sum(LENGTHS)
    ),
}


@pytest.mark.parametrize("moved", [0.3, 2.0], ids=["near", "far"])
@pytest.mark.parametrize("name", objectives.OBJECTIVES)
def test_value_and_gradient_are_those_of_the_equation(name: str, moved: float, logits_STV: Tensor) -> None:
    batch = batch_of(objectives.build(name, MAX_RESPONSE).advantages(REWARD_PG), moved)
    mine, theirs = logits_STV.clone().requires_grad_(), logits_STV.clone().requires_grad_()
    loss = computed(name, mine, batch)
    (loss.total / loss.count).backward()
    expected = -EQUATIONS[name](list(by_response(theirs, batch)))
    expected.backward()
    assert loss.total.item() / loss.count == pytest.approx(expected.item(), abs=1e-6)
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-6, rtol=1e-5)
    assert mine.grad is not None and mine.grad.abs().max() > 1e-3, "something is learned"


@pytest.mark.parametrize("name", [n for n, kind in objectives.OBJECTIVES.items() if kind.uses_ratio])
def test_before_the_first_update_the_policy_is_the_old_one(name: str, logits_STV: Tensor) -> None:
    """Nobody has to compute its log-probabilities twice."""
    batch = batch_of(objectives.build(name, MAX_RESPONSE).advantages(REWARD_PG))
    batch.old_BT = None
    unrecorded = computed(name, logits_STV, batch)
    logp_STV = torch.log_softmax(logits_STV, -1)
    batch.old_BT = torch.gather(logp_STV, -1, batch.targets_BT[..., None])[..., 0]
    torch.testing.assert_close(unrecorded.total, computed(name, logits_STV, batch).total, atol=1e-5, rtol=1e-5)


def test_dual_clip_bounds_what_a_bad_response_costs(logits_STV: Tensor) -> None:
    batch = batch_of(objectives.GRPO().advantages(REWARD_PG), moved=2.0)
    rows = list(by_response(logits_STV, batch))
    expected = -sum(clipped((p - q).exp(), a, 0.2, 0.2, dual=3.0).mean() for p, q, a in rows)
    bounded, free = (computed("grpo", logits_STV, batch, dual_clip=c).total.item() for c in (3.0, 0.0))
    assert bounded == pytest.approx(float(expected), abs=1e-5)
    assert bounded < free


@pytest.mark.parametrize("name", ["paper", "dapo"])
def test_divergence_from_the_reference(name: str, logits_STV: Tensor) -> None:
    """k3 = exp(d) - d - 1 with d = log ref - log pi, summed like the objective."""
    batch = batch_of(objectives.build(name, MAX_RESPONSE).advantages(REWARD_PG), reference=0.4)
    assert batch.reference_BT is not None
    logp_N = torch.cat([p for p, _, _ in by_response(logits_STV, batch)])
    toward_N = batch.reference_BT[batch.mask_BT.bool()].double() - logp_N
    expected = (toward_N.exp() - toward_N - 1).sum()
    loss = computed(name, logits_STV, batch, kl_beta=0.5)
    without = computed(name, logits_STV, batch)
    assert (loss.total - without.total).item() == pytest.approx(0.5 * expected.item(), rel=1e-5)
    assert [x.item() for x in loss.sums["reference_kl"]] == pytest.approx([expected.item(), sum(LENGTHS)], rel=1e-5)


class TestCorrection:
    def test_a_token_weighs_at_most_twice(self, logits_STV: Tensor) -> None:
        batch = batch_of(np.ones((2, 3)))
        assert batch.old_BT is not None
        ratio_BT = (batch.old_BT - batch.rollout_BT).exp().clamp(max=2.0)
        logp_BT = torch.gather(torch.log_softmax(logits_STV, -1), -1, batch.targets_BT[..., None])[..., 0]
        loss = computed("paper", logits_STV, batch, correct="token")
        assert loss.total.item() == pytest.approx(-(ratio_BT * logp_BT * batch.mask_BT).sum().item(), rel=1e-5)
        assert ((batch.old_BT - batch.rollout_BT).exp() > 2).any(), "the bound was met"

    def test_a_response_too_far_off_is_dropped_whole(self, logits_STV: Tensor) -> None:
        batch = batch_of(np.ones((2, 3)))
        assert batch.old_BT is not None
        product_S = (batch.old_BT - batch.rollout_BT).sum(1).exp()
        kept_S = (product_S < 3) & (product_S > 1 / 3)
        assert 0 < kept_S.sum() < 6
        loss = computed("paper", logits_STV, batch, correct="sequence")
        expected = -sum(p.sum() for (p, _, _), keep in zip(by_response(logits_STV, batch), kept_S, strict=True) if keep)
        assert loss.total.item() == pytest.approx(float(expected), rel=1e-5)

    def test_the_mismatch_is_reported(self, logits_STV: Tensor) -> None:
        batch = batch_of(np.ones((2, 3)))
        assert batch.old_BT is not None
        gap_N = (batch.old_BT - batch.rollout_BT)[batch.mask_BT.bool()]
        loss = computed("paper", logits_STV, batch)
        far = int((gap_N.abs() > math.log(2)).sum())
        assert [x.item() for x in loss.sums["mismatch_far"]] == [far, sum(LENGTHS)]
        k3 = (gap_N.double().exp() - 1 - gap_N.double()).sum().item()
        assert loss.sums["mismatch_kl"][0].item() == pytest.approx(k3, rel=1e-5)


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 8)), elements=st.sampled_from([0.0, 1.0])),
    st.sampled_from(sorted(objectives.OBJECTIVES)),
)
def test_advantages_of_a_group_add_up_to_nothing(reward_PG: np.ndarray, name: str) -> None:
    advantage_PG = objectives.build(name, MAX_RESPONSE).advantages(reward_PG)
    np.testing.assert_allclose(advantage_PG.sum(1), 0, atol=1e-9)
    flat = np.ptp(reward_PG, axis=1) == 0
    assert not advantage_PG[flat].any() and advantage_PG[~flat].any(1).all()


@pytest.mark.parametrize("chunk", [1, 5 * VOCABULARY, 10**6])
def test_chunks_change_neither_value_nor_gradient(
    chunk: int, logits_STV: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log-probability, entropy and both gradients equal the naive computation, at a temperature and unused rows."""
    monkeypatch.setattr(logprobs, "CHUNK_LOGITS", chunk)
    batch = batch_of(np.ones((2, 3)))
    rng = np.random.default_rng(6)
    weight_VH = torch.from_numpy(rng.normal(0, 0.5, (VOCABULARY + 3, VOCABULARY))).float().requires_grad_()
    hidden = logits_STV.clone().requires_grad_()
    found = Prediction(hidden, weight_VH).of(batch, Sampling(0.7, VOCABULARY))
    factor_N = torch.from_numpy(rng.normal(0, 1, sum(LENGTHS))).float()
    (found.logp_N * factor_N).sum().backward()

    naive, weight = (t.detach().double().requires_grad_() for t in (hidden, weight_VH))
    logp_NV = torch.log_softmax((naive[batch.mask_BT.bool()] @ weight.t())[:, :VOCABULARY] / 0.7, -1)
    logp_N = logp_NV[range(sum(LENGTHS)), batch.targets_BT[batch.mask_BT.bool()]]
    (logp_N * factor_N).sum().backward()
    torch.testing.assert_close(found.logp_N.double(), logp_N, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found.entropy_N.double(), -(logp_NV.exp() * logp_NV).sum(-1), atol=1e-5, rtol=1e-5)
    for mine, theirs in ((hidden, naive), (weight_VH, weight)):
        assert mine.grad is not None and theirs.grad is not None
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=1e-6, rtol=1e-5)
