"""Network shapes by name, and the rule that shrinks any run to a minute on a CPU (`--tiny`)."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from fleming_nemo.config.schema import DemoConfig, RunConfig


@dataclass(frozen=True)
class ArchShape:
    """A decoder-only transformer: RMSNorm, rotary positions, grouped-query attention, SwiGLU.

    The family adds what the sizes do not say: qwen2.5 has biases on q, k and v; qwen3 has RMSNorm on q and k instead;
    llama has neither.
    """

    family: str
    num_layers: int
    hidden_size: int
    ffn_hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab_size: int
    rope_theta: float
    rms_eps: float
    tied: bool
    max_positions: int

    def padded_vocab_size(self, tp: int) -> int:
        """Embedding rows: the published size, rounded up so that every tensor-parallel rank holds the same number."""
        return -(-self.vocab_size // tp) * tp


ARCHS: dict[str, ArchShape] = {
    # The published config.json of Qwen2.5-7B-Instruct and Qwen3-32B.
    "qwen2.5-7b": ArchShape("qwen2.5", 28, 3584, 18944, 28, 4, 128, 152064, 1e6, 1e-6, False, 32768),
    "qwen3-32b": ArchShape("qwen3", 64, 5120, 25600, 64, 8, 128, 151936, 1e6, 1e-6, False, 40960),
    # The shape of the base model that ships with this package.
    "nano": ArchShape("qwen2.5", 4, 128, 384, 4, 2, 32, 1024, 1e4, 1e-6, True, 512),
    # Stand-ins for --tiny. Four layers, so that two pipeline stages hold more than one each; Qwen3's heads are wider
    # than hidden_size / num_heads, in 32B as here.
    "qwen2.5-tiny": ArchShape("qwen2.5", 4, 64, 128, 4, 2, 16, 1024, 1e6, 1e-6, False, 4096),
    "qwen3-tiny": ArchShape("qwen3", 4, 64, 128, 4, 2, 32, 1024, 1e6, 1e-6, False, 4096),
    "llama-tiny": ArchShape("llama", 4, 64, 128, 4, 2, 16, 1024, 1e5, 1e-5, True, 512),
    # The one small model with real weights that a CPU can run: what the exchange of weights is checked on.
    "smollm2-135m": ArchShape("llama", 30, 576, 1536, 9, 3, 64, 49152, 1e5, 1e-5, True, 8192),
}

CPU_SIZED = frozenset({"nano", "qwen2.5-tiny", "qwen3-tiny", "llama-tiny", "smollm2-135m"})
"""Architectures small enough to train without a GPU."""


def tiny(cfg: RunConfig) -> RunConfig:
    """The same run in about a minute on a CPU: random weights of a tiny model of the same family, few and small steps.

    Keeps the task, the curriculum and the kinds of parallelism (every size above 1 becomes 2); a run without any model
    parallelism gets two data-parallel processes, so that collectives always run.
    """
    cfg = copy.deepcopy(cfg)
    cfg.run_dir += "-tiny"
    cfg.model.arch = f"{ARCHS[cfg.model.arch].family}-tiny" if cfg.model.arch in ARCHS else cfg.model.arch
    cfg.model.weights = "random"
    cfg.model.precision = "fp32"
    cfg.model.recompute = min(cfg.model.recompute, 1)

    sizes = cfg.parallel
    sizes.tp, sizes.pp, sizes.vp, sizes.cp, sizes.dp = (
        min(n, 2) for n in (sizes.tp, sizes.pp, sizes.vp, sizes.cp, sizes.dp)
    )
    if sizes.dp == 0:
        sizes.dp = 2 if sizes.tp * sizes.pp * sizes.cp == 1 else 1

    cfg.data.dir = f"{cfg.run_dir}/data"
    cfg.data.tokenizer = "nano"
    cfg.data.synthesis = "small"

    grpo = cfg.task == "grpo"
    cfg.optim.warmup_steps = min(cfg.optim.warmup_steps, 1)
    cfg.train.steps = 3 if grpo else 6
    cfg.train.global_batch = 8
    cfg.train.micro_batch = 2
    cfg.train.seq_length = 256
    cfg.train.pack_tokens = min(cfg.train.pack_tokens, 512)
    cfg.train.save_every = 2 if grpo else 4
    cfg.rollout.max_response = min(cfg.rollout.max_response, 48)
    cfg.rollout.decode_batch = 32
    # servers take longer to start than all of this
    cfg.rollout.engine, cfg.rollout.tp, cfg.rollout.staleness = "trainer", 1, 0
    cfg.grpo.prompts_per_step = 6
    cfg.grpo.rollouts_per_prompt = 4
    cfg.grpo.mining_rollouts = 2
    cfg.grpo.remine_every = min(cfg.grpo.remine_every, 2)
    cfg.eval.seeds = 1
    cfg.eval.limit = 16
    cfg.eval.every = 0
    return cfg


def quick(cfg: DemoConfig) -> DemoConfig:
    """The same demo, every stage of it, in at most two minutes: too short to learn anything."""
    cfg = copy.deepcopy(cfg)
    cfg.run_dir += "-quick"
    cfg.sft.data.synthesis = "small"
    cfg.sft.train.steps = 6
    for stage in (cfg.grpo_stage1, cfg.grpo_stage2):
        stage.train.steps = 2
        stage.grpo.prompts_per_step = 6
        stage.grpo.rollouts_per_prompt = 4
        stage.grpo.mining_rollouts = 2
    for stage in (cfg.base, cfg.sft, cfg.grpo_stage1, cfg.grpo_stage2):
        stage.optim.warmup_steps = min(stage.optim.warmup_steps, 1)
        stage.eval.seeds = 1
        stage.eval.limit = 16
    return cfg
