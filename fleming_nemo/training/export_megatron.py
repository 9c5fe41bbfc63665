"""Weights as a Megatron checkpoint that Megatron-Bridge, and with it NeMo-RL, can read.

`iter_N/` holds the weights in megatron-core's torch_dist format, without an optimizer, and run_config.yaml, from which
Megatron-Bridge builds the model (its training/model_load_save.py); `latest_checkpointed_iteration.txt` beside it names
N.  Every layer has a name of its own, `decoder.layers.N.`, as in Megatron-Bridge's mappings (its qwen2_bridge.py and
qwen3_bridge.py); `content_metadata` tells a loader so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ArchShape
from fleming_nemo.data.chat import IM_END, IM_START
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import everyone_or_error, on_first
from fleming_nemo.training.export_check import last_stage_logits

from megatron.core import dist_checkpointing  # isort: skip

PROMPT = f"{IM_START}user\nWhich gene is associated with cystic fibrosis?{IM_END}\n{IM_START}assistant\n"
METADATA = {"non_homogeneous_layers": True, "singleton_local_shards": False}
TRACKER = "latest_checkpointed_iteration.txt"


def save(networks: list[Any], folder: Path, shape: ArchShape, step: int, bf16: bool) -> None:
    """Write the weights of all ranks into `folder`, which rank 0 has made.

    Collective; each rank holds one model chunk.

    Raises:
        OSError: the disk is full, or the like.
    """
    target = folder / _iteration(step)
    on_first(target.mkdir)
    state = {"checkpoint_version": 3.0, "iteration": step, **_sharded(networks)}
    # a copy: megatron-core adds to it
    dist_checkpointing.save(state, str(target), content_metadata=dict(METADATA))

    def describe() -> None:
        (target / "run_config.yaml").write_text(yaml.safe_dump(_run_config(shape, bf16)))
        (folder / TRACKER).write_text(f"{step}\n")

    on_first(describe)


def check(networks: list[Any], folder: Path, step: int, chat: ChatTokenizer) -> None:
    """Raise a UserError unless the files give the networks the logits that they have; collective.

    Afterwards the networks hold the weights of the files, which are their own.
    """
    tokens = chat.encode(PROMPT)
    before = last_stage_logits(networks, tokens)
    with torch.no_grad():
        for network in networks:
            for parameter in network.parameters():
                parameter.fill_(torch.nan)
    state = dist_checkpointing.load(_sharded(networks), str(folder / _iteration(step)))
    networks[0].load_state_dict(state["model"])
    after = last_stage_logits(networks, tokens)

    def compare() -> None:
        if before is None or after is None:  # not the last stage
            return
        if not (bool(before.isfinite().all()) and torch.equal(before, after)):
            raise UserError("the exported weights give other logits than the checkpoint; check the disk, export again")

    everyone_or_error(compare)


def _sharded(networks: list[Any]) -> dict[str, Any]:
    return {"model": networks[0].sharded_state_dict(metadata=dict(METADATA))}


def _iteration(step: int) -> str:
    return f"iter_{step:07d}"


def _run_config(shape: ArchShape, bf16: bool) -> dict[str, Any]:
    """What Megatron-Bridge reads of a checkpoint: the model, the layout it was saved under, and what else is in it.

    The files can be loaded under any layout; its trainer compares the two before it takes optimizer and RNG.
    """
    layout = groups.current()
    saved_under = {"tensor_model_parallel_size": layout.tp, "pipeline_model_parallel_size": layout.pp}
    return {
        "model": _provider(shape, shape.padded_vocab_size(layout.tp), bf16) | saved_under,
        "checkpoint": {"save_optim": False, "save_rng": False, "fully_parallel_save": False},
    }


def _provider(shape: ArchShape, vocabulary: int, bf16: bool) -> dict[str, Any]:
    """The network as Megatron-Bridge's GPTModelProvider takes it; `_call_: false` names an object, making none."""
    dtype = {"_target_": "torch.bfloat16" if bf16 else "torch.float32", "_call_": False}
    return {
        "_target_": "megatron.bridge.models.gpt_provider.GPTModelProvider",
        "num_layers": shape.num_layers,
        "hidden_size": shape.hidden_size,
        "ffn_hidden_size": shape.ffn_hidden_size,
        "num_attention_heads": shape.num_heads,
        "num_query_groups": shape.num_kv_heads,
        "kv_channels": shape.head_dim,
        "qk_layernorm": shape.family == "qwen3",
        "add_qkv_bias": shape.family == "qwen2.5",
        "add_bias_linear": False,
        "gated_linear_unit": True,
        "activation_func": {"_target_": "torch.nn.functional.silu", "_call_": False},
        "normalization": "RMSNorm",
        "layernorm_epsilon": shape.rms_eps,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "position_embedding_type": "rope",
        "rotary_base": shape.rope_theta,
        "share_embeddings_and_output_weights": shape.tied,
        "seq_length": shape.max_positions,
        "vocab_size": vocabulary,
        "make_vocab_size_divisible_by": 1,
        "bf16": bf16,
        "params_dtype": dtype,
    }
