"""Everything that can be wrong with a config before anything is started; needs neither data nor torch."""

from __future__ import annotations

import math

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import nearest
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import RunConfig

TASKS = ("sft", "grpo", "mine", "drift", "evaluate")
PRECISIONS = ("bf16", "fp8", "fp32")
FP8_MULTIPLES = {"delayed": 16, "tensorwise": 16, "blockwise": 128, "mxfp8": 32}
"""What both sizes of an fp8 matrix divide by, the tokens of a rank among them."""
FP8_RECIPES = tuple(FP8_MULTIPLES)
DECAYS = ("cosine", "linear", "wsd", "constant")
CURRICULA = ("easy_moderate", "mined")
SWITCHES = ("steps", "plateau")
OBJECTIVES = ("paper", "grpo", "dr_grpo", "dapo", "gspo", "cispo")
CORRECTIONS = ("auto", "none", "token", "sequence")
SYNTHESES = ("graph", "drills")


def validate(cfg: RunConfig, world_size: int) -> None:
    """Raise a UserError for the first thing that cannot work with `world_size` processes."""
    _one_of("task", cfg.task, TASKS)
    _one_of("model.arch", cfg.model.arch, tuple(ARCHS))
    _one_of("model.precision", cfg.model.precision, PRECISIONS)
    _one_of("model.fp8_recipe", cfg.model.fp8_recipe, FP8_RECIPES)
    _one_of("optim.decay", cfg.optim.decay, DECAYS)
    _one_of("grpo.curriculum", cfg.grpo.curriculum, CURRICULA)
    _one_of("grpo.switch", cfg.grpo.switch, SWITCHES)
    _one_of("grpo.objective", cfg.grpo.objective, OBJECTIVES)
    _one_of("grpo.correction", cfg.grpo.correction, CORRECTIONS)
    for name, text in (("run_dir", cfg.run_dir), ("stage", cfg.stage), ("data.dir", cfg.data.dir)):
        if not text.strip():
            raise UserError(f"{name} is empty; give it a value")
    _check_numbers(cfg)
    _check_model_split(cfg, ARCHS[cfg.model.arch])
    _check_batch(cfg, data_parallel_size(cfg, world_size))
    if cfg.task != "sft" and not (cfg.task == "grpo" and cfg.rollout.replay):
        _check_generation(cfg)
    if cfg.task in ("grpo", "mine"):
        _check_grpo(cfg)


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


def can_generate(cfg: RunConfig) -> bool:
    """Whether the training layout can also sample; SFT trains under any layout and evaluates only where it can."""
    return cfg.parallel.pp == cfg.parallel.cp == 1 and cfg.model.precision != "fp8"


def _check_generation(cfg: RunConfig) -> None:
    for name, size in (("pp", cfg.parallel.pp), ("cp", cfg.parallel.cp)):
        if size > 1:
            raise UserError(f"parallel.{name} is {size}, but in-process generation needs pp=1 and cp=1; use tp and dp")


def _check_grpo(cfg: RunConfig) -> None:
    grpo = cfg.grpo
    if len(grpo.mix) != 2 or min(grpo.mix) < 0 or sum(grpo.mix) == 0:
        raise UserError(f"grpo.mix is {grpo.mix}; give two shares, for example [1,2]")
    if not 0 <= grpo.wrong_at < grpo.right_at <= 1:
        raise UserError(
            f"grpo.wrong_at is {grpo.wrong_at} and grpo.right_at is {grpo.right_at}; they are pass rates with "
            "0 <= wrong_at < right_at <= 1"
        )
    if cfg.task == "mine" and grpo.curriculum != "mined":
        raise UserError("only a stage 2 mines; give a recipe with grpo.curriculum=mined, such as grpo_stage2_7b.py")
    if grpo.switch == "plateau" and grpo.curriculum == "mined":
        raise UserError("grpo.switch=plateau ends stage 1; with grpo.curriculum=mined set grpo.switch=steps")
    if grpo.objective == "paper" and grpo.updates_per_batch > 1:
        raise UserError(
            f"grpo.updates_per_batch is {grpo.updates_per_batch}, but the objective of the paper knows no importance "
            "ratio and allows one update per batch; set it to 1 or grpo.objective to one with a ratio, such as dr_grpo"
        )
    if cfg.rollout.replay and (grpo.remine_every or cfg.eval.every):
        name = "grpo.remine_every" if grpo.remine_every else "eval.every"
        raise UserError(f"rollout.replay trains without an engine, and {name} asks for one; set {name}=0")
    if grpo.dual_clip and (grpo.dual_clip <= 1 or grpo.objective in ("paper", "cispo")):
        raise UserError(
            f"grpo.dual_clip is {grpo.dual_clip} with grpo.objective={grpo.objective}; it must be above 1 (usual: 3), "
            "or 0 for none, and has a meaning for grpo, dr_grpo, dapo and gspo"
        )
    if cfg.rollout.max_response >= cfg.train.seq_length:
        raise UserError(
            f"rollout.max_response is {cfg.rollout.max_response}, which leaves no room for the prompt in "
            f"train.seq_length = {cfg.train.seq_length}; lower the one or raise the other"
        )


def _check_numbers(cfg: RunConfig) -> None:
    at_least: list[tuple[str, float, float]] = [
        ("seed", cfg.seed, 0),
        ("parallel.tp", cfg.parallel.tp, 1),
        ("parallel.pp", cfg.parallel.pp, 1),
        ("parallel.vp", cfg.parallel.vp, 1),
        ("parallel.cp", cfg.parallel.cp, 1),
        ("parallel.dp", cfg.parallel.dp, 0),
        ("optim.warmup_steps", cfg.optim.warmup_steps, 0),
        ("optim.weight_decay", cfg.optim.weight_decay, 0),
        ("optim.clip_grad", cfg.optim.clip_grad, 0),
        ("optim.skip_spikes", cfg.optim.skip_spikes, 0),
        ("train.steps", cfg.train.steps, 1),
        ("train.global_batch", cfg.train.global_batch, 1),
        ("train.micro_batch", cfg.train.micro_batch, 1),
        ("train.pack_tokens", cfg.train.pack_tokens, 0),
        ("train.seq_length", cfg.train.seq_length, 16),
        ("train.save_every", cfg.train.save_every, 1),
        ("train.keep_checkpoints", cfg.train.keep_checkpoints, 1),
        ("rollout.max_response", cfg.rollout.max_response, 1),
        ("rollout.decode_batch", cfg.rollout.decode_batch, 1),
        ("grpo.prompts_per_step", cfg.grpo.prompts_per_step, 1),
        # A group of one has no mean to compare with: every advantage would be 0.
        ("grpo.rollouts_per_prompt", cfg.grpo.rollouts_per_prompt, 2),
        ("grpo.mining_rollouts", cfg.grpo.mining_rollouts, 1),
        ("grpo.remine_every", cfg.grpo.remine_every, 0),
        ("grpo.refill", cfg.grpo.refill, 0),
        ("grpo.updates_per_batch", cfg.grpo.updates_per_batch, 1),
        ("grpo.kl_beta", cfg.grpo.kl_beta, 0),
        ("grpo.dual_clip", cfg.grpo.dual_clip, 0),
        ("eval.seeds", cfg.eval.seeds, 0),
        ("eval.limit", cfg.eval.limit, 0),
        ("eval.every", cfg.eval.every, 0),
    ]
    above_zero = [
        ("train.hang_minutes", cfg.train.hang_minutes),
        ("optim.lr", cfg.optim.lr),
        ("rollout.temperature", cfg.rollout.temperature),
        ("eval.temperature", cfg.eval.temperature),
        ("grpo.max_mismatch", cfg.grpo.max_mismatch),
    ]
    shares = [("optim.beta1", cfg.optim.beta1), ("optim.beta2", cfg.optim.beta2)]
    if cfg.data.synthesis is not None:
        made = cfg.data.synthesis
        _one_of("data.synthesis.kind", made.kind, SYNTHESES)
        # Fewer diseases cannot fill a question's options with distractors of the same kind.
        at_least.append(("data.synthesis.diseases", made.diseases, 8))
        at_least += [
            (f"data.synthesis.{name}", getattr(made, name), 1) for name in ("sft_items", "rl_items", "heldout_items")
        ]
        for name in ("shallow_share", "shallow_share_difficult"):
            if not 0 <= getattr(made, name) <= 1:
                raise UserError(f"data.synthesis.{name} is {getattr(made, name)}; a share lies between 0 and 1")
    # Comparisons are written so that NaN fails them.
    for field, value, least in at_least:
        if not (value >= least and math.isfinite(value)):
            raise UserError(f"{field} is {value}; it must be at least {least}")
    for field, value in above_zero:
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"{field} is {value}; it must be above 0")
    for field, value in shares:
        if not 0 <= value < 1:
            raise UserError(f"{field} is {value}; it must be at least 0 and below 1")
    if cfg.optim.warmup_steps > cfg.train.steps:
        raise UserError(
            f"optim.warmup_steps is {cfg.optim.warmup_steps}, more than train.steps = {cfg.train.steps}; lower it"
        )


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = nearest(value, allowed, count=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(allowed)}"
        raise UserError(f"{field} is {value!r}, which does not exist; {hint}")


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
