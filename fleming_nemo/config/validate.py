"""Everything that can be wrong with a config before anything is started; needs neither data nor torch."""

from __future__ import annotations

from fleming_nemo.config.choices import FP8_MULTIPLES, check_choices
from fleming_nemo.config.engine_rules import can_generate, check_engine
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.grpo_rules import check_grpo
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.ranges import check_numbers
from fleming_nemo.config.schema import RunConfig

__all__ = ["can_generate", "data_parallel_size", "model_parallel_size", "pack_multiple", "validate"]


def validate(cfg: RunConfig, world_size: int) -> None:
    """Raise a UserError for the first thing that cannot work with `world_size` processes."""
    check_choices(cfg)
    for name, text in (("run_dir", cfg.run_dir), ("stage", cfg.stage), ("data.dir", cfg.data.dir)):
        if not text.strip():
            raise UserError(f"{name} is empty; give it a value")
    check_numbers(cfg)
    _check_model_split(cfg, ARCHS[cfg.model.arch])
    _check_batch(cfg, data_parallel_size(cfg, world_size))
    check_engine(cfg)
    if cfg.task in ("grpo", "mine"):
        check_grpo(cfg)


def model_parallel_size(cfg: RunConfig) -> int:
    """Processes that hold one copy of the model."""
    return cfg.parallel.tp * cfg.parallel.pp * cfg.parallel.cp


def data_parallel_size(cfg: RunConfig, world_size: int) -> int:
    """Copies of the model over `world_size` processes; UserError when that is not what the config says or not whole."""
    sizes = cfg.parallel
    split = f"parallel.tp * pp * cp = {sizes.tp} * {sizes.pp} * {sizes.cp} = {model_parallel_size(cfg)}"
    if world_size % model_parallel_size(cfg):
        raise UserError(f"{world_size} processes do not divide by {split}; change a size or the number of processes")
    dp = world_size // model_parallel_size(cfg)
    if sizes.dp not in (0, dp):
        raise UserError(
            f"{world_size} processes and {split} leave {dp} data-parallel replicas, but parallel.dp is {sizes.dp}; "
            "set parallel.dp=0 to take what is left over, or change the number of processes"
        )
    return dp


def _check_model_split(cfg: RunConfig, arch: ArchShape) -> None:
    sizes = cfg.parallel
    for what, count in (
        ("attention heads", arch.num_heads),
        ("key-value groups", arch.num_kv_heads),
        ("feed-forward width", arch.ffn_hidden_size),
    ):
        if count % sizes.tp:
            raise UserError(
                f"parallel.tp is {sizes.tp}, which does not divide the {count} {what} of {cfg.model.arch}; "
                f"choose one of {_divisors(arch.num_kv_heads)}"
            )
    if arch.num_layers % sizes.pp:
        raise UserError(
            f"parallel.pp is {sizes.pp}, which does not divide the {arch.num_layers} layers of {cfg.model.arch}; "
            f"choose one of {_divisors(arch.num_layers)}"
        )
    _check_chunks(cfg, arch)
    length = cfg.train.seq_length
    if length > arch.max_positions:
        raise UserError(
            f"train.seq_length is {length}, but {cfg.model.arch} knows {arch.max_positions} positions; lower it"
        )
    if sizes.cp > 1 and length % (2 * sizes.cp):
        raise UserError(
            f"train.seq_length is {length}, which is not a multiple of 2 * parallel.cp = {2 * sizes.cp}; "
            f"choose {_round_up(length, 2 * sizes.cp)}"
        )
    if sizes.sequence_parallel and sizes.tp == 1:
        raise UserError("parallel.sequence_parallel needs parallel.tp above 1; turn it off or raise parallel.tp")
    if sizes.sequence_parallel and length % sizes.tp:
        raise UserError(
            f"train.seq_length is {length}, which is not a multiple of parallel.tp = {sizes.tp} as "
            f"parallel.sequence_parallel needs; choose {_round_up(length, sizes.tp)}"
        )


def _check_chunks(cfg: RunConfig, arch: ArchShape) -> None:
    sizes = cfg.parallel
    layers, left_over = divmod(arch.num_layers // sizes.pp, sizes.vp)
    if sizes.vp > 1 and sizes.pp == 1:
        raise UserError("parallel.vp is above 1 without a pipeline; set parallel.vp=1 or raise parallel.pp")
    if left_over:
        raise UserError(
            f"parallel.vp is {sizes.vp}, which does not divide the {arch.num_layers // sizes.pp} layers of a pipeline "
            f"rank; choose one of {_divisors(arch.num_layers // sizes.pp)}"
        )
    if not -1 <= cfg.model.recompute <= layers:
        raise UserError(
            f"model.recompute is {cfg.model.recompute}, but a pipeline chunk has {layers} layers; "
            f"choose -1 (all) to {layers}"
        )
    if not 0 <= 2 * cfg.model.fp8_bf16_ends <= arch.num_layers:
        raise UserError(
            f"model.fp8_bf16_ends is {cfg.model.fp8_bf16_ends}; both ends together cannot have more than the "
            f"{arch.num_layers} layers of {cfg.model.arch}"
        )


def pack_multiple(cfg: RunConfig) -> int:
    """What the number of tokens of a pack divides by, so that every rank gets a whole and equal share of it."""
    return _tokens_of_a_rank(cfg) * cfg.parallel.cp * cfg.parallel.tp


def _tokens_of_a_rank(cfg: RunConfig) -> int:
    return FP8_MULTIPLES[cfg.model.fp8_recipe] if cfg.model.precision == "fp8" else 2


def _check_packing(cfg: RunConfig) -> None:
    train = cfg.train
    if 0 < train.pack_tokens < train.seq_length:
        raise UserError(
            f"train.pack_tokens is {train.pack_tokens}, too few for one sequence of train.seq_length = "
            f"{train.seq_length}; raise it to that, or set 0 for no packing"
        )
    if train.pack_tokens % pack_multiple(cfg):
        raise UserError(
            f"train.pack_tokens is {train.pack_tokens}, which is not a multiple of {_tokens_of_a_rank(cfg)} * "
            f"parallel.cp * parallel.tp = {pack_multiple(cfg)}; "
            f"choose {_round_up(train.pack_tokens, pack_multiple(cfg))}"
        )


def _check_batch(cfg: RunConfig, dp: int) -> None:
    _check_packing(cfg)
    per_pass = cfg.train.micro_batch * dp
    if cfg.parallel.vp > 1:
        per_pass *= cfg.parallel.pp  # the interleaved schedule takes micro-batches in groups of one per stage
    if cfg.task == "sft" and not cfg.train.pack_tokens and cfg.train.global_batch % per_pass:
        raise UserError(
            f"train.global_batch is {cfg.train.global_batch}, which is not a multiple of train.micro_batch * "
            f"data-parallel size{' * parallel.pp' * (cfg.parallel.vp > 1)} = {per_pass}; "
            f"choose {_round_up(cfg.train.global_batch, per_pass)}"
        )
    prompts = cfg.grpo.prompts_per_step
    if cfg.task in ("grpo", "drift") and prompts % dp:
        raise UserError(
            f"grpo.prompts_per_step is {prompts}, which is not a multiple of the data-parallel size {dp}; "
            f"choose {_round_up(prompts, dp)}"
        )
    parts = dp * cfg.grpo.updates_per_batch
    if cfg.task == "grpo" and prompts % parts:
        raise UserError(
            f"grpo.prompts_per_step is {prompts}, which is not a multiple of grpo.updates_per_batch * data-parallel "
            f"size = {parts}; choose {_round_up(prompts, parts)}"
        )


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
