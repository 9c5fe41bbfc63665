"""The tables of docs/migration.md, written from the rules: `python -m fleming_nemo.migrate.page docs/migration.md`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fleming_nemo.config.overrides import flatten
from fleming_nemo.launch.resolve import load_recipe, resolve
from fleming_nemo.migrate.convert import SCHEMAS
from fleming_nemo.migrate.rules import MAPPED, Rule

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

# What `finetune_recipe(peft_scheme=None)` of nemo-toolkit 2.7 sets, in terms of ours.
NEMO2 = {
    "sft_7b": {"gpus": 8, "parallel.tp": 2, "parallel.pp": 1},
    "sft_32b": {"gpus": 16, "parallel.tp": 8, "parallel.pp": 2},
}
NEMO2_BOTH = {
    "train.global_batch": 128,
    "train.micro_batch": 1,
    "train.seq_length": 2048,
    "train.steps": 1000,
    "optim.lr": 5e-6,
    "optim.warmup_steps": 50,
    "optim.decay": "cosine",
    "optim.betas": [0.9, 0.98],
    "optim.weight_decay": 0.1,
    "optim.clip_grad": 1.0,
    "model.precision": "bf16",
    "parallel.cp": 1,
    "parallel.sequence_parallel": False,
}


def tables(recipes: Path) -> str:
    """Every table of the page; `recipes` is the folder of the recipe files."""
    parts = [_values(recipes)]
    for schema in SCHEMAS:
        parts.append(f"## {schema.NAME}, field by field")
        parts.append(_fields(schema.TABLE))
    return "\n\n".join(parts)


def rewritten(text: str, recipes: Path) -> str:
    """The page with its tables made anew between the two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(recipes)}\n\n{END}{rest.partition(END)[2]}"


def _values(recipes: Path) -> str:
    lines = [
        "## The values of NeMo 2's fine-tuning recipes beside ours",
        "",
        "| option | NeMo 2, 7B | `sft_7b` | NeMo 2, 32B | `sft_32b` |",
        "|---|---|---|---|---|",
    ]
    ours = {n: flatten(resolve(load_recipe(recipes / f"{n}.py"), gpus=int(v["gpus"]))) for n, v in NEMO2.items()}
    theirs = {name: {**values, **NEMO2_BOTH} for name, values in NEMO2.items()}
    for key in theirs["sft_7b"]:
        cells = [
            f"{side[key] if key in side else NEMO2[name][key]}"
            for name in NEMO2
            for side in (theirs[name], {"gpus": NEMO2[name]["gpus"]} | ours[name])
        ]
        lines.append(f"| `{key}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _fields(table: Sequence[Rule]) -> str:
    lines = ["| field | ours | remark |", "|---|---|---|"]
    for rule in sorted(table, key=lambda r: r.source):
        ours = f"`{rule.to}`" if rule.verdict == MAPPED else rule.verdict
        lines.append(f"| `{rule.source}` | {ours} | {rule.note} |")
    return "\n".join(dict.fromkeys(lines))


def main(argv: Sequence[str] | None = None) -> None:
    """Rewrite the page in place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="docs/migration.md")
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), help="folder of the recipes (recipes)")
    args = parser.parse_args(argv)
    args.page.write_text(rewritten(args.page.read_text(), args.recipes))


if __name__ == "__main__":
    main()
