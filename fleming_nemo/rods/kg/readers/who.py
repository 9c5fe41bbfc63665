"""WHO essential medicines of the GNU Health wheel: therapeutic categories, pregnancy categories, Chinese names."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fleming_nemo.rods.kg.names import slug
from fleming_nemo.rods.kg.readers.archive import Archive
from fleming_nemo.rods.kg.records import Extract, edge, node

SOURCE = "who_em"
_FOLDER = "trytond/modules/health_who_essential_medicines/"
MEDICINES = _FOLDER + "data/WHO_list_of_essential_medicines.xml"
CATEGORIES = _FOLDER + "data/medicament_categories.xml"
CHINESE = _FOLDER + "locale/zh_CN.po"
PREGNANCY = {
    "A": "controlled studies show no risk",
    "B": "no evidence of risk in humans",
    "C": "risk cannot be ruled out",
    "D": "positive evidence of risk",
    "X": "contraindicated in pregnancy",
}
PREGNANT = "STATE:pregnancy"
_ENTRY = re.compile(r'msgctxt "model:([^:"]+):([^"]+)"\nmsgid "(?:[^"\\]|\\.)*"\nmsgstr "((?:[^"\\]|\\.)+)"')


def read(wheel: Path) -> Extract:
    archive, extract = Archive(wheel), Extract(version="gnuhealth-who-essential-medicines 5.0.4")
    chinese = {(model, key): text for model, key, text in _ENTRY.findall(archive.text(CHINESE))}
    rows = dict(archive.xml(CATEGORIES, extract.rejects, ("name",)))
    kept = {key: _not_complementary(key, rows) for key in rows}
    shared = Counter(row["name"] for key, row in rows.items() if kept[key] == key)
    for key, row in rows.items():
        if kept[key] == key:
            parent_name = rows.get(row.get("parent", ""), {}).get("name", "")
            name = f"{row['name']} ({parent_name})" if shared[row["name"]] > 1 else row["name"]
            zh = chinese.get(("gnuhealth.medicament.category,name", key))
            extract.nodes.append(node(_category(key), "category", name, (), (), zh))
            if parent := kept.get(row.get("parent", "")):
                extract.edges.append(edge(_category(key), "is_a", _category(parent), SOURCE))
    extract.nodes.append(node(PREGNANT, "other", "pregnancy", (), (), "妊娠"))
    for letter, meaning in PREGNANCY.items():
        extract.nodes.append(node(f"FDA.PREGNANCY:{letter}", "category", f"FDA pregnancy category {letter}: {meaning}"))
    drugs: dict[str, tuple[str, str | None]] = {}
    found: dict[tuple[str, str, str], set[str]] = {}
    for key, row in archive.xml(MEDICINES, extract.rejects, ("active_component", "category")):
        name = " ".join(row["active_component"].split())
        drug = f"WHO.EM:{slug(name)}"
        zh = chinese.get(("gnuhealth.medicament,active_component", key))
        drugs[drug] = (name, drugs.get(drug, (name, None))[1] or zh)
        if row["category"] not in kept:
            extract.rejects.add(MEDICINES, key, "category", "no such category", row)
            continue
        letter = row.get("pregnancy_category", "")
        facts = [("in_category", _category(kept[row["category"]]))]
        facts += [("in_category", f"FDA.PREGNANCY:{letter}")] if letter in PREGNANCY else []
        facts += [("contraindicated_in", PREGNANT)] if letter == "X" else []
        for relation, target in facts:
            found.setdefault((drug, relation, target), set()).add(f"WHO.EM:{key}")
    extract.nodes.extend(node(drug, "drug", name, (), (), zh) for drug, (name, zh) in sorted(drugs.items()))
    extract.edges.extend(
        edge(*statement, SOURCE, tuple(sorted(evidence))) for statement, evidence in sorted(found.items())
    )
    return extract


def other_names(name: str) -> Iterator[str]:
    """'abacavir (ABC)', 'epinefrine (adrenaline)': the name before the bracket and the one in it."""
    before, bracket, inside = name.partition(" (")
    if bracket and "+" not in name:
        yield before
        yield inside.rstrip(")")


def _category(key: str) -> str:
    return f"WHO.CATEGORY:{key}"


def _not_complementary(key: str, rows: dict[str, dict[str, str]]) -> str:
    """The list's second tier ("Complementary") is no therapeutic category; its medicines belong to the one above."""
    while rows[key]["name"].startswith("Complementary") and rows[key].get("parent") in rows:
        key = rows[key]["parent"]
    return key
