"""One training step in one process."""

import math
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.micro_batch import MicroBatch
from fleming_nemo.training.engine import Engine, LossSum, Objective
from fleming_nemo.training.logprobs import Prediction

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture
def engine(weights: dict[str, Path]) -> Engine:
    return tiny.engine(tiny.config(), weights["qwen2.5-tiny"])


def copy_of_weights(engine: Engine) -> list[Tensor]:
    return [p.detach().clone() for p in engine.network.parameters()]


def poisoned(poison: float) -> Objective:
    """A loss and a gradient that are this number, or infinite with its sign."""
    return lambda prediction, batch: LossSum(total=prediction.hidden_BTH.sum() * poison, count=1)


def state_of(engine: Engine) -> list[Tensor]:
    """Weights and everything that the optimizer keeps."""
    inner = getattr(engine.optimizer, "chained_optimizers", [engine.optimizer])[0].optimizer
    kept = [value for state in inner.state.values() for _, value in sorted(state.items())]
    return copy_of_weights(engine) + [value.clone() for value in kept]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("clip_grad", [1.0, 0.0])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_not_applied(
    poison: float, clip_grad: float, precision: str, weights: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tiny.config(precision=precision)
    cfg.optim.clip_grad = clip_grad
    engine, undisturbed = (tiny.engine(cfg, weights["qwen2.5-tiny"]) for _ in range(2))
    assert tiny.train(engine, "sft", range(1)) == tiny.train(undisturbed, "sft", range(1))
    before = state_of(engine)
    metrics = engine.train_step(tiny.batches(cfg, tiny.samples()), poisoned(poison), lr=1e-3)
    assert metrics["skipped"] == 1 and not math.isfinite(metrics["grad_norm"])
    assert all(torch.equal(a, b) for a, b in zip(before, state_of(engine), strict=True))
    assert capsys.readouterr().err.startswith("step 2: update skipped, the gradient is not finite (gradient norm ")
    # and the engine is as good as before
    after = tiny.train(engine, "sft", range(1, 3))
    assert after == tiny.train(undisturbed, "sft", range(1, 3))
    assert [row["skipped"] for row in after] == [0, 0]


def test_a_loss_that_is_not_finite_is_not_trained_on(engine: Engine) -> None:
    """Its gradient may be finite all the same."""
    before = copy_of_weights(engine)

    def finite_gradient(prediction: Prediction, batch: MicroBatch) -> LossSum:
        return LossSum(total=prediction.hidden_BTH.sum() + float("nan"), count=1)

    metrics = engine.train_step(tiny.batches(engine.cfg, tiny.samples()), finite_gradient, lr=1e-3)
    assert metrics["skipped"] == 1 and math.isfinite(metrics["grad_norm"])
    assert all(torch.equal(a, b) for a, b in zip(before, copy_of_weights(engine), strict=True))


def test_a_spike_is_not_applied(weights: dict[str, Path]) -> None:
    cfg = tiny.config()
    cfg.optim.skip_spikes = 5.0
    engine = tiny.engine(cfg, weights["qwen2.5-tiny"])
    norm = tiny.train(engine, "sft", range(1))[0]["grad_norm"]
    engine.guard.load_state_dict({"accepted": [norm] * 30, "judged": 31, "skipped_in_a_row": 0})
    before = copy_of_weights(engine)
    batches = tiny.batches(cfg, tiny.samples())
    assert engine.train_step(batches, poisoned(100.0), lr=1e-3)["skipped"] == 1
    assert all(torch.equal(a, b) for a, b in zip(before, copy_of_weights(engine), strict=True))
    assert engine.train_step(batches, tiny.objective_of("sft"), lr=1e-3)["skipped"] == 0
    assert not all(torch.equal(a, b) for a, b in zip(before, copy_of_weights(engine), strict=True))


def test_a_run_that_only_skips_ends(engine: Engine) -> None:
    batches = tiny.batches(engine.cfg, tiny.samples())
    for _ in range(9):
        engine.train_step(batches, poisoned(float("nan")), lr=1e-3)
    with pytest.raises(UserError, match="^the last 10 updates were skipped, and training does not recover by itself"):
        engine.train_step(batches, poisoned(float("nan")), lr=1e-3)


def test_the_gradient_norm_is_that_before_clipping(weights: dict[str, Path]) -> None:
    norms = []
    for clip_grad in (0.0, 0.01, 100.0):
        cfg = tiny.config()
        cfg.optim.clip_grad = clip_grad
        norms.append(tiny.train(tiny.engine(cfg, weights["qwen2.5-tiny"]), "sft", range(1))[0]["grad_norm"])
    assert norms[0] == norms[1] == norms[2] > 0.1


def test_clipping_bounds_the_update(weights: dict[str, Path]) -> None:
    """Adam's first step has the size of the learning rate whatever the gradient; its second moment tells."""
    cfg = tiny.config()
    cfg.optim.clip_grad = 0.01
    engine = tiny.engine(cfg, weights["qwen2.5-tiny"])
    tiny.train(engine, "sft", range(1))
    inner = getattr(engine.optimizer, "chained_optimizers", [engine.optimizer])[0].optimizer
    squares = sum(float(state["exp_avg_sq"].sum()) for state in inner.state.values()) / (1 - cfg.optim.betas[1])
    assert squares**0.5 == pytest.approx(0.01, rel=1e-3)


def test_evaluation_changes_nothing(engine: Engine) -> None:
    batches, loss = tiny.batches(engine.cfg, tiny.samples()), tiny.objective_of("sft")
    before = copy_of_weights(engine)
    first = engine.evaluate(batches, loss)
    assert engine.evaluate(batches, loss) == first
    assert all(torch.equal(a, b) for a, b in zip(before, copy_of_weights(engine), strict=True))
    assert engine.train_step(batches, loss, lr=1e-3)["loss"] == pytest.approx(first["loss"], rel=1e-6)


def test_the_learning_rate_is_the_steps_own(engine: Engine) -> None:
    batches, loss = tiny.batches(engine.cfg, tiny.samples()), tiny.objective_of("sft")
    before = copy_of_weights(engine)
    engine.train_step(batches, loss, lr=0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, copy_of_weights(engine), strict=True))
    engine.train_step(batches, loss, lr=1e-3)
    moved = max(float((a - b).abs().max()) for a, b in zip(before, copy_of_weights(engine), strict=True))
    assert 5e-4 < moved < 5e-3


def test_sft_loss_is_the_mean_over_assistant_tokens(engine: Engine) -> None:
    """A sequence with more assistant tokens counts for more: the mean is over tokens, not over sequences."""
    samples = tiny.samples(2)
    loss = tiny.objective_of("sft")
    alone = [engine.evaluate(tiny.batches(engine.cfg, [s]), loss)["loss"] for s in samples]
    tokens = [int(s.mask.sum()) for s in samples]
    mean = (alone[0] * tokens[0] + alone[1] * tokens[1]) / sum(tokens)
    assert tokens[0] != tokens[1]
    assert engine.evaluate(tiny.batches(engine.cfg, samples), loss)["loss"] == pytest.approx(mean, rel=1e-5)


def test_embedding_rows_without_a_token_get_no_probability(engine: Engine, weights: dict[str, Path]) -> None:
    """Their gradient is zero, so only weight decay moves them, and the loss does not see them."""
    batches, loss = tiny.batches(engine.cfg, tiny.samples()), tiny.objective_of("sft")
    expected = engine.evaluate(batches, loss)
    with torch.no_grad():
        engine.network.output_layer.weight[tiny.NUM_TOKENS :] = 100.0
    assert engine.evaluate(batches, loss) == expected


@pytest.mark.parametrize("arch", ["qwen2.5-tiny", "qwen3-tiny"])
def test_bf16_is_close_to_fp32(arch: str, weights: dict[str, Path]) -> None:
    expected = tiny.train(tiny.engine(tiny.config(arch), weights[arch]), "sft")
    cfg = tiny.config(arch, precision="bf16")
    for got, want in zip(tiny.train(tiny.engine(cfg, weights[arch]), "sft"), expected, strict=True):
        assert got["loss"] == pytest.approx(want["loss"], rel=5e-3) and got["loss"] != want["loss"]
        assert got["grad_norm"] == pytest.approx(want["grad_norm"], rel=5e-2)


def test_the_optimizers_fp32_weights_are_those_that_were_loaded(weights: dict[str, Path]) -> None:
    """In bf16 it holds copies: made before the weights were loaded, they would overwrite them at the first step."""
    cfg = tiny.config(precision="bf16")
    engine = tiny.engine(cfg, weights["qwen2.5-tiny"])
    before = copy_of_weights(engine)
    engine.train_step(tiny.batches(cfg, tiny.samples()), tiny.objective_of("sft"), lr=0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, copy_of_weights(engine), strict=True))


def test_weight_decay_spares_norms_and_biases(engine: Engine) -> None:
    before = {name: p.detach().clone() for name, p in engine.network.named_parameters()}

    def nothing(prediction: Prediction, batch: MicroBatch) -> LossSum:
        return LossSum(total=prediction.hidden_BTH.sum() * 0, count=1)

    engine.train_step(tiny.batches(engine.cfg, tiny.samples()), nothing, lr=0.5)
    for name, parameter in engine.network.named_parameters():
        factor = 1.0 if name.endswith("bias") or "layernorm" in name else 1 - 0.5 * engine.cfg.optim.weight_decay
        torch.testing.assert_close(parameter, before[name] * factor, msg=name)
