"""The paper's objective (equations 1-3) against its formula in NumPy and against plain torch's autograd."""

from pathlib import Path

import numpy as np
import plain_qwen
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import load_file

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.data.micro_batch import MicroBatch, Sample
from fleming_nemo.grpo.loss import policy_loss
from fleming_nemo.grpo.objectives import Paper
from fleming_nemo.model import hf_names
from fleming_nemo.training.engine import LossSum
from fleming_nemo.training.logprobs import Prediction, Sampling

pytestmark = pytest.mark.usefixtures("one_process")

TEMPERATURE = 0.7


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 6), st.integers(2, 9)),
        elements=st.floats(-10, 10, allow_subnormal=False),
    )
)
def test_advantages_are_leave_one_out_times_k_minus_1_over_k(reward_PG: np.ndarray) -> None:
    k = reward_PG.shape[1]
    others_PG = (reward_PG.sum(1, keepdims=True) - reward_PG) / (k - 1)
    np.testing.assert_allclose(Paper().advantages(reward_PG), (k - 1) / k * (reward_PG - others_PG), atol=1e-12)
    np.testing.assert_allclose(Paper().advantages(reward_PG).sum(1), 0, atol=1e-12)


def test_advantages_are_not_divided_by_the_standard_deviation() -> None:
    advantage_PG = Paper().advantages(np.array([[1.0, 0, 0, 0], [1, 1, 1, 1]]))
    assert advantage_PG.tolist() == [[0.75, -0.25, -0.25, -0.25], [0, 0, 0, 0]]


def batch_of(mask: list[list[int]], weights: list[float], seed: int = 0) -> MicroBatch:
    """Targets and recorded log-probabilities at random."""
    rng = np.random.default_rng(seed)
    shape = np.shape(mask)
    return MicroBatch(
        tokens_BT=torch.zeros(shape, dtype=torch.long),
        positions_BT=torch.zeros(shape, dtype=torch.long),
        targets_BT=torch.from_numpy(rng.integers(0, 7, shape)),
        mask_BT=torch.tensor(mask, dtype=torch.float32),
        sequence_BT=torch.arange(shape[0])[:, None].expand(shape),
        rollout_BT=torch.from_numpy(rng.normal(-2, 0.3, shape)).float() * torch.tensor(mask),
        weight_S=torch.tensor(weights),
        length_S=torch.tensor(mask, dtype=torch.float32).sum(1),
        packed=None,
    )


def paper(raw_BTV: torch.Tensor, batch: MicroBatch) -> LossSum:
    """The objective of logits as they stand: hidden states with an output layer that passes them on."""
    distribution = Sampling(TEMPERATURE, 7)
    return policy_loss(Paper(), distribution)(Prediction(raw_BTV, torch.eye(9)), batch)


class TestAgainstNumPy:
    """Nine columns of logits, of which seven have a token."""

    mask = [[0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]]
    weights = [0.75, -0.5, -0.25]

    @pytest.fixture
    def numbers(self) -> dict[str, np.ndarray]:
        batch = batch_of(self.mask, self.weights)
        raw_BTV = np.random.default_rng(1).normal(0, 2, (3, 5, 9)).astype(np.float32)
        logits = raw_BTV[..., :7].astype(np.float64) / TEMPERATURE
        logp_BTV = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        logp_BT = np.take_along_axis(logp_BTV, batch.targets_BT.numpy()[..., None], -1)[..., 0]
        return {"raw": raw_BTV, "logp_BTV": logp_BTV, "logp_BT": logp_BT, "mask": np.array(self.mask)}

    def test_value_and_gradient(self, numbers: dict[str, np.ndarray]) -> None:
        batch = batch_of(self.mask, self.weights)
        raw_BTV = torch.from_numpy(numbers["raw"]).requires_grad_()
        loss = paper(raw_BTV, batch)
        weight_B1 = np.array(self.weights)[:, None]
        assert loss.count == 3
        assert loss.total.item() == pytest.approx(-(weight_B1 * numbers["mask"] * numbers["logp_BT"]).sum(), abs=1e-6)
        # d(-A log p(y)) / d logit_v = -A (1[v = y] - p_v) / T at trained positions, 0 elsewhere
        loss.total.backward()
        one_hot = np.eye(7)[batch.targets_BT.numpy()]
        expected = -(weight_B1 * numbers["mask"])[..., None] * (one_hot - np.exp(numbers["logp_BTV"])) / TEMPERATURE
        assert raw_BTV.grad is not None
        np.testing.assert_allclose(raw_BTV.grad[..., :7], expected, atol=1e-6)
        assert not raw_BTV.grad[..., 7:].any()

    def test_reported_quantities(self, numbers: dict[str, np.ndarray]) -> None:
        batch = batch_of(self.mask, self.weights)
        loss = paper(torch.from_numpy(numbers["raw"]), batch)
        mask = numbers["mask"].astype(bool)
        entropy = -(np.exp(numbers["logp_BTV"]) * numbers["logp_BTV"]).sum(-1)[mask]
        gap = (numbers["logp_BT"] - batch.rollout_BT.numpy())[mask]
        assert [x.item() for x in loss.sums["entropy"]] == pytest.approx([entropy.sum(), mask.sum()], rel=1e-5)
        k3 = (np.exp(gap) - 1 - gap).sum()
        assert [x.item() for x in loss.sums["mismatch_kl"]] == pytest.approx([k3, mask.sum()], rel=1e-5)
        assert float(loss.maxima["mismatch_max"]) == pytest.approx(np.abs(gap).max(), rel=1e-5)

    def test_a_batch_without_a_response_token(self) -> None:
        loss = paper(torch.zeros(1, 3, 9, requires_grad=True), batch_of([[0, 0, 0]], [1.0]))
        assert loss.total.item() == 0 and loss.count == 1
        assert float(loss.maxima["mismatch_max"]) == 0


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny"])
def test_network_and_objective_equal_autograd(arch: str, weights: dict[str, Path]) -> None:
    """The whole of it in double precision: value, and the gradient of every weight, over two micro-batches."""
    shape = ARCHS[arch]
    state = load_file(weights[arch] / "model.safetensors")
    reference = {name: tensor.double().requires_grad_() for name, tensor in state.items()}
    samples = tiny.samples(4)
    total = torch.zeros((), dtype=torch.double)
    for sample in samples:
        logits = plain_qwen.forward(reference, shape, torch.from_numpy(sample.tokens[None]))[0, :-1, : tiny.NUM_TOKENS]
        logp_T = torch.log_softmax(logits / TEMPERATURE, -1)[range(len(logits)), torch.from_numpy(sample.tokens[1:])]
        total = total - sample.weight * (logp_T * torch.from_numpy(sample.mask[1:])).sum()
    (total / len(samples)).backward()

    cfg = tiny.config(arch)
    cfg.optim.clip_grad = 1e6
    engine = tiny.engine(cfg, weights[arch])
    metrics = engine.train_step(tiny.batches(cfg, samples), tiny.grpo_objective(temperature=TEMPERATURE), lr=1e-3)
    assert metrics["loss"] == pytest.approx(total.item() / 4, rel=1e-6)
    squares = sum(float(t.grad.square().sum()) for t in reference.values() if t.grad is not None)
    assert metrics["grad_norm"] == pytest.approx(squares**0.5, rel=1e-6)

    def gradient(name: str) -> torch.Tensor:
        grad = reference[name].grad
        assert grad is not None
        return grad.float()

    for name, parameter in engine.network.named_parameters():
        for piece in hf_names.pieces(name, shape):
            found, expected = piece.cut(parameter.main_grad), gradient(piece.key)
            torch.testing.assert_close(found, expected, atol=1e-6 * squares**0.5, rtol=1e-4, msg=piece.key)


def test_groups_without_variance_stay_in_the_denominator(weights: dict[str, Path]) -> None:
    """Four sequences with an advantage and four without: half the loss and half the gradient of the four alone."""
    cfg = tiny.config()
    samples = tiny.samples(4)
    flat = [Sample(s.tokens, s.mask, weight=0.0, logprobs=s.logprobs) for s in tiny.samples(4, seed=9)]

    def step(of: list[Sample]) -> dict[str, float]:
        engine = tiny.engine(cfg, weights["qwen2.5-tiny"])
        return engine.train_step(tiny.batches(cfg, of), tiny.objective_of("grpo"), lr=1e-3)

    alone, diluted, nothing = step(samples), step(samples + flat), step(flat)
    assert diluted["loss"] == pytest.approx(alone["loss"] / 2, rel=1e-5)
    assert diluted["grad_norm"] == pytest.approx(alone["grad_norm"] / 2, rel=1e-5)
    assert nothing["loss"] == nothing["grad_norm"] == 0
