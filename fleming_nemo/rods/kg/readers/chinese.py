"""Chinese names of common findings and drugs, from the faker-healthcare-provider wheel.

Its two tables align by order. The wheel calls itself test data, so nothing but names is taken from it, and only for
things that a better source has put into the graph. Its Chinese disease names are left out: they are those of ICD
codes ("gonarthrosis" for osteoarthritis).
"""

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

from fleming_nemo.rods.kg.names import slug
from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, node

SOURCE = "faker_healthcare"
ENGLISH = "faker_healthcare/disease_correlations.py"
CHINESE = "faker_healthcare/zh_CN/disease_correlations.py"
_KINDS = {"symptoms": "phenotype", "medications": "drug"}
_CHINESE = re.compile("[\u4e00-\u9fff]")


def read(wheel: Path) -> Extract:
    archive, extract = Archive(wheel), Extract(version="faker-healthcare-provider 2.5.0")
    english, chinese = _table(archive, ENGLISH), _table(archive, CHINESE)
    if len(english) != len(chinese):
        extract.rejects.add(CHINESE, "table", "length", f"{len(chinese)} diseases, {len(english)} in English")
        return extract
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (name, row), (zh_name, zh_row) in zip(english.items(), chinese.items(), strict=True):
        if row.get("icd10") != zh_row.get("icd10"):
            extract.rejects.add(CHINESE, zh_name, "icd10", f"does not align with {name}", zh_row)
            continue
        for field, kind in _KINDS.items():
            if len(row[field]) != len(zh_row[field]):
                extract.rejects.add(CHINESE, zh_name, field, f"does not align with {name}", zh_row[field])
                continue
            for term, zh_term in zip(row[field], zh_row[field], strict=True):
                if _CHINESE.search(zh_term):
                    votes[kind, term][zh_term] += 1
    for (kind, name), counted in sorted(votes.items()):
        zh = min(counted, key=lambda text: (-counted[text], text))
        extract.nodes.append(node(f"FAKER:{kind}-{slug(name)}", kind, name, (), (), zh))
    return extract


def _table(archive: Archive, member: str) -> dict[str, dict]:
    """The one dict literal of a module, read without importing it."""
    for statement in ast.parse(archive.text(member)).body:
        if isinstance(statement, ast.AnnAssign | ast.Assign) and isinstance(statement.value, ast.Dict):
            return ast.literal_eval(statement.value)
    return {}
