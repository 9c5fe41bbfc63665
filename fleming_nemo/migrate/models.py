"""Names of models on the hub and in NeMo 2, as networks and folders of ours."""

from __future__ import annotations

import re
from typing import Any

from fleming_nemo.migrate.rules import Source

# as on the hub (Qwen/Qwen2.5-7B-Instruct), or a config class of NeMo 2 (Qwen25Config7B); not Math: other positions
_FAMILIES = (
    (re.compile(r"qwen2\.?5-?(config)?-?7b(-instruct)?$", re.IGNORECASE), "qwen2.5-7b"),
    (re.compile(r"qwen3-?(config)?-?32b$", re.IGNORECASE), "qwen3-32b"),
)


def arch_of(name: Any, _: Source | None = None) -> str:
    """Our network of a model's name, else the name: the run then says which networks there are."""
    last = re.split(r"[/.](?=[A-Za-z])", str(name))[-1]
    return next((arch for pattern, arch in _FAMILIES if pattern.match(last)), last.lower())


def folder_of(name: Any, _: Source | None = None) -> str:
    """Where the recipes keep a model of the hub; a path stays as it is."""
    text = str(name).removeprefix("nemo://")
    return f"models/{text.rpartition('/')[2]}" if text.count("/") == 1 and text[0] not in "./~" else text
