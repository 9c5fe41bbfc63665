"""What the planner is asked about: one optimizer step of a model on so many GPUs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import data_parallel_size, validate
from fleming_nemo.planner import parameters
from fleming_nemo.planner.hardware import GPU


class Kernels(Enum):
    """Which implementation of the layers runs: it decides what is kept in memory and how often it is read."""

    LOCAL = "torch's own operations, without Transformer Engine"
    ENGINE = "Transformer Engine, as this package uses it"
    FUSED = "Transformer Engine with rotary positions, SwiGLU and gradient accumulation fused"


@dataclass(frozen=True)
class Rollouts:
    """Generation of a GRPO step.

    Attributes:
        count: responses of a step, over all replicas.
        prompt, response, longest: tokens of a prompt, of a mean response, of the longest one.
        tp: tensor-parallel size of one replica of the generating engine.
        gpus: GPUs that generate.
        batch: sequences decoded together by one replica.
        continuous: a finished sequence makes room for the next one (vLLM), instead of the batch ending together.
        cache: bytes per GPU that the engine reserves for keys and values; 0 = as many as `batch` needs.
        forward_passes: passes over the responses for log-probabilities besides training (this package needs none: the
            rollout engine's are recorded).
        one_off: generation of the next step runs beside training, on other GPUs.
        weights: bytes per GPU of the engine's own copy of the weights, where it shares the GPUs with training.
    """

    count: int
    prompt: int
    response: int
    longest: int
    tp: int
    gpus: int
    batch: int = 256
    continuous: bool = False
    cache: float = 0.0
    forward_passes: int = 0
    one_off: bool = False
    weights: float = 0.0


@dataclass(frozen=True)
class Workload:
    """One optimizer step; token counts are those of the whole sequence, before context parallelism cuts it.

    Attributes:
        train_gpus: GPUs that train; all of them unless another part only generates.
        updates: optimizer steps on one batch of rollouts.
        step_tokens: tokens of an optimizer step, over all ranks, padding not counted.
        pass_tokens: tokens of a usual forward pass (micro-batch) of one data-parallel rank.
        peak_tokens: tokens of the largest forward pass.
        length: tokens of a mean sequence.
        passes: forward passes of one data-parallel rank for each optimizer step.
        recompute: layers of each chunk that recompute; -1 = all.
        kernels: which layers run.
        hidden_tp: tensor-parallel communication runs beside the matrix products (user buffers).
        fully_sharded: parameters and gradients are sharded over the data-parallel ranks as well (FSDP, ZeRO-3), which
            this package does not do; for published runs that did.
    """

    shape: ArchShape
    gpu: GPU
    gpus: int
    tp: int
    pp: int
    vp: int
    cp: int
    dp: int
    sequence_parallel: bool
    overlap: bool
    fp8: bool
    bf16_ends: int
    recompute: int
    step_tokens: float
    pass_tokens: float
    peak_tokens: int
    length: float
    passes: int
    updates: int = 1
    kernels: Kernels = Kernels.FUSED
    hidden_tp: bool = False
    fully_sharded: bool = False
    weight_bytes: int = 2
    rollouts: Rollouts | None = None
    assumed: str = ""

    @property
    def train_gpus(self) -> int:
        return self.tp * self.pp * self.cp * self.dp

    @property
    def tokens(self) -> float:
        """Tokens that are trained on between two rollouts, over all ranks."""
        return self.updates * self.step_tokens

    @property
    def layers(self) -> int:
        """Layers of one chunk."""
        return self.shape.num_layers // (self.pp * self.vp)

    @property
    def recomputed(self) -> int:
        """Layers of one chunk that recompute."""
        return self.layers if self.recompute < 0 else min(self.recompute, self.layers)


def from_config(cfg: RunConfig, gpus: int, gpu: GPU) -> Workload:
    """The workload of a run on `gpus` GPUs.

    Lengths come from the data directory where it exists; else every sequence is taken to be of full length.

    Raises:
        UserError: what `config.validate` refuses, or fp8 on a GPU without it.
    """
    validate(cfg, gpus)
    if cfg.model.precision == "fp8" and not gpu.fp8_flops:
        raise UserError(f"{gpu.name} cannot compute in fp8; set model.precision=bf16, or choose another GPU")
    sizes, train = cfg.parallel, cfg.train
    dp = data_parallel_size(cfg, gpus)
    mean, assumed = _mean_length(cfg)
    sequences = _sequences(cfg)
    group = sizes.pp if sizes.vp > 1 else 1  # the interleaved schedule takes passes in groups of one per stage
    if train.pack_tokens:
        peak_tokens = train.pack_tokens
        together = peak_tokens / mean
        if together < 4:  # a pack holds whole sequences; many short ones fill it without a gap
            together = math.floor(together)
        passes = _round_up(math.ceil(sequences / dp / together), group)
        # short packs are levelled, but none is shorter than one sequence
        pass_tokens = max(1.0, sequences / (dp * passes)) * mean
    else:
        peak_tokens = train.micro_batch * train.seq_length
        passes = _round_up(math.ceil(sequences / dp / train.micro_batch), group)
        # a row is padded to the longest sequence of its pass, under a pipeline to the longest of all
        pass_tokens = float(train.micro_batch * (train.seq_length if sizes.pp > 1 else mean))
    return Workload(
        shape=ARCHS[cfg.model.arch],
        gpu=gpu,
        gpus=gpus,
        tp=sizes.tp,
        pp=sizes.pp,
        vp=sizes.vp,
        cp=sizes.cp,
        dp=dp,
        sequence_parallel=sizes.sequence_parallel,
        overlap=sizes.overlap,
        fp8=cfg.model.precision == "fp8",
        bf16_ends=cfg.model.fp8_bf16_ends,
        weight_bytes=4 if cfg.model.precision == "fp32" else 2,
        recompute=cfg.model.recompute,
        kernels=Kernels.ENGINE,
        step_tokens=float(sequences * mean),
        pass_tokens=pass_tokens,
        peak_tokens=peak_tokens,
        length=mean,
        passes=passes,
        rollouts=_rollouts(cfg, gpus, mean) if cfg.task == "grpo" else None,
        assumed=assumed,
    )


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _sequences(cfg: RunConfig) -> int:
    if cfg.task == "grpo":
        return cfg.grpo.prompts_per_step * cfg.grpo.rollouts_per_prompt
    return cfg.train.global_batch


def _mean_length(cfg: RunConfig) -> tuple[int, str]:
    """Tokens of a mean sequence, and where the number comes from."""
    manifest = Path(cfg.data.dir) / "manifest.json"
    if cfg.task == "sft" and manifest.is_file():
        corpus = json.loads(manifest.read_text(encoding="utf-8"))
        mean = math.ceil(corpus["tokens"] / max(1, corpus["documents"]))
        return min(mean, cfg.train.seq_length), f"sequences of {mean} tokens, the mean of {cfg.data.dir}"
    return cfg.train.seq_length, f"every sequence has the full {cfg.train.seq_length} tokens"


def _rollouts(cfg: RunConfig, gpus: int, mean: int) -> Rollouts:
    response, engine = cfg.rollout.max_response, cfg.rollout.engine
    served, ahead = engine != "trainer", cfg.rollout.staleness > 0
    tp = cfg.rollout.tp if served else cfg.parallel.tp
    each = 1 if engine == "vllm-fp8" else 2
    return Rollouts(
        count=_sequences(cfg),
        prompt=max(1, mean - response),
        response=response,
        longest=response,
        tp=tp,
        gpus=gpus,
        batch=cfg.rollout.decode_batch,
        continuous=served,
        one_off=ahead,
        # asleep while a step is trained on, beside the trainer's states while it generates
        weights=each * parameters.whole(ARCHS[cfg.model.arch]) / tp if served and not ahead else 0.0,
    )
