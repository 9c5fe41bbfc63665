"""A folder or list of table files as one input of the build."""

from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import sha256
from fleming_nemo.rods.kg.build import Input
from fleming_nemo.rods.kg.columns import SUFFIXES
from fleming_nemo.rods.kg.plain import read_tables


def tables_input(paths: list[Path]) -> Input:
    """Files and the CSV, TSV and Parquet files of folders.

    Raises UserError when there is none, or a named one does not exist.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder.")
        files += sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{paths[0]}: holds no file that ends in {', '.join(SUFFIXES)}.")
    content = {"files": [{"name": path.name, "sha256": sha256(path)} for path in files], "licence": "that of the files"}
    return Input("tables", content, lambda _: read_tables(files))
