"""Tokenizer files of an exported folder, so that transformers and vLLM render and stop as training did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fleming_nemo.data import files
from fleming_nemo.data.chat import IM_END, IM_START
from fleming_nemo.data.tokenizer import PAD, ChatTokenizer


def write(chat: ChatTokenizer, system: str, max_positions: int, folder: Path) -> None:
    """Add tokenizer.json, tokenizer_config.json with the chat template, and generation_config.json to `folder`.

    Args:
        system: the run's `data.system_prompt`; chats without a system turn get it, as in training.
    """
    shutil.copyfile(chat.folder / "tokenizer.json", folder / "tokenizer.json")
    files.write_json(
        folder / "tokenizer_config.json",
        {
            # reads tokenizer.json as it is, where transformers does not know better; see `warning`
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": None,
            "eos_token": IM_END,
            "pad_token": PAD,
            "model_max_length": max_positions,
            "clean_up_tokenization_spaces": False,
            "chat_template": chat_template(system),
        },
    )
    ids: dict[str, Any] = {"eos_token_id": [chat.end_id, chat.pad_id], "pad_token_id": chat.pad_id}
    files.write_json(folder / "generation_config.json", ids)


def warning(chat: ChatTokenizer, family: str) -> str | None:
    """What a user of the folder has to know about its tokenizer; None where there is nothing.

    transformers 5 takes every tokenizer of a `qwen2` model for Qwen's: of tokenizer.json it keeps the vocabulary and
    the merges, and puts Qwen's normalisation (NFC) and splitting in place of what the file says.  For Qwen's own
    tokenizer that changes nothing; one trained here gets other token ids.
    """
    normalizer = files.read_json(chat.folder / "tokenizer.json")["normalizer"]
    if family != "qwen2.5" or (normalizer or {}).get("type") == "NFC":
        return None
    return (
        "AutoTokenizer of transformers 5 puts Qwen's splitting rules in place of this tokenizer's own; "
        "load it with transformers.PreTrainedTokenizerFast.from_pretrained"
    )


def chat_template(system: str) -> str:
    """The Jinja form of `data.chat`: turns joined by line ends, no system turn when `system` is empty.

    Reasoning stays inside the assistant's content, where training has it; nothing is added or taken away.
    """
    default = ""
    if system:
        text = json.dumps(f"{IM_START}system\n{system}{IM_END}\n", ensure_ascii=False)
        default = f"{{%- if messages[0].role != 'system' %}}{{{{- {text} }}}}{{%- endif %}}"
    return (
        f"{default}"
        "{%- for message in messages %}"
        "{{- ('' if loop.first else '\\n') + '" + IM_START + "' + message.role + '\\n' + message.content + '"
        f"{IM_END}' }}}}"
        "{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '\\n" + IM_START + "assistant\\n' }}{%- endif %}"
    )
