"""Small configs in the schemas of NeMo-RL, NeMo 2 and NeMo-Aligner, written for these tests."""

NEMO_RL_BASE = """
grpo: {num_prompts_per_step: 8, num_generations_per_prompt: 4, max_num_steps: 20, normalize_rewards: true, seed: 3,
  use_leave_one_out_baseline: true, val_period: 5, use_dynamic_sampling: false, dynamic_sampling_max_gen_batches: 10,
  async_grpo: {enabled: false, max_trajectory_age_steps: 1}}
loss_fn: {reference_policy_kl_penalty: 0.02, reference_policy_kl_type: k3, ratio_clip_min: 0.2, ratio_clip_max: 0.2,
  ratio_clip_c: null, token_level_loss: true, force_on_policy_ratio: false}
checkpointing: {enabled: true, checkpoint_dir: results/base, keep_top_k: 3, save_period: 7}
policy:
  model_name: Qwen/Qwen2.5-7B-Instruct
  tokenizer: {name: "${policy.model_name}"}
  train_global_batch_size: 8
  train_micro_batch_size: 2
  max_total_sequence_length: 512
  precision: bfloat16
  max_grad_norm: 0.5
  dtensor_cfg: {enabled: true, tensor_parallel_size: 1, context_parallel_size: 1, sequence_parallel: false,
    activation_checkpointing: false}
  megatron_cfg:
    enabled: false
    tensor_model_parallel_size: 2
    pipeline_model_parallel_size: 1
    context_parallel_size: 1
    sequence_parallel: true
    activation_checkpointing: true
    optimizer: {optimizer: adam, lr: 2.0e-6, min_lr: 2.0e-7, weight_decay: 0.01, adam_beta1: 0.9, adam_beta2: 0.98,
      adam_eps: 1.0e-8, clip_grad: "${policy.max_grad_norm}"}
    scheduler: {lr_decay_style: constant, lr_warmup_iters: 6, lr_warmup_init: 2.0e-7}
    fp8_cfg: {enabled: false, fp8_recipe: blockwise}
  sequence_packing: {enabled: true,
    train_mb_tokens: "${mul:${policy.max_total_sequence_length}, ${policy.train_micro_batch_size}}"}
  optimizer: {name: torch.optim.AdamW, kwargs: {lr: 9.0e-6, weight_decay: 0.05, betas: [0.9, 0.999], eps: 1.0e-8}}
  scheduler:
    - {name: torch.optim.lr_scheduler.LinearLR, kwargs: {start_factor: 0.1, end_factor: 1.0, total_iters: 9}}
    - {name: torch.optim.lr_scheduler.ConstantLR, kwargs: {factor: 1.0, total_iters: 1000}}
    - milestones: [9]
  generation:
    backend: megatron
    max_new_tokens: "${policy.max_total_sequence_length}"
    temperature: 0.9
    top_p: 1.0
    top_k: null
data: {max_input_seq_length: "${policy.max_total_sequence_length}", shuffle: true, train: {dataset_name: some-set}}
logger: {log_dir: logs, wandb_enabled: false, wandb: {project: p}}
cluster: {num_nodes: 1, gpus_per_node: 8}
"""

NEMO_RL_CHILD = """
defaults: ../base.yaml
policy:
  dtensor_cfg: {enabled: false}
  megatron_cfg: {enabled: true}
checkpointing: {checkpoint_dir: results/child}
cluster: {num_nodes: 2}
"""

NEMO2 = """
_target_: nemo.collections.llm.api.finetune
_partial_: true
model:
  _target_: nemo.collections.llm.gpt.model.qwen2.Qwen2Model
  config: {_target_: nemo.collections.llm.gpt.model.qwen2.Qwen25Config7B, seq_length: 2048}
trainer:
  _target_: nemo.lightning.pytorch.trainer.Trainer
  accelerator: gpu
  devices: 8
  num_nodes: 2
  max_steps: 1000
  log_every_n_steps: 10
  plugins: {_target_: nemo.lightning.pytorch.plugins.mixed_precision.MegatronMixedPrecision, precision: bf16-mixed,
    params_dtype: {_target_: torch.bfloat16, _call_: false}, grad_reduce_in_fp32: true}
  strategy: {_target_: nemo.lightning.pytorch.strategies.megatron_strategy.MegatronStrategy,
    tensor_model_parallel_size: 2, pipeline_model_parallel_size: 1, virtual_pipeline_model_parallel_size: null,
    context_parallel_size: 1, sequence_parallel: false, pipeline_dtype: {_target_: torch.bfloat16, _call_: false}}
  callbacks: [{_target_: nemo.utils.exp_manager.TimingCallback}]
data: {_target_: nemo.collections.llm.gpt.data.squad.SquadDataModule, seq_length: 2048, global_batch_size: 128,
  micro_batch_size: 1}
log: {_target_: nemo.lightning.nemo_logger.NeMoLogger, log_dir: /results, name: my_run,
  ckpt: {_target_: nemo.lightning.pytorch.callbacks.ModelCheckpoint, every_n_train_steps: 200, save_top_k: 10}}
optim:
  _target_: nemo.lightning.pytorch.optim.megatron.MegatronOptimizerModule
  config: {_target_: megatron.core.optimizer.optimizer_config.OptimizerConfig, optimizer: adam, lr: 5.0e-06,
    weight_decay: 0.1, adam_beta1: 0.9, adam_beta2: 0.98, adam_eps: 1.0e-05, clip_grad: 1.0, bf16: true}
  lr_scheduler: {_target_: nemo.lightning.pytorch.optim.lr_scheduler.CosineAnnealingScheduler, warmup_steps: 50,
    constant_steps: 0, max_steps: 1000, min_lr: 0}
resume:
  _target_: nemo.lightning.resume.AutoResume
  restore_config: {_target_: nemo.lightning.resume.RestoreConfig, path: nemo://Qwen/Qwen2.5-7B}
"""

ALIGNER = """
defaults: [optional tp_overlap@model.ub_tp_comm_overlap_cfg]
trainer:
  num_nodes: 2
  devices: 8
  precision: bf16
  grpo: {max_steps: -1, val_check_interval: 10, gradient_clip_val: 1.0, initial_policy_kl_penalty: 0.01,
    normalize_rewards: true, num_prompts_per_grpo_step: 16, samples_per_prompt: 8,
    model_gbs: "${model.global_batch_size}"}
exp_manager: {explicit_log_dir: /results, resume_if_exists: true}
pretrained_checkpoint: {restore_from_path: null}
model:
  micro_batch_size: 1
  global_batch_size: 32
  encoder_seq_length: 4096
  sequence_parallel: false
  seed: 1234
  grpo: {ratio_eps: 0.2, sampling_params: {temperature: 1.0, top_p: 1.0},
    length_params: {max_length: "${int_div:${model.encoder_seq_length}, 2}"}}
  peft: {peft_scheme: none}
  optim: {name: distributed_fused_adam, lr: 9.0e-7, weight_decay: 0.1, betas: [0.9, 0.98],
    sched: {name: CosineAnnealing, warmup_steps: 10, constant_steps: 1000, min_lr: 9.0e-8}}
"""
