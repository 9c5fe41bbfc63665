"""Members of a wheel, which is read as a zip file and never installed."""

import csv
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.rejects import Rejects


class Archive:
    def __init__(self, path: Path) -> None:
        self.path = path

    def bytes(self, member: str) -> bytes:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(member)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.path}: cannot read {member} ({error}); use the pinned wheel.") from error

    def text(self, member: str) -> str:
        try:
            return self.bytes(member).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path}, {member}: not UTF-8 ({error}); use the pinned wheel.") from error

    def records(self, member: str, rejects: Rejects, required: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Objects of a JSON list that have the required fields as strings; the others are set aside."""
        try:
            rows = json.loads(self.text(member))
        except ValueError as error:
            raise UserError(f"{self.path}, {member}: not JSON ({error}); use the pinned wheel.") from error
        if not isinstance(rows, list):
            raise UserError(f"{self.path}, {member}: expected a list of objects; use the pinned wheel.")
        for number, row in enumerate(rows, 1):
            bad = [key for key in required if not (isinstance(row, dict) and isinstance(row.get(key), str))]
            if bad or not all(row[key] for key in required):
                rejects.add(member, number, (bad or list(required))[0], "missing or not a text", row)
            else:
                yield row

    def rows(
        self, member: str, rejects: Rejects, required: tuple[str, ...], delimiter: str = ","
    ) -> Iterator[tuple[int, dict[str, str]]]:
        """(line, cells by column) of a delimited file with a header; rows of another width are set aside."""
        file = io.StringIO(self.text(member))
        # TSV as bio-databases write it knows no quoting
        tabs = delimiter == "\t"
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(file)
        header = next(lines, [])
        if missing := [name for name in required if name not in header]:
            raise UserError(f"{self.path}, {member}: no column {missing[0]}; found {', '.join(header)}.")
        for cells in lines:
            if len(cells) != len(header):
                field = header[len(cells)] if len(cells) < len(header) else f"after {header[-1]}"
                reason = f"expected {len(header)} fields, found {len(cells)}"
                rejects.add(member, lines.line_num, field, reason, delimiter.join(cells))
            else:
                yield lines.line_num, dict(zip(header, cells, strict=True))

    def xml(self, member: str, rejects: Rejects, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
        """(id, fields) of each <record> of a Tryton file; `ref` and the value of a search stand for a missing text."""
        try:
            for _, element in ET.iterparse(io.BytesIO(self.bytes(member))):
                if element.tag != "record":
                    continue
                fields = {f.get("name", ""): _value(f) for f in element.iter("field")}
                missing = [key for key in required if not fields.get(key)]
                if missing:
                    rejects.add(member, element.get("id", ""), missing[0], "missing", fields)
                else:
                    yield element.get("id", ""), fields
                element.clear()
        except ET.ParseError as error:
            raise UserError(f"{self.path}, {member}: not XML ({error}); use the pinned wheel.") from error


def _value(field: ET.Element) -> str:
    if (search := field.get("search")) and search.count("'") >= 6:
        return search.split("'")[5]  # [('name', '=', 'HSD3B1')]
    return (field.get("ref") or field.text or "").strip()
