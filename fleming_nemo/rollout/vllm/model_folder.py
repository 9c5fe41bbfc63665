"""What a server needs of a model before it has weights: its shape and its tokenizer."""

from __future__ import annotations

from pathlib import Path

from fleming_nemo.config.presets import ArchShape
from fleming_nemo.data import files
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.model import hf_config, hf_tokenizer

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp8": "bfloat16"}
"""`model.precision` of the trainer -> what the engine computes in; the trainer's own FP8 keeps weights in bf16."""


def write(folder: Path, shape: ArchShape, precision: str, chat: ChatTokenizer, system: str) -> None:
    """Write config.json and the tokenizer's files into `folder`; no weights.

    Args:
        precision: the run's `model.precision`.
        system: the run's `data.system_prompt`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hf_tokenizer.write(chat, system, shape.max_positions, folder)
    files.write_json(folder / "config.json", hf_config.config_json(shape, DTYPES[precision]))
