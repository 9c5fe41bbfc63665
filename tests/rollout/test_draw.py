"""Sampling a token: the right distribution, whatever the size of the vocabulary."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.rollout.draw import draw


@pytest.mark.parametrize(("tokens", "temperature"), [(5, 1.0), (511, 0.6), (1024, 1.0), (3000, 1.7)])
def test_the_inverse_of_the_cumulative_distribution(tokens: int, temperature: float) -> None:
    """Against NumPy in double precision; a different token only where the random number lies on a boundary."""
    rng = np.random.default_rng(tokens)
    logits = rng.normal(0, 3, (400, tokens)).astype(np.float32)
    uniform = rng.random(400)
    found, logp = draw(torch.from_numpy(logits), torch.from_numpy(uniform), temperature)
    p = np.exp(logits.astype(np.float64) / temperature)
    p /= p.sum(1, keepdims=True)
    rising = p.cumsum(1)
    expected = (rising > uniform[:, None]).argmax(1)
    differs = found.numpy() != expected
    assert differs.mean() < 0.01
    assert (np.abs(rising[differs, np.minimum(found.numpy(), expected)[differs]] - uniform[differs]) < 1e-5).all()
    np.testing.assert_allclose(logp.numpy(), np.log(p[range(400), found.numpy()]), atol=1e-5)


def test_frequencies() -> None:
    logits = torch.log(torch.tensor([0.5, 0.0, 0.2, 0.3])).expand(20_000, 4)
    uniform = torch.from_numpy(np.random.default_rng(0).random(20_000))
    counts = torch.bincount(draw(logits, uniform, 1.0)[0], minlength=4) / 20_000
    torch.testing.assert_close(counts, torch.tensor([0.5, 0.0, 0.2, 0.3]), atol=0.012, rtol=0)
    assert counts[1] == 0


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 1100), st.integers(0, 10**6))
def test_a_token_without_probability_is_never_drawn(uniform: float, tokens: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    possible = rng.random(tokens) < 0.1
    possible[rng.integers(tokens)] = True
    logits = np.where(possible, rng.normal(0, 1, tokens), -np.inf).astype(np.float32)
    token, logp = draw(torch.from_numpy(logits)[None], torch.tensor([uniform], dtype=torch.float64), 1.0)
    assert possible[token.item()] and np.isfinite(logp.item())


def test_temperature_zero_takes_the_largest_and_reports_its_probability() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    token, logp = draw(logits, torch.tensor([0.99], dtype=torch.float64), 0)
    assert token.item() == 1
    torch.testing.assert_close(logp, torch.log_softmax(logits, -1)[:, 1])


def test_tokens_of_zero_probability_are_not_drawn_at_the_edges() -> None:
    """The random numbers next to 0 and 1, on a distribution whose first and last tokens cannot occur."""
    logits_AV = torch.full((2, 6), -1e30)
    logits_AV[:, 2:4] = 0.0
    edges = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    token_A, logprob_A = draw(logits_AV, edges, 1.0)
    assert token_A.tolist() == [2, 3]
    assert logprob_A.tolist() == pytest.approx([np.log(0.5)] * 2)
