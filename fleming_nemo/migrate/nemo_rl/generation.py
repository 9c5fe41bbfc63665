"""`policy.generation.*` of a NeMo-RL config: engine, sampling, servers."""

from __future__ import annotations

from functools import partial
from typing import Any

from fleming_nemo.migrate.nemo_rl.parts import length, switched_on
from fleming_nemo.migrate.rules import Lost, Rule, Source, always, each, lacks, same, turned, within

_GENERATION = "policy.generation"
_VLLM = f"{_GENERATION}.vllm_cfg"
_SAMPLING = "responses are drawn from the whole distribution, which is what the objective assumes"
_ENDS = "a response ends with <|im_end|>"
_ENGINE = "what a server needs it chooses itself"
_SERVER = (
    "skip_tokenizer_init load_format enforce_eager use_tqdm use_deep_gemm enable_vllm_metrics_logger env_vars* video* "
    "vllm_metrics_logger_interval fp32_lm_head cap_max_tokens_to_context enable_return_routed_experts "
    "tool_parser_plugin http_refit_* http_server_serving_chat_kwargs* zmq_refit_server_port "
    "reset_encoder_cache_after_weight_update refit_with_reload_api refit_prequantize reasoning_parser_plugin "
    "extra_llm_kwargs* pow2_*"
)
PROMPT_SHARE = 8
"""A prompt gets an eighth of the sequence where the config names no length of its own."""


def _runs_on(backend: str, source: Source) -> bool:
    return source.get(f"{_GENERATION}.backend") == backend


def _engine(value: Any, source: Source) -> Any:
    if value == "megatron":
        return "trainer"
    if value != "vllm":
        return Lost(f"{value}: ours samples from the training weights (trainer) or by vLLM servers (vllm, vllm-fp8)")
    return "vllm-fp8" if source.get(f"{_VLLM}.precision") == "fp8" else "vllm"


def _response(value: Any, source: Source) -> int:
    """Room for the prompt has to be left: ours refuses a prompt that does not fit beside a whole response."""
    whole = length(source)
    prompt = int(source.get("data.max_input_seq_length") or whole)
    return min(int(value), whole - (prompt if prompt < whole else whole // PROMPT_SHARE))


def _other(section: str, backend: str) -> list[Rule]:
    """The section of an engine that is not vLLM."""
    note = "the trainer's own engine: rollout.decode_batch sequences at a time"
    in_force = partial(_runs_on, backend)
    return within(in_force, [always(f"{_GENERATION}.{section}*", note)])


RULES: list[Rule] = [
    turned(
        f"{_GENERATION}.backend",
        "rollout.engine",
        _engine,
        "vllm: vllm or, with precision fp8, vllm-fp8; megatron: trainer",
    ),
    turned(
        f"{_GENERATION}.max_new_tokens",
        "rollout.max_response",
        _response,
        "tokens; at most train.seq_length less data.max_input_seq_length, or less an eighth where that is no less",
    ),
    same(f"{_GENERATION}.temperature", "rollout.temperature"),
    always(f"{_GENERATION}.top_p", _SAMPLING, 1, 1.0),
    lacks(f"{_GENERATION}.top_k", _SAMPLING),
    same(f"{_GENERATION}.val_temperature", "eval.temperature"),
    always(f"{_GENERATION}.val_top_p", _SAMPLING, 1, 1.0),
    lacks(f"{_GENERATION}.val_top_k", _SAMPLING),
    always(f"{_GENERATION}.stop_token_ids", _ENDS, [151645]),
    lacks(f"{_GENERATION}.stop_strings", _ENDS),
    lacks(f"{_GENERATION}.bad_words", _SAMPLING),
    always(f"{_GENERATION}.port_range_*", "servers take free ports of their node"),
    always(f"{_GENERATION}.model_name", "the model that is trained"),
    always(f"{_GENERATION}.use_async_rollouts", "requests are always under way together"),
    lacks(f"{_GENERATION}.refit_*", "weights go out by CUDA IPC, NCCL or gloo, as the machines allow"),
    lacks(f"{_GENERATION}.quant_*", "fp8 is the only quantised engine"),
    lacks(f"{_GENERATION}.real_quant*", "fp8 is the only quantised engine"),
    lacks(f"{_GENERATION}.nvfp4_*", "fp8 is the only quantised engine"),
    lacks(f"{_GENERATION}.worker_extension_cls_fqn", "the server's extension is ours"),
    *within(
        partial(_runs_on, "vllm"),
        [
            same(f"{_VLLM}.tensor_parallel_size", "rollout.tp", "of one server"),
            always(f"{_VLLM}.pipeline_parallel_size", "a server is one tensor-parallel group", 1),
            always(f"{_VLLM}.expert_parallel_size", "the networks here are dense", 1),
            turned(f"{_VLLM}.precision", "rollout.engine", lambda _, s: _engine("vllm", s), "fp8: vllm-fp8; else vllm"),
            always(f"{_VLLM}.max_model_len", "train.seq_length"),
            always(f"{_VLLM}.gpu_memory_utilization", "what the phases of the trainer leave; `fleming plan` prints it"),
            always(f"{_VLLM}.async_engine", "servers, which take requests at any time"),
            always(f"{_VLLM}.logprobs_mode", "processed log-probabilities", "processed_logprobs"),
            lacks(f"{_VLLM}.is_mx", "fp8 servers scale by blocks of 128, as Hopper does"),
            lacks(f"{_VLLM}.quantization_ignore*", "all projections of an fp8 server are fp8"),
            always(f"{_VLLM}.num_first_layers_in_bf16", "all layers of an fp8 server are fp8", 0),
            always(f"{_VLLM}.num_last_layers_in_bf16", "all layers of an fp8 server are fp8", 0),
            always(f"{_VLLM}.kv_cache_dtype", "the cache has the precision of the model", "auto"),
            always(f"{_VLLM}.expose_http_server", "servers always speak HTTP, behind the run's key"),
            *each(always, _VLLM, _SERVER, _ENGINE),
            lacks(f"{_GENERATION}.vllm_kwargs*", _ENGINE),
        ],
    ),
    *_other("mcore_generation_config", "megatron"),
    *_other("sglang_cfg", "sglang"),
    *_other("trtllm_cfg", "trtllm"),
    lacks(f"{_GENERATION}.sglang_kwargs*", "vLLM or the trainer itself"),
    always(
        f"{_GENERATION}.colocated.enabled",
        "on the trainer's GPUs; servers of their own come with the job (--slurm)",
        True,
    ),
    lacks(
        f"{_GENERATION}.colocated.resources.*",
        "servers on nodes of their own are a fact of the job, not of the config",
        part=lambda source: not switched_on(f"{_GENERATION}.colocated.enabled")(source),
    ),
]
