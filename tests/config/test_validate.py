import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import apply
from fleming_nemo.config.presets import ARCHS, tiny
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import data_parallel_size, validate

VLLM = ["task=grpo", "rollout.engine=vllm", "rollout.max_response=1024"]


def test_the_defaults_are_valid():
    validate(RunConfig(), world_size=8)


@pytest.mark.parametrize(
    "overrides, world_size, sentence",
    [
        (["task=stf"], 1, "task is 'stf', which does not exist; did you mean sft?"),
        (["model.arch=qwen2.5-8b"], 1, "model.arch is 'qwen2.5-8b', which does not exist; did you mean qwen2.5-7b?"),
        (["model.precision=fp16"], 1, "model.precision is 'fp16', which does not exist; did you mean bf16?"),
        (["model.fp8_recipe=block"], 1, "model.fp8_recipe is 'block', which does not exist; did you mean blockwise?"),
        (["model.fp8_bf16_ends=15"], 1, "model.fp8_bf16_ends is 15; both ends together cannot have more than the 28"),
        (["model.recompute=29"], 1, "model.recompute is 29, but a pipeline chunk has 28 layers; choose -1 (all) to 28"),
        (["optim.decay=step"], 1, "optim.decay is 'step', which does not exist; choose one of cosine, linear, wsd"),
        (["grpo.curriculum=hard"], 1, "grpo.curriculum is 'hard', which does not exist; choose one of easy_moderate"),
        (["parallel.tp=3"], 3, "parallel.tp is 3, which does not divide the 28 attention heads of qwen2.5-7b"),
        (["parallel.tp=7"], 7, "parallel.tp is 7, which does not divide the 4 key-value groups of qwen2.5-7b"),
        (["parallel.pp=3"], 3, "parallel.pp is 3, which does not divide the 28 layers of qwen2.5-7b; choose one of 1"),
        (["parallel.vp=2"], 1, "parallel.vp is above 1 without a pipeline; set parallel.vp=1 or raise parallel.pp"),
        (["parallel.pp=2", "parallel.vp=4"], 2, "parallel.vp is 4, which does not divide the 14 layers of a pipeline"),
        (["parallel.pp=4", "parallel.vp=7", "train.global_batch=30"], 4, "train.global_batch is 30, which is not a"),
        (["train.pack_tokens=4000"], 1, "train.pack_tokens is 4000, too few for one sequence of train.seq_length = 4"),
        (
            ["parallel.cp=3", "train.seq_length=4098", "train.pack_tokens=5002"],
            3,
            "train.pack_tokens is 5002, which is not a multiple of 2 * ",
        ),
        (["parallel.tp=2", "parallel.pp=2"], 6, "6 processes do not divide by parallel.tp * pp * cp = 2 * 2 * 1 = 4"),
        (["parallel.dp=2"], 4, "4 processes and parallel.tp * pp * cp = 1 * 1 * 1 = 1 leave 4 data-parallel replicas"),
        (["train.global_batch=30"], 4, "train.global_batch is 30, which is not a multiple of train.micro_batch"),
        (["task=grpo", "grpo.prompts_per_step=30"], 4, "grpo.prompts_per_step is 30, which is not a multiple of the"),
        (["parallel.cp=2", "train.seq_length=4098"], 2, "train.seq_length is 4098, which is not a multiple of 2 * par"),
        (["parallel.tp=4", "parallel.sequence_parallel=true", "train.seq_length=4098"], 4, "train.seq_length is 4098"),
        (["parallel.sequence_parallel=true"], 1, "parallel.sequence_parallel needs parallel.tp above 1"),
        (["train.seq_length=40000"], 1, "train.seq_length is 40000, but qwen2.5-7b knows 32768 positions; lower it"),
        (["task=grpo", "parallel.pp=2"], 2, "parallel.pp is 2, but in-process generation needs pp=1 and cp=1"),
        (["task=evaluate", "parallel.pp=2"], 2, "parallel.pp is 2, but in-process generation needs pp=1 and cp=1"),
        (["task=grpo", "parallel.cp=2"], 2, "parallel.cp is 2, but in-process generation needs pp=1 and cp=1"),
        (["task=grpo", "grpo.mix=[1]"], 1, "grpo.mix is [1]; give two shares, for example [1,2]"),
        (["task=grpo", "grpo.mix=[0,0]"], 1, "grpo.mix is [0, 0]; give two shares"),
        (["task=grpo", "grpo.pass_rates=[0.5,0.5]"], 1, "grpo.pass_rates is [0.5, 0.5]; give the rates up to which"),
        (["task=grpo", "rollout.engine=sglang"], 1, "rollout.engine is 'sglang', which does not exist; choose one of"),
        (["task=grpo", "rollout.staleness=1"], 1, "rollout.staleness is 1, but the trainer cannot sample while it tr"),
        ([*VLLM, "rollout.staleness=2"], 1, "rollout.staleness is 2; 0 (on-policy) and 1 (one step ahead) are what"),
        ([*VLLM, "rollout.staleness=1", "grpo.refill=2"], 1, "grpo.refill is 2, but with rollout.staleness=1"),
        ([*VLLM, "rollout.staleness=1", "grpo.correction=none"], 1, "grpo.correction is 'none', but with rollout.stal"),
        (["task=grpo", "rollout.tp=2"], 1, "rollout.tp is 2, but only vLLM servers have a size of their own"),
        ([*VLLM, "rollout.tp=3"], 1, "rollout.tp is 3, which does not divide the 28 attention heads of qwen2.5-7b"),
        ([*VLLM, "rollout.tp=14"], 1, "rollout.tp is 14, and the 4 key-value groups of qwen2.5-7b can neither be"),
        (["task=grpo", "rollout.max_response=4096"], 1, "rollout.max_response is 4096, which leaves no room for the"),
        (["grpo.rollouts_per_prompt=1"], 1, "grpo.rollouts_per_prompt is 1; it must be at least 2"),
        (["parallel.tp=0"], 1, "parallel.tp is 0; it must be at least 1"),
        (["train.steps=0"], 1, "train.steps is 0; it must be at least 1"),
        (["optim.lr=0"], 1, "optim.lr is 0.0; it must be above 0"),
        (["optim.lr=nan"], 1, "optim.lr is nan; it must be above 0"),
        (["rollout.temperature=0"], 1, "rollout.temperature is 0.0; it must be above 0"),
        (["optim.betas=[0.9,1]"], 1, "optim.betas is 1.0; it must be at least 0 and below 1"),
        (["optim.warmup_steps=200"], 1, "optim.warmup_steps is 200, more than train.steps = 100; lower it"),
        (["data.synthesis=wiki"], 1, "data.synthesis is 'wiki', which does not exist; choose one of none, demo"),
        (["optim.betas=[0.9]"], 1, "optim.betas is [0.9]; give the decay of both moments"),
        (["run_dir= "], 1, "run_dir is empty; give it a value"),
    ],
)
def test_what_cannot_work_is_one_sentence_with_field_and_value(overrides, world_size, sentence):
    cfg = apply(RunConfig(), overrides)
    with pytest.raises(UserError) as error:
        validate(cfg, world_size)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_the_suggested_batch_is_valid():
    cfg = apply(RunConfig(), ["train.global_batch=30", "train.micro_batch=2"])
    with pytest.raises(UserError, match="choose 32$"):
        validate(cfg, world_size=4)
    validate(apply(cfg, ["train.global_batch=32"]), world_size=4)


def test_data_parallel_size_is_what_is_left_over():
    cfg = apply(RunConfig(), ["parallel.tp=2", "parallel.pp=2"])
    assert data_parallel_size(cfg, world_size=16) == 4


def test_published_shapes():
    """Parameter counts of the model cards: 7.61 and 32.8 billion."""

    def parameters(name):
        a = ARCHS[name]
        attention = a.hidden_size * a.head_dim * (2 * a.num_heads + 2 * a.num_kv_heads)
        layer = attention + 3 * a.hidden_size * a.ffn_hidden_size
        return a.num_layers * layer + a.vocab_size * a.hidden_size * (1 if a.tied else 2)

    assert parameters("qwen2.5-7b") == pytest.approx(7.61e9, rel=0.002)
    assert parameters("qwen3-32b") == pytest.approx(32.8e9, rel=0.002)


# In-process generation needs pp=1 and cp=1.
LAYOUTS = [(1, 1, 1), (2, 1, 1), (8, 1, 1)]
WIDE_LAYOUTS = [*LAYOUTS, (4, 2, 1), (1, 1, 4), (2, 4, 2)]


@pytest.mark.parametrize(
    "task, tp, pp, cp",
    [(task, *layout) for task in ("grpo", "evaluate") for layout in LAYOUTS]
    + [("sft", *layout) for layout in WIDE_LAYOUTS],
)
@pytest.mark.parametrize("arch", ["qwen2.5-7b", "qwen3-32b", "nano"])
def test_tiny_keeps_the_kinds_of_parallelism_and_is_valid(task, arch, tp, pp, cp):
    cfg = apply(RunConfig(), [f"task={task}", f"model.arch={arch}"])
    cfg.parallel.tp, cfg.parallel.pp, cfg.parallel.cp, cfg.parallel.sequence_parallel = tp, pp, cp, tp > 1
    small = tiny(cfg)
    sizes = small.parallel
    assert [n > 1 for n in (sizes.tp, sizes.pp, sizes.cp)] == [tp > 1, pp > 1, cp > 1]
    assert ARCHS[small.model.arch].family == ARCHS[arch].family
    assert (small.model.weights, small.model.precision) == ("random", "fp32")
    assert small.run_dir == "runs/sft-tiny" and small.data.dir == "runs/sft-tiny/data"
    world_size = sizes.tp * sizes.pp * sizes.cp * sizes.dp
    assert world_size >= 2
    validate(small, world_size)
