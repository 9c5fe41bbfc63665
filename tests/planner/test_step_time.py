"""FLOPs against published rates, phases by hand, and how a step's time changes with a layout."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from works import work

from fleming_nemo.planner import constants, flops, generation, parameters, step_time
from fleming_nemo.planner.hardware import GPUS
from fleming_nemo.planner.plan import plan
from fleming_nemo.planner.published import LLAMA_8B, LLAMA_70B
from fleming_nemo.planner.workload import Rollouts


@pytest.mark.parametrize(
    "shape, length, tokens, tera",
    [(LLAMA_70B, 4096, 1638, 710), (LLAMA_70B, 8192, 1621, 728), (LLAMA_8B, 8192, 14451, 744)],
    ids=["70B SFT", "70B", "8B"],
)
def test_flops_are_those_that_nvidia_counts(shape, length, tokens, tera):
    """Megatron-Bridge prints tokens/s and TFLOP/s of one run beside each other."""
    assert tokens * flops.training(shape, length) / 1e12 == pytest.approx(tera, abs=0.6)


def test_flops_of_a_layer_by_hand():
    """Six per weight of a matrix and token, and 12 * h * s / 2 of causal attention."""
    shape = work().shape
    weights = 3584 * (28 + 8) * 128 + 28 * 128 * 3584 + 3 * 3584 * 18944
    assert flops.training(shape, 1000) == 6 * (28 * weights + 152064 * 3584) + 28 * 12 * 1000 / 2 * 28 * 128


def test_a_bubble_is_the_share_of_the_stages_that_wait():
    """(pp - 1) / (vp * m) of the passes, a little less for the stages without the output layer."""
    for vp, passes in ((1, 8), (2, 8), (4, 64)):
        time = step_time.training_step(work("qwen3-32b", pp=4, vp=vp, passes=passes))
        busy = time.forward_backward + time.pp_communication
        assert 0.8 * 3 / (vp * passes) < time.bubble / busy <= 3 / (vp * passes)


def test_volumes_by_hand():
    """tp 2: ten collectives a layer, each of half of what lies whole; dp: fp32 out, bf16 in, three quarters each."""
    sent = step_time.volume(work(tp=2, dp=4, passes=3, sequence_parallel=True))
    count = parameters.rank(work().shape, 2, 1, 1, 0).total
    assert sent.tp == 3 * 28 * 10 * 0.5 * 2 * 3584 * 4096
    assert sent.dp == 0.75 * count * (4 + 2)
    assert sent.cp == sent.pp == 0


def test_rings_over_nodes_use_the_cards_of_all_their_members():
    h100 = GPUS["h100"]
    assert h100.bandwidth(8, 1) == h100.bandwidth(2, 4) == h100.nvlink
    assert h100.bandwidth(8, 8) == h100.network  # one member in each node
    assert h100.bandwidth(8, 2) == 4 * h100.network


sizes = st.sampled_from([1, 2, 4])


@given(tp=sizes, pp=sizes, cp=sizes, dp=sizes, passes=st.integers(1, 32), recompute=st.integers(0, 7))
def test_what_is_more_work_or_less_hidden_is_never_faster(tp, pp, cp, dp, passes, recompute):
    base = work(tp=tp, pp=pp, cp=cp, dp=dp, passes=passes, recompute=recompute, sequence_parallel=tp > 1)
    seconds = step_time.training_step(base).total
    slower = [
        replace(base, overlap=False),
        replace(base, recompute=-1),
        replace(base, passes=passes + 1),
        replace(base, gpu=replace(base.gpu, network=base.gpu.network / 2)),
        replace(base, gpu=replace(base.gpu, hbm=base.gpu.hbm / 2)),
    ]
    for other in slower:
        assert step_time.training_step(other).total >= seconds
    assert step_time.training_step(replace(base, fp8=True)).total < seconds
    assert 0 < plan(replace(base, step_tokens=4096.0 * dp * passes)).mfu < constants.MATMUL_BF16


def test_decoding_is_bound_by_memory_and_then_by_arithmetic():
    rollouts = Rollouts(count=8, prompt=10, response=10, longest=10, tp=1, gpus=1)
    one, two, many = (generation.decode_step(work(), rollouts, batch) for batch in (1, 2, 100_000))
    weights = 2 * parameters.whole(work().shape) / (GPUS["h100"].hbm * constants.DECODE_HBM)
    assert one == pytest.approx(weights + constants.DECODE_STEP, rel=0.001)
    assert two < 1.01 * one
    assert many > 100 * one


def test_a_batch_that_ends_together_takes_as_long_as_its_longest_answer():
    rollouts = Rollouts(count=512, prompt=10, response=100, longest=1000, tp=1, gpus=1, batch=256)
    together = generation.generate(work(), rollouts)
    refilled = generation.generate(work(), replace(rollouts, continuous=True))
    assert (together.steps, together.batch) == (2000, 512 * 100 / 2000)
    assert refilled.steps == 2 * 100 + 900
    assert refilled.total < together.total


def test_a_step_ahead_hides_the_shorter_of_generation_and_training():
    rollouts = Rollouts(count=64, prompt=100, response=900, longest=1000, tp=1, gpus=4, continuous=True)
    beside = plan(work(dp=4, passes=16, rollouts=rollouts))
    ahead = plan(work(dp=4, passes=16, gpus=8, rollouts=replace(rollouts, one_off=True)))
    assert beside.generation and ahead.generation
    assert beside.seconds == beside.training.total + beside.generation.total + beside.weight_transfer
    assert ahead.seconds == max(ahead.training.total, ahead.generation.total) + ahead.weight_transfer
