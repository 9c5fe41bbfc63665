"""Every option of a run, as typed dataclasses; the string below a field documents it.

A recipe (`recipes/*.py`) is a function that fills these in.  This file is the whole user-facing surface: a new field
must earn its place, and `tests/config/test_surface.py` counts them.  Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ModelConfig:
    arch: str = "qwen2.5-7b"
    """Shape of the network, a name in `config.presets.ARCHS`."""
    weights: str = "random"
    """`random`, `nano` (the base model shipped with the package), a Hugging Face folder, or the run directory of an
    earlier stage."""
    precision: str = "bf16"
    """`bf16`, `fp8` (by Transformer Engine, on a GPU that has it) or `fp32`; master weights and optimizer are fp32."""
    fp8_recipe: str = "blockwise"
    """How fp8 tensors are scaled: `delayed`, `tensorwise`, `blockwise` (Hopper) or `mxfp8` (Blackwell)."""
    fp8_bf16_ends: int = 0
    """First and last N layers that stay in bf16 under fp8."""
    recompute: int = 0
    """Layers of each pipeline chunk that recompute their activations in the backward pass; -1 = all."""


@dataclass
class ParallelConfig:
    tp: int = 1
    """Tensor-parallel size."""
    pp: int = 1
    """Pipeline-parallel size."""
    vp: int = 1
    """Model chunks per pipeline rank (interleaved schedule): smaller bubbles for more communication."""
    cp: int = 1
    """Context-parallel size (the sequence is cut in zigzag chunks)."""
    dp: int = 0
    """Data-parallel size; 0 = what the number of processes leaves over."""
    sequence_parallel: bool = False
    """Cut norms and dropouts along the sequence over the tensor-parallel ranks."""
    overlap: bool = False
    """Reduce gradients and gather parameters over the data-parallel ranks while computing."""


@dataclass
class DataConfig:
    dir: str = "data/rods"
    """Data directory: items, chains, tokenizer, indexed corpus and manifest (written by data_prep/)."""
    tokenizer: str = "nano"
    """`nano` (shipped), `train` (a compact BPE one, trained on the corpus and kept in `dir`), or a folder with a
    Hugging Face `tokenizer.json`; its hash must equal the corpus's."""
    shuffle: bool = True
    """Shuffle the corpus anew in every epoch; off = the order of the corpus (a curriculum)."""
    system_prompt: str = ""
    """System turn of every chat; empty = none."""
    synthesis: str = "none"
    """Build the data directory from the knowledge graph if it does not exist: `demo`, `small` or `drills` (see
    `config.syntheses`); `none` = it has to be there."""


@dataclass
class OptimConfig:
    lr: float = 1e-5
    """Peak learning rate of AdamW."""
    warmup_steps: int = 0
    """Linear warm-up."""
    decay: str = "cosine"
    """`cosine` or `linear` to a tenth of the peak, `constant`, or `wsd`: constant, then linear over the last fifth."""
    weight_decay: float = 0.1
    """Decoupled weight decay; not applied to norms and biases."""
    betas: list[float] = field(default_factory=lambda: [0.9, 0.95])
    """Decay of the first and of the second moment."""
    clip_grad: float = 1.0
    """Global gradient-norm clip; 0 = off."""
    skip_spikes: float = 0.0
    """Skip an update whose gradient norm exceeds this many times the recent median; 0 = skip only non-finite ones."""


@dataclass
class TrainConfig:
    steps: int = 100
    """Optimizer steps."""
    global_batch: int = 128
    """Sequences per optimizer step over all ranks (SFT)."""
    micro_batch: int = 1
    """Sequences per forward pass of one rank, padded to equal length; without packing."""
    pack_tokens: int = 0
    """Pack sequences, without padding, into forward passes of at most this many tokens; 0 = no packing."""
    seq_length: int = 4096
    """Longest sequence (prompt and response) in tokens; a longer one is refused, never cut."""
    save_every: int = 50
    """Steps between checkpoints; the last step is always saved."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay on disk; the best one stays besides."""
    hang_minutes: float = 30.0
    """A rank without progress for so long writes its stacks and ends the run with exit code 75."""
    deterministic: bool = False
    """Only kernels and reductions that give the same bits every time, where a GPU would otherwise be free to vary."""


@dataclass
class RolloutConfig:
    temperature: float = 1.0
    """Sampling temperature; the trainer divides its logits by the same number."""
    max_response: int = 4096
    """Longest response in tokens; longer ones count as truncated."""
    decode_batch: int = 256
    """Sequences decoded together by one model replica."""
    record: str = ""
    """`keep` = keep the rollouts of every step in RUN/bank, else those of a checkpoint are dropped; or the run
    directory of a run that kept them: train on its rollouts, without an engine and under any layout."""
    engine: str = "trainer"
    """`trainer` = sample from the training weights in place; `vllm` = vLLM servers, which get the weights after every
    step; `vllm-fp8` = the same, computing in fp8."""
    tp: int = 1
    """Tensor-parallel size of a vLLM server."""
    staleness: int = 0
    """1 = vLLM generates the next batch while this one is trained on; its weights are then one step old at most."""

    @property
    def keep(self) -> bool:
        """Whether the rollouts of every step are kept."""
        return self.record == "keep"

    @property
    def replay(self) -> str:
        """Run directory of the recorded run that is trained on; empty where an engine samples."""
        return "" if self.keep else self.record


@dataclass
class GRPOConfig:
    objective: str = "paper"
    """`paper` (equations 1-3 of Fleming-R1), `grpo`, `dr_grpo`, `dapo`, `gspo` or `cispo`."""
    kl_beta: float = 0.0
    """Weight of the divergence from the weights that the stage starts with; 0 = none, as in the paper."""
    dual_clip: float = 0.0
    """Bound, in advantages, on what a token of a bad response can cost; 0 = none. Not for `paper` and `cispo`."""
    updates_per_batch: int = 1
    """Optimizer steps on each batch of rollouts; the objective `paper` allows one."""
    mask_truncated: bool = True
    """Responses cut off at `rollout.max_response` teach nothing: their length is no part of the reward."""
    correction: str = "auto"
    """Weights against the rollout engine's other log-probabilities: `token` (truncated importance sampling),
    `sequence` (mask), `none`; `auto` = `token` for vLLM, none where the trainer itself samples."""
    max_mismatch: float = 0.02
    """Stop when KL(rollout engine || trainer) per token stays above this for three steps."""
    prompts_per_step: int = 256
    """Questions per step, over all ranks."""
    rollouts_per_prompt: int = 8
    """Group size k of the paper's equations 1-3."""
    curriculum: str = "easy_moderate"
    """`easy_moderate` (stage 1) or `mined` (stage 2: right and wrong items of the mining pass)."""
    mix: list[int] = field(default_factory=lambda: [1, 1])
    """Easy:Moderate in stage 1, Right:Wrong in stage 2 (paper: 1:1 and 1:2)."""
    mining_rollouts: int = 8
    """Rollouts per item when the previous stage's policy is run over the whole pool."""
    pass_rates: list[float] = field(default_factory=lambda: [0.125, 0.5])
    """Mining: an item is wrong up to the first of these pass rates, right from the second on, and left out between."""
    remine_every: int = 0
    """Steps of stage 2 after which the pool is mined again with the policy of that moment; 0 = only at the start."""
    quarantine: bool = True
    """Keep items out of the wrong pool that the policy never got right and that failed the label check too
    (`review.jsonl` in `data.dir`)."""
    switch: str = "steps"
    """End of stage 1: `steps` (`train.steps`), or `plateau`: before that, once the reward is flat and most groups
    agree."""
    refill: int = 0
    """Replace groups whose rollouts are all right or all wrong by further questions, at most so many times a step."""


@dataclass
class EvalConfig:
    seeds: int = 4
    """Sampled answers per held-out question; 0 = greedy only."""
    temperature: float = 0.6
    """Temperature of the sampled answers; a greedy pass is reported beside it."""
    limit: int = 0
    """Use only the first N held-out questions; 0 = all."""
    every: int = 0
    """Steps between evaluations on 1 sampled answer per question during GRPO; 0 = only at the end."""


@dataclass
class RunConfig:
    """One training run in one run directory."""

    task: str = "sft"
    """`sft`, `grpo`, `mine` (the mining of a stage 2 alone) or `evaluate`."""
    stage: str = "sft"
    """Name of the stage in reports: base, sft, grpo_stage1, grpo_stage2."""
    run_dir: str = "runs/sft"
    """Everything the run writes; the same command on the same directory resumes."""
    seed: int = 1234
    """Seed of data order, initial weights and sampling."""
    model: ModelConfig = field(default_factory=ModelConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    grpo: GRPOConfig = field(default_factory=GRPOConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)


@dataclass
class DemoConfig:
    """The whole pipeline: data, base evaluation, SFT, both GRPO stages, report."""

    run_dir: str = "runs/demo"
    """Parent of the stage directories; holds summary.json and report.html."""
    seed: int = 1
    """Seed of every stage."""
    base: RunConfig = field(default_factory=RunConfig)
    sft: RunConfig = field(default_factory=RunConfig)
    grpo_stage1: RunConfig = field(default_factory=RunConfig)
    grpo_stage2: RunConfig = field(default_factory=RunConfig)
