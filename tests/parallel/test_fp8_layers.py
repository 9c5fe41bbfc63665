"""Emulated fp8 layers: each product against loops over blocks, and their place in the network."""

from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import tiny
import torch
from torch import Tensor

from fleming_nemo.model import gpt
from fleming_nemo.parallel import fp8_emulation
from fleming_nemo.parallel.fp8_emulation import E4M3, E5M2, quantisers
from fleming_nemo.parallel.fp8_emulation_layers import Fp8Linear, emulated_block_spec, emulated_layers
from fleming_nemo.parallel.precision import RECIPES
from fleming_nemo.training.engine import Engine

pytestmark = pytest.mark.usefixtures("one_process")

RECIPE_NAMES = tuple(RECIPES)


def plain(x: Tensor, dtype: torch.dtype, high: int, wide: int, power_of_two: bool) -> Tensor:
    """Quantise block by block, in Python."""
    largest = {E4M3: 448.0, E5M2: 57344.0}[dtype]
    out = torch.empty(x.shape)
    for r in range(0, x.size(0), high):
        for c in range(0, x.size(1), wide):
            block = x[r : r + high, c : c + wide].float()
            scale = torch.tensor(largest) / block.abs().max()
            if power_of_two:
                scale = scale.log2().floor().exp2()
            out[r : r + high, c : c + wide] = (block * scale).clamp(-largest, largest).to(dtype).float() * (1 / scale)
    return out


def plain_operands(recipe: str, x: Tensor, w: Tensor, g: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Of each matrix what a sum along its rows sees, and what a sum along its columns sees."""
    if recipe == "tensorwise":
        whole = 10**6
        made = {"x": plain(x, E4M3, whole, whole, False), "w": plain(w, E4M3, whole, whole, False)}
        return {name: (q, q) for name, q in made.items()} | {"g": (plain(g, E5M2, whole, whole, False),) * 2}
    size = {"blockwise": 128, "mxfp8": 32}[recipe]
    made = {
        name: (plain(t, E4M3, 1, size, True), plain(t, E4M3, size, 1, True))
        for name, t in zip("xwg", (x, w, g), strict=True)
    }
    if recipe == "blockwise":
        made["w"] = (plain(w, E4M3, size, size, True),) * 2
    return made


def assert_products(got: tuple[Tensor, ...], operands: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Output, gradient of the input and of the weight; the order of fp32 sums is the library's."""
    (x_along, x_across), (w_along, w_across), (g_along, g_across) = (operands[name] for name in "xwg")
    for made, expected in zip(got, (x_along @ w_along.T, g_along @ w_across, g_across.T @ x_across), strict=True):
        ulp = 2.0**-8 if made.dtype == torch.bfloat16 else 1e-5
        torch.testing.assert_close(made.float(), expected, rtol=ulp, atol=float(1e-6 * expected.abs().max()))


def draw(tokens: int, k: int, n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = ((tokens, k), (n, k), (tokens, n))
    x, w, g = (torch.randn(s, generator=generator) * torch.rand(s, generator=generator).mul(8).exp2() for s in shapes)
    return x.to(dtype), (0.02 * w).to(dtype), (1e-4 * g).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("sizes", [(256, 128, 384), (70, 96, 200)], ids=["whole blocks", "rests"])
@pytest.mark.parametrize("recipe", ["tensorwise", "blockwise", "mxfp8"])
def test_products_are_those_of_the_quantised_operands(
    recipe: str, sizes: tuple[int, int, int], dtype: torch.dtype
) -> None:
    x, w, g = draw(*sizes, dtype)
    expected = plain_operands(recipe, x, w, g)
    operands = quantisers(recipe)
    for name, operand, matrix in (("x", operands.input, x), ("w", operands.weight, w), ("g", operands.grad, g)):
        assert all(torch.equal(a, b) for a, b in zip(operand(matrix), expected[name], strict=True)), name
    x.requires_grad_(), w.requires_grad_()
    out = Fp8Linear.apply(x.view(2, -1, x.size(1)), w, operands, True)
    out.backward(g.view_as(out))
    assert_products((out.detach().view_as(g), x.grad, w.grad), expected)
    exact = x.detach().float() @ w.detach().float().T
    error = float((out.detach().view_as(g).float() - exact).norm() / exact.norm())
    assert 0.005 < error < 0.06, "coarser than bf16, and not by more than e4m3 explains"


def test_delayed_products_use_the_scales_of_the_pass_before() -> None:
    x, w, g = draw(64, 96, 80, torch.float32)
    operands = quantisers("delayed")
    for _ in range(2):
        a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
        out = Fp8Linear.apply(a, b, operands, True)
        out.backward(g)
    # the pass before had the same matrices
    assert_products((out.detach(), a.grad, b.grad), plain_operands("tensorwise", x, w, g))


def engine(recipe: str, folder: Path, ends: int = 0, **model: object) -> Engine:
    cfg = tiny.config("qwen2.5-tiny")
    for name, value in model.items():
        setattr(cfg.model, name, value)
    with mock.patch.object(gpt, "block_spec", partial(emulated_block_spec, recipe=recipe, bf16_ends=ends)):
        return tiny.engine(cfg, folder)


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_training_goes_with_the_unquantised(recipe: str, weights: dict[str, Path]) -> None:
    folder = weights["qwen2.5-tiny"]
    exact = [m["loss"] for m in tiny.train(tiny.engine(tiny.config(), folder), "sft", range(4))]
    made = engine(recipe, folder)
    got = [m["loss"] for m in tiny.train(made, "sft", range(4))]
    assert got == pytest.approx(exact, rel=0.05)
    assert all(a != b for a, b in zip(got, exact, strict=True))
    for name, operands in emulated_layers(made.network).items():
        for what, statistics in operands.statistics().items():
            assert statistics.nonzero > 0, f"{what} of {name} was never quantised"
            assert 0 < statistics.shares()["relative_error"] < (1 if recipe == "delayed" else 0.2)


def test_without_rounding_nothing_changes(weights: dict[str, Path]) -> None:
    """What is left of the layers then is megatron-core's."""
    folder = weights["qwen2.5-tiny"]
    with mock.patch.object(fp8_emulation, "quantised", lambda x, dtype, scale: x.float()):
        got = tiny.train(engine("blockwise", folder), "sft")
    for a, b in zip(got, tiny.train(tiny.engine(tiny.config(), folder), "sft"), strict=True):
        assert a == pytest.approx(b, rel=1e-6)


def test_names_and_ends(weights: dict[str, Path]) -> None:
    made = engine("mxfp8", weights["qwen2.5-tiny"], ends=1)
    local = tiny.engine(tiny.config(), weights["qwen2.5-tiny"])
    assert list(made.network.state_dict()) == list(local.network.state_dict())
    parts = ("self_attention.linear_proj", "self_attention.linear_qkv", "mlp.linear_fc1", "mlp.linear_fc2")
    assert sorted(emulated_layers(made.network)) == sorted(
        f"decoder.layers.{n}.{part}" for n in (1, 2) for part in parts
    )


def test_recomputation_would_count_twice(weights: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="set model.recompute=0"):
        engine("delayed", weights["qwen2.5-tiny"], recompute=-1)


def test_recomputation_changes_no_number(weights: dict[str, Path]) -> None:
    folder = weights["qwen2.5-tiny"]
    expected = tiny.train(engine("blockwise", folder), "sft")
    assert tiny.train(engine("blockwise", folder, recompute=-1), "sft") == expected


def test_evaluation_quantises_and_counts_nothing(weights: dict[str, Path]) -> None:
    folder = weights["qwen2.5-tiny"]
    made = engine("tensorwise", folder)
    batches = tiny.batches(made.cfg, tiny.samples())
    loss = made.evaluate(batches, tiny.objective_of("sft"))["loss"]
    exact = tiny.engine(tiny.config(), folder).evaluate(batches, tiny.objective_of("sft"))["loss"]
    assert loss != exact and loss == pytest.approx(exact, rel=0.05)
    assert not any(s.nonzero for q in emulated_layers(made.network).values() for s in q.statistics().values())
