"""`fleming import-config`: a config of another trainer becomes a recipe of ours."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import to_yaml
from fleming_nemo.migrate import convert, written


def add(verbs: Any) -> None:
    parser = verbs.add_parser(
        "import-config",
        help="turn a config of NeMo-RL, NeMo 2 or NeMo-Aligner into a recipe, with a list of what became of each field",
    )
    parser.add_argument(
        "file", type=Path, help="a GRPO YAML of NeMo-RL or NeMo-Aligner, or a recipe dumped by nemo-run"
    )
    parser.add_argument(
        "--out", type=Path, help="recipe (.py) or config (.yaml) to write; FILE's name with .py without"
    )
    parser.add_argument("--defaults", type=Path, metavar="DIR", help="where files it inherits from are looked for too")
    parser.add_argument("--all", action="store_true", help="list the fields without effect one by one too")
    parser.add_argument("--json", action="store_true", help="the list for machines")
    parser.set_defaults(act=act)


def act(args: argparse.Namespace) -> None:
    imported = convert.import_file(args.file, args.defaults)
    cfg = convert.config(imported)
    out = args.out or Path(f"{args.file.stem}.py")
    if out.suffix not in (".py", ".yaml", ".yml"):
        raise UserError(f"--out is {out}; give a name that ends in .py (a recipe) or .yaml (a config)")
    if out.exists():
        raise UserError(f"{out} exists; give another name by --out")
    obstacle = convert.obstacle(cfg, imported.arguments)
    out.write_text(written.recipe(imported, cfg, args.file, out) if out.suffix == ".py" else to_yaml(cfg))
    if args.json:
        fields = [asdict(entry) for entry in imported.entries]
        print(json.dumps({"kind": imported.kind, "out": str(out), "obstacle": obstacle, "fields": fields}, indent=1))
        return
    print(written.listing(imported, args.all))
    print(f"wrote {out}" + (f"; before it runs: {obstacle}" if obstacle else ""))
