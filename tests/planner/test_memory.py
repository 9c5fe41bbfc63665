"""Memory by hand, against megatron-core's schedule, and how it changes with a layout."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from works import work

from fleming_nemo.planner import activations, memory, parameters
from fleming_nemo.planner.workload import Rollouts


def test_states_by_hand():
    """7B on eight GPUs, tp 2 and dp 4: half the weights in bf16, fp32 gradients of all, an eighth of the optimizer."""
    seven = work(tp=2, dp=4)
    half = parameters.rank(seven.shape, 2, 1, 1, 0).total
    (part,) = memory.stages(seven)
    assert (part.weights, part.gradients, part.optimizer) == (2 * half, 4 * half, 3 * half)
    assert part.logits == 12 * 4096 * 152064 / 2
    assert part.activations == 28 * activations.layer_bytes(seven) * 4096
    assert part.total == sum((9 * half, part.logits, part.activations, part.reserved))


def test_a_layer_that_recomputes_keeps_its_input_and_one_layer_is_whole_at_a_time():
    layer = activations.layer_bytes(work()) * 4096
    (part,) = memory.stages(work(recompute=-1))
    assert part.activations == 28 * 2 * 3584 * 4096 + layer
    (part,) = memory.stages(work(recompute=4))
    assert part.activations == 24 * layer + 4 * 2 * 3584 * 4096 + layer


def test_context_parallel_ranks_share_tokens_and_optimizer():
    one, two = memory.stages(work())[0], memory.stages(work(cp=2))[0]
    assert (two.activations, two.logits, two.optimizer) == (one.activations / 2, one.logits / 2, one.optimizer / 2)
    assert two.weights == one.weights


def test_only_the_last_stage_has_logits_and_the_first_most_activations():
    parts = memory.stages(work(pp=4, passes=8))
    assert [p.logits > 0 for p in parts] == [False, False, False, True]
    one = 7 * activations.layer_bytes(work()) * 4096
    assert [p.activations for p in parts] == [4 * one, 3 * one, 2 * one, one]


def test_fp8_keeps_copies_of_matrices_but_for_the_bf16_ends():
    plain, ends = memory.stages(work(fp8=True))[0], memory.stages(work(fp8=True, bf16_ends=7))[0]
    linear = parameters.rank(work().shape, 1, 1, 1, 0).linear
    assert plain.weights - memory.stages(work())[0].weights == 2 * linear
    assert ends.weights - memory.stages(work())[0].weights == linear


def test_cache_of_generation_and_activations_never_at_once():
    rollouts = Rollouts(count=64, prompt=100, response=200, longest=400, tp=1, gpus=2, batch=256)
    (part,) = memory.stages(work(dp=2, rollouts=rollouts))
    assert part.cache == 32 * 500 * (2 * 28 * 2 * 4 * 128)
    assert part.total == part.weights + part.gradients + part.optimizer + part.reserved + part.activations + part.logits
    assert memory.stages(work(dp=2, rollouts=replace(rollouts, one_off=True)))[0].cache == 0


@pytest.mark.parametrize("pp, vp", [(2, 1), (4, 1), (8, 1), (2, 2), (2, 4), (4, 2), (4, 8)])
def test_passes_in_flight_are_those_of_the_schedule(pp, vp):
    """megatron-core's own count of warm-up passes; at its end one more runs before the first backward pass."""
    from megatron.core.pipeline_parallel.schedules import get_pp_rank_microbatches

    for passes in (pp, 2 * pp, 8 * pp):
        for stage in range(pp):
            place = SimpleNamespace(
                pp_group=SimpleNamespace(size=lambda: pp, rank=lambda stage=stage: stage),
                virtual_pipeline_model_parallel_size=vp if vp > 1 else None,
            )
            total, _, warmup, _ = get_pp_rank_microbatches(passes, vp, pp, p2p_communicator=place)
            held = memory.in_flight(work("qwen3-32b", pp=pp, vp=vp, passes=passes), stage)
            assert held == min(warmup + 1, total)


sizes = st.sampled_from([1, 2, 4])


@given(tp=sizes, pp=sizes, cp=sizes, dp=sizes, passes=st.integers(1, 64), recompute=st.integers(0, 6))
def test_more_of_anything_that_cuts_never_needs_more(tp, pp, cp, dp, passes, recompute):
    base = work(tp=tp, pp=pp, cp=cp, dp=dp, passes=passes, recompute=recompute, sequence_parallel=tp > 1)
    most = memory.worst(base)[1].total
    assert memory.worst(replace(base, dp=2 * dp))[1].total <= most
    assert memory.worst(replace(base, cp=2 * cp))[1].total < most
    assert memory.worst(replace(base, recompute=-1))[1].activations <= memory.worst(base)[1].activations
    assert memory.worst(replace(base, peak_tokens=2 * base.peak_tokens))[1].total > most
    if tp < 4:
        assert memory.worst(replace(base, tp=2 * tp, sequence_parallel=True))[1].total < most
