"""What a trip through float8 does to numbers, against the formats' definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fleming_nemo.parallel import groups  # noqa: F401  first: it switches the CPU backend on
from fleming_nemo.parallel.fp8_emulation import (
    AMAX_HISTORY,
    E4M3,
    E5M2,
    BlockScale,
    DelayedScale,
    Quantiser,
    TensorScale,
    block_scale,
    quantised,
    quantisers,
    scale_of,
)
from fleming_nemo.parallel.precision import RECIPES

ONE = torch.tensor(1.0)
SMALLEST_NORMAL = {E4M3: 2.0**-6, E5M2: 2.0**-14}
HALF_ULP = {E4M3: 2.0**-4, E5M2: 2.0**-3}
SMALLEST = {E4M3: 2.0**-9, E5M2: 2.0**-16}
FORMATS = (E4M3, E5M2)

seeds = st.integers(0, 2**31)


def matrix(seed: int, rows: int = 48, columns: int = 160, spread: float = 3.0) -> torch.Tensor:
    """Values over several orders of magnitude, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.randn(rows, columns, generator=generator).mul(spread).exp2()
    made = size * torch.randn(rows, columns, generator=generator)
    return made.masked_fill(torch.rand(rows, columns, generator=generator) < 0.05, 0)


@pytest.mark.parametrize("dtype", FORMATS)
@settings(max_examples=25)
@given(seed=seeds, power=st.integers(-12, 8))
def test_rounding_error(dtype: torch.dtype, seed: int, power: int) -> None:
    """Half a unit in the last place of a normal number, half the smallest number below."""
    x = (matrix(seed) * 2.0**power).clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max)
    error = (quantised(x, dtype, ONE) - x).abs()
    normal = x.abs() >= SMALLEST_NORMAL[dtype]
    assert (error[normal] <= HALF_ULP[dtype] * x.abs()[normal]).all()
    assert (error[~normal] <= SMALLEST[dtype] / 2).all()


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_error_bound_is_reached(dtype: torch.dtype) -> None:
    middle = torch.tensor(1 + HALF_ULP[dtype])  # half way to the next number; ties go to the even one
    assert quantised(middle, dtype, ONE) == 1
    assert quantised(middle * 1.0001, dtype, ONE) == 1 + 2 * HALF_ULP[dtype]


QUANTISERS = {
    "tensorwise": lambda: TensorScale(E4M3),
    "tensorwise e5m2": lambda: TensorScale(E5M2),
    "blocks": lambda: BlockScale(E4M3),
    "tiles": lambda: BlockScale(E4M3, tiles=True),
    "mx": lambda: BlockScale(E4M3, size=32),
}


@pytest.mark.parametrize("name", QUANTISERS)
@settings(max_examples=25)
@given(seed=seeds, power=st.integers(-40, 40))
def test_powers_of_two_change_nothing(name: str, seed: int, power: int) -> None:
    x = matrix(seed)
    for small, large in zip(QUANTISERS[name]()(x), QUANTISERS[name]()(x * 2.0**power), strict=True):
        assert torch.equal(small * 2.0**power, large)


@pytest.mark.parametrize("name", QUANTISERS)
@settings(max_examples=25)
@given(seed=seeds)
def test_signs_zeros_and_sizes(name: str, seed: int) -> None:
    x = matrix(seed)
    for made, mirrored in zip(QUANTISERS[name]()(x), QUANTISERS[name]()(-x), strict=True):
        assert torch.equal(made, -mirrored)
        assert (made[x == 0] == 0).all()
        assert made.abs().max() <= x.abs().max() * (1 + HALF_ULP[E4M3])


@pytest.mark.parametrize("name", QUANTISERS)
def test_what_is_not_a_number(name: str) -> None:
    x = matrix(1, 4, 256)
    expected, _ = QUANTISERS[name]()(x)
    x[1, 7] = torch.nan
    made, _ = QUANTISERS[name]()(x)
    assert made.isnan().nonzero().tolist() == [[1, 7]]
    others = torch.ones_like(x, dtype=torch.bool)
    others[1, 7] = False
    assert torch.equal(made[others], expected[others])
    x[1, 7] = -torch.inf
    made, _ = QUANTISERS[name]()(x)
    assert made.isfinite().all() and made[1, 7] < 0


@pytest.mark.parametrize("name", QUANTISERS)
def test_nothing_but_zeros(name: str) -> None:
    rows, columns = QUANTISERS[name]()(torch.zeros(3, 130))
    assert not rows.any() and not columns.any()


@given(amax=st.floats(2.0**-100, 2.0**100, width=32))
def test_a_power_of_two_never_overflows_and_wastes_no_bit(amax: float) -> None:
    scale = scale_of(torch.tensor(amax), E4M3, power_of_two=True)
    assert torch.frexp(scale)[0] == 0.5
    assert 224 < float(scale.double()) * amax <= 448


@settings(max_examples=25)
@given(seed=seeds)
def test_blocks_are_stable(seed: int) -> None:
    """A second trip changes nothing: the blocks' scales are powers of two."""
    once, _ = BlockScale(E4M3)(matrix(seed))
    assert torch.equal(BlockScale(E4M3)(once)[0], once)


@pytest.mark.parametrize(
    ("make", "touched"),
    [
        (lambda: BlockScale(E4M3), (slice(5, 6), slice(128, 256))),
        (lambda: BlockScale(E4M3, tiles=True), (slice(0, 128), slice(128, 256))),
        (lambda: BlockScale(E4M3, size=32), (slice(5, 6), slice(160, 192))),
    ],
    ids=["1x128", "128x128", "1x32"],
)
def test_an_outlier_stays_in_its_block(make, touched: tuple[slice, slice]) -> None:
    x = matrix(3, 130, 300)
    before, _ = make()(x)
    x[5, 170] = 1e9
    after, _ = make()(x)
    changed = torch.zeros_like(x, dtype=torch.bool)
    changed[touched] = True
    assert torch.equal(before[~changed], after[~changed])
    assert (after[changed] == 0).sum() > (before[changed] == 0).sum()
    whole, _ = TensorScale(E4M3)(x)
    assert (whole[~changed] == 0).float().mean() > 0.9, "one scale for all: the others are gone"


def test_the_two_products_see_different_blocks() -> None:
    x = matrix(4, 200, 150)
    rows, columns = BlockScale(E4M3)(x)
    transposed_rows, transposed_columns = BlockScale(E4M3)(x.T)
    assert torch.equal(columns, transposed_rows.T) and torch.equal(rows, transposed_columns.T)
    assert not torch.equal(rows, columns)
    tiles, again = BlockScale(E4M3, tiles=True)(x)
    assert tiles is again
    assert torch.equal(BlockScale(E4M3, tiles=True)(x.T)[0], tiles.T)


def test_blocks_by_hand() -> None:
    x = torch.tensor([[1.0, 3.0, 100.0], [448.0, 0.0, 2.0**-20]])
    expected = torch.tensor([[128.0, 128.0, 4.0], [1.0, 1.0, 2.0**28]])
    assert torch.equal(block_scale(x, E4M3, (1, 2)), expected)


def test_e5m2_reaches_further_and_e4m3_is_finer() -> None:
    x = torch.tensor([[1.0, 2.0**-20, 0.3]])
    (fine, _), (wide, _) = TensorScale(E4M3)(x), TensorScale(E5M2)(x)
    assert fine[0, 1] == 0 and wide[0, 1] > 0
    noise = matrix(5, spread=0.5)
    errors = [float((TensorScale(d)(noise)[0] - noise).norm()) for d in FORMATS]
    assert 1.7 < errors[1] / errors[0] < 2.3, "one bit of the mantissa"


def test_statistics_by_hand() -> None:
    """Scale 1: 2 ** -11 is gone, 449 would round to the largest value anyhow, 500 is cut."""
    operand = DelayedScale(E4M3)
    operand.history.append(448.0)
    operand.scales = lambda x, observe: (ONE, ONE)  # type: ignore[method-assign]
    operand(torch.tensor([[0.0, 2.0**-11, 449.0, -500.0, 1.0]]))
    shares = operand.statistics.shares()
    assert shares["underflow"] == 0.25 and shares["saturation"] == 0.25
    error, size = (2.0**-22 + 1 + 52**2) ** 0.5, (2.0**-22 + 449**2 + 500**2 + 1) ** 0.5
    assert shares["relative_error"] == pytest.approx(error / size)
    assert (operand.statistics.nonzero, operand.statistics.saturated) == (4, 1)


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_current_scale_never_saturates(dtype: torch.dtype) -> None:
    operand = TensorScale(dtype)
    for seed in range(20):
        operand(matrix(seed))
    assert operand.statistics.saturated == 0


class TestDelayed:
    pytestmark = pytest.mark.usefixtures("one_process")

    def test_history_decides_and_a_spike_saturates(self) -> None:
        operand = DelayedScale(E4M3)
        x = torch.full((4, 8), 0.0005)
        assert not operand(x)[0].any(), "before anything was seen the scale is 1, and 0.0005 is too small for it"
        assert torch.allclose(operand(x)[0], x, rtol=1e-6)
        assert operand.statistics.saturated == 0
        spike = x.clone()
        spike[0, 0] = 1.0
        made, _ = operand(spike)
        assert made[0, 0] == pytest.approx(0.0005), "cut to the largest value seen so far"
        assert operand.statistics.saturated == 1
        made, _ = operand(spike)
        assert made[0, 0] == pytest.approx(1.0)
        assert operand.statistics.saturated == 1

    def test_the_spike_is_remembered_for_the_length_of_the_history(self) -> None:
        operand = DelayedScale(E4M3)
        operand(torch.tensor([[1000.0]]))
        for _ in range(AMAX_HISTORY - 1):
            operand(torch.tensor([[1.0]]))
        assert operand.scales(ONE, observe=False)[0] == torch.tensor(448.0) / 1000
        operand(torch.tensor([[1.0]]))
        assert operand.scales(ONE, observe=False)[0] == 448

    def test_evaluation_leaves_no_trace(self) -> None:
        operand = DelayedScale(E4M3)
        operand(torch.tensor([[7.0]]), observe=False)
        assert not operand.history and operand.statistics.nonzero == 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_formats_of_a_recipe(recipe: str) -> None:
    made = quantisers(recipe)
    assert made.input.dtype == made.weight.dtype == E4M3
    assert made.grad.dtype == (E5M2 if recipe in ("delayed", "tensorwise") else E4M3)
    assert isinstance(made.weight, Quantiser)
    sizes = {q.size for q in (made.input, made.weight, made.grad) if isinstance(q, BlockScale)}
    assert sizes == {"blockwise": {128}, "mxfp8": {32}}.get(recipe, set())
