"""Recipes of NeMo 2 (`nemo.collections.llm`, up to nemo-toolkit 2.7) as nemo-run dumps them to YAML.

`nemo llm finetune --factory qwen25_7b --to-yaml recipe.yaml` writes such a file: every object as a mapping with the
dotted path of its class under `_target_`.
"""

from __future__ import annotations

from typing import Any

from fleming_nemo.migrate.models import folder_of
from fleming_nemo.migrate.nemo2 import objects, trainer
from fleming_nemo.migrate.rules import Rule, Source, flatten

NAME = "NeMo 2 recipe"

TABLE: list[Rule] = [*trainer.RULES, *objects.RULES]


def base(source: Source) -> dict[str, Any]:
    """Options that no single field gives."""
    weights = source.get("resume.restore_config.path")
    options: dict[str, Any] = {"task": "sft", "stage": "sft"}
    return options | ({"data.tokenizer": folder_of(weights)} if weights else {})


def normalised(source: Source) -> Source:
    """Lists of objects by index, and objects that are only named (`_call_: false`) as their name."""
    out: Source = {}
    for key, value in source.items():
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for number, item in enumerate(value):
                out |= normalised(flatten(item, f"{key}.{number}"))
            continue
        if key.endswith("._call_"):
            continue
        owner = key.removesuffix("._target_")
        out[owner if source.get(f"{owner}._call_") is False else key] = value
    return out
