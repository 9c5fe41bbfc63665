"""The whole answer about one workload: memory, time, speed, and what to change."""

from __future__ import annotations

from dataclasses import dataclass

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.planner import flops, memory, step_time
from fleming_nemo.planner.generation import Generation, generate, transfer
from fleming_nemo.planner.hardware import GB, GPU
from fleming_nemo.planner.memory import Memory
from fleming_nemo.planner.step_time import StepTime, Volume
from fleming_nemo.planner.workload import Workload, from_config

BUBBLE_WARNING = 0.15


@dataclass(frozen=True)
class Plan:
    """Estimates for one workload.

    Attributes:
        stage: the pipeline stage that needs most memory.
        memory: bytes of one GPU of that stage.
        training: seconds of one optimizer step.
        generation, weight_transfer, log_probabilities: the rest of a GRPO step; None and 0 in SFT.
        volume: bytes sent by one GPU in one optimizer step.
    """

    work: Workload
    stage: int
    memory: Memory
    training: StepTime
    generation: Generation | None
    weight_transfer: float
    log_probabilities: float
    volume: Volume

    @property
    def fits(self) -> bool:
        return self.memory.total <= self.work.gpu.memory

    @property
    def seconds(self) -> float:
        """One step: rollouts and all optimizer steps on them; side by side where generation is one step ahead."""
        train = self.work.updates * self.training.total + self.log_probabilities
        if self.generation is None or self.work.rollouts is None:
            return train
        if self.work.rollouts.one_off:
            return max(train, self.generation.total) + self.weight_transfer
        return train + self.generation.total + self.weight_transfer

    @property
    def tokens_per_second(self) -> float:
        """Trained tokens per second and GPU, over the whole step and all GPUs."""
        return self.work.tokens / self.seconds / self.work.gpus

    @property
    def training_flops(self) -> float:
        """Model FLOP/s per training GPU while it trains."""
        once = self.work.tokens / self.work.updates * flops.training(self.work.shape, self.work.length)
        return once / self.training.total / self.work.train_gpus

    @property
    def mfu(self) -> float:
        """Share of the dense peak of the precision that model FLOPs reach while training."""
        peak = self.work.gpu.fp8_flops if self.work.fp8 else self.work.gpu.bf16_flops
        return self.training_flops / peak

    @property
    def bubble(self) -> float:
        """Share of the training time that pipeline stages wait."""
        return self.training.bubble / self.training.total


def plan(work: Workload) -> Plan:
    """All estimates for a workload."""
    stage, most = memory.worst(work)
    rollouts = work.rollouts
    return Plan(
        work=work,
        stage=stage,
        memory=most,
        training=step_time.training_step(work),
        generation=generate(work, rollouts) if rollouts else None,
        weight_transfer=transfer(work, rollouts) if rollouts else 0.0,
        log_probabilities=rollouts.forward_passes * step_time.forward_only(work) if rollouts else 0.0,
        volume=step_time.volume(work),
    )


def fits(cfg: RunConfig, gpus: int, gpu: GPU) -> Plan:
    """The plan of a run; UserError in one sentence when it does not fit the GPUs' memory, or cannot be."""
    made = plan(from_config(cfg, gpus, gpu))
    if not made.fits:
        raise UserError(
            f"{cfg.model.arch} needs {made.memory.total / GB:.0f} GB on each GPU of pipeline stage {made.stage}, but "
            f"{gpu.name} has {gpu.memory / GB:.0f} GB: {_remedy(made)}"
        )
    return made


def warnings(made: Plan) -> list[str]:
    """What is wrong or slow about a plan, each with what to change."""
    work = made.work
    found = []
    if not made.fits:
        found.append(f"does not fit: {made.memory.total / GB:.1f} of {work.gpu.memory / GB:.0f} GB; {_remedy(made)}")
    elif made.memory.total > 0.95 * work.gpu.memory:
        found.append("less than 5 % of the memory is left over; a peak that the model does not know may not fit")
    if work.tp > work.gpu.domain:
        found.append(f"parallel.tp={work.tp} leaves the {work.gpu.domain} GPUs that NVLink joins; use pp instead")
    if made.bubble > BUBBLE_WARNING:
        found.append(
            f"pipeline stages wait {made.bubble:.0%} of the time: only {work.passes} passes for {work.pp} stages; "
            "raise train.global_batch or parallel.vp, or lower train.pack_tokens or parallel.pp"
        )
    if work.tp > 1 and not work.sequence_parallel:
        found.append("parallel.sequence_parallel=true would cut norms and residuals over the tensor-parallel ranks")
    if work.dp * work.cp > 1 and not work.overlap and made.training.dp_communication > 0.05 * made.training.total:
        found.append("parallel.overlap=true would hide most of the data-parallel communication")
    return found


def _remedy(made: Plan) -> str:
    """What to change, by the part that fills the memory."""
    work, part = made.work, made.memory
    states = part.weights + part.gradients + part.optimizer
    if states + part.reserved > work.gpu.memory:
        return "weights, gradients and optimizer alone are too large; raise parallel.tp or pp, or use more GPUs"
    if part.cache > part.activations + part.logits:
        return "the cache of generation is too large; lower rollout.decode_batch or rollout.max_response, or raise tp"
    if part.logits > part.activations:
        return "logits are the largest part; lower train.pack_tokens or micro_batch, or raise parallel.tp or cp"
    if work.recomputed < work.layers:
        return "activations are the largest part; raise model.recompute, parallel.cp or tp, or lower train.pack_tokens"
    return "activations are the largest part; raise parallel.cp or tp, or lower train.pack_tokens or micro_batch"
