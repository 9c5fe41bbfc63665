#!/usr/bin/env python3
"""A judge of synthesised questions that tries to refute every one of them.

It shares no code with the synthesis: its own reading of the Parquet files, its own graph queries over sets, its own
table of what each family asks.

    python tests/rods/synth/refuter.py --graph data/kg data/rods/items_*.jsonl
"""

import argparse
import collections
import json
import math
import re
import sys

import pyarrow.parquet as pq

# family -> (how the start is given, [(relation, walked forwards / backwards / both ways, type reached)], only one end)
GENE, OF_GENE = ("caused_by", ">", "gene"), ("caused_by", "<", "disease")
MODE, DRUG = ("inherited_as", ">", "inheritance"), ("has_gene_drug_guideline", ">", "drug")
ACTS, ACTED = ("has_mechanism", ">", "mechanism"), ("has_mechanism", "<", "drug")
MEANING = {
    "findings-disease": ("findings", [], False),
    "frequencies-disease": ("bands", [], False),
    "findings-disease-gene": ("findings", [GENE], False),
    "findings-disease-inheritance": ("findings", [MODE], True),
    "findings-disease-gene-disease": ("findings", [GENE, OF_GENE], False),
    "findings-disease-gene-drug": ("findings", [GENE, DRUG], False),
    "findings-disease-gene-drug-mechanism": ("findings", [GENE, DRUG, ACTS], False),
    "findings-disease-gene-drug-mechanism-drug": ("findings", [GENE, DRUG, ACTS, ACTED], False),
    "disease-gene": ("named", [GENE], False),
    "disease-gene-drug": ("named", [GENE, DRUG], False),
    "gene-drug": ("named", [DRUG], False),
    "drug-mechanism": ("named", [ACTS], False),
    "drug-mechanism-drug": ("named", [ACTS, ACTED], False),
    "drug-interaction": ("named", [("interacts_with", "=", "drug")], False),
    "variant-disease": ("named", [("has_variant", "<", "disease")], False),
    "variant-gene-disease-inheritance": ("named", [("has_variant", "<", "gene"), OF_GENE, MODE], True),
}
OPPOSITE = {">": "<", "<": ">", "=": "="}


class Judge:
    def __init__(self, folder):
        nodes = pq.read_table(f"{folder}/nodes.parquet", columns=["id", "type", "name", "synonyms", "name_zh"])
        self.type, self.name, self.zh, self.texts = {}, {}, {}, {}
        self.called = collections.defaultdict(set)
        for row in nodes.to_pylist():
            node = row["id"]
            self.type[node], self.name[node], self.zh[node] = row["type"], row["name"], row["name_zh"]
            self.texts[node] = {t.casefold() for t in (row["name"], *row["synonyms"], row["name_zh"]) if t}
            for text in self.texts[node]:
                self.called[text].add(node)
        edges = pq.read_table(
            f"{folder}/edges.parquet", columns=["subject", "relation", "object", "low", "high", "negated"]
        ).to_pydict()
        rows = list(zip(*edges.values(), strict=True))
        said = {(s, r, o) for s, r, o, _, _, negated in rows if not negated}
        denied = {(s, r, o) for s, r, o, _, _, negated in rows if negated}
        self.facts = said - denied
        self.step = {">": collections.defaultdict(set), "<": collections.defaultdict(set)}
        self.annotated = collections.defaultdict(set)  # term -> diseases, disputed ones included
        self.findings, self.free = collections.defaultdict(set), collections.defaultdict(set)
        for s, r, o in said:
            if r == "has_phenotype" and self.type[s] == "disease":
                self.annotated[o].add(s)
        for s, r, o in self.facts:
            self.step[">"][s, r].add(o)
            self.step["<"][o, r].add(s)
            if r == "has_phenotype" and self.type[s] == "disease":
                self.findings[s].add(o)
        for s, r, o in denied - said:
            if r == "has_phenotype":
                self.free[s].add(o)
        self.bounds = {}
        for s, r, o, low, high, negated in rows:
            known = low is not None and high is not None and not math.isnan(low) and not math.isnan(high)
            if r == "has_phenotype" and not negated and known and (s, r, o) in self.facts:
                old = self.bounds.get((s, o), (9.0, -9.0))
                self.bounds[s, o] = min(old[0], low), max(old[1], high)
        self.often = collections.defaultdict(set)
        for (s, o), (low, _) in self.bounds.items():
            if low >= 0.8:
                self.often[o].add(s)
        self._cache = {}

    def closure(self, node, direction):
        """The node and all that is wider (>) or narrower (<)."""
        key = "closure", node, direction
        if key not in self._cache:
            seen, queue = {node}, collections.deque([node])
            while queue:
                one = queue.popleft()
                for relation in ("is_a", "subtype_of") if self.type[node] == "disease" else ("is_a",):
                    for other in self.step[direction].get((one, relation), ()):
                        if other not in seen:
                            seen.add(other)
                            queue.append(other)
            self._cache[key] = seen
        return self._cache[key]

    def kin(self, node):
        return self.closure(node, ">") | self.closure(node, "<")

    def _who(self, table, term):
        """Diseases under the term or any narrower one in a table of term -> diseases."""
        key = id(table), term
        if key not in self._cache:
            self._cache[key] = set().union(*(table.get(t, ()) for t in self.closure(term, "<")))
        return self._cache[key]

    def having(self, term):
        return self._who(self.annotated, term)

    def usually(self, term):
        return self._who(self.often, term)

    def recorded_free(self, disease, term):
        return disease not in self.having(term) and bool(self.closure(term, ">") & self.free[disease])

    def next(self, node, relation, direction, kind):
        ways = ("<", ">") if direction == "=" else (direction,)
        found = set().union(*(self.step[way].get((node, relation), ()) for way in ways))
        return {n for n in found if self.type[n] == kind}

    def ends(self, start, hops):
        """Ends of all walks that visit nothing twice."""
        key = "ends", start, tuple(hops)
        if key not in self._cache:
            walks = [[start]]
            for relation, direction, kind in hops:
                walks = [w + [n] for w in walks for n in self.next(w[-1], relation, direction, kind) if n not in w]
            self._cache[key] = {w[-1] for w in walks}
        return self._cache[key]

    def origins(self, target, hops):
        kinds = ["disease", *(kind for _, _, kind in hops)]
        back = [(r, OPPOSITE[d], kinds[i]) for i, (r, d, _) in reversed(list(enumerate(hops)))]
        return self.ends(target, back)

    def share(self, disease, own):
        return self.bounds.get((disease, own), (-1, 2))[0]

    def refuted(self, disease, asked, clues):
        """Whether the findings decide against the disease, open world or not."""
        for clue in clues:
            term = clue["term"]
            if not clue["present"]:
                if disease in self.usually(term):
                    return True
            elif disease not in self.having(term):
                if self.recorded_free(disease, term):
                    return True
                telling = max(self.share(asked, own) for own in self.closure(term, "<") if own in self.findings[asked])
                if telling >= 0.8 and len(self.findings[disease]) >= 3:
                    return True
        return False

    def objections(self, item):
        """Everything that is wrong with an item (a row of the JSONL file); empty when it cannot be refuted."""
        p, options = item["provenance"], item["options"]
        if p["family"] not in MEANING:
            return [f"unknown family {p['family']}"]
        given, hops, single = MEANING[p["family"]]
        path, start, answer = p["path"], p["path"][0], p["answer_node"]
        node_of = {d["option"]: d["node"] for d in p["distractors"]} | {options[item["answer"]]: answer}
        found = []
        if set(node_of) != set(options) or len(node_of) != len(options) or not 2 <= len(options) <= 21:
            return ["options and provenance differ"]
        found += self._names(item, node_of)
        right = self.ends(start, hops)
        if right & set(node_of.values()) != {answer}:
            found.append(f"right options {sorted(right & set(node_of.values()))}, marked {answer}")
        if single and len(right) != 1:
            found.append(f"more than one end: {sorted(right)}")
        if len({self.type[n] for n in node_of.values()}) != 1:
            found.append("options of different types")
        if set(path[:-1]) & set(node_of.values()):
            found.append("a node of the path is an option")
        for wrong in set(node_of.values()) - {answer}:
            if wrong in self.kin(answer) or self.texts[wrong] & self.texts[answer]:
                found.append(f"{wrong} is a kind of the answer, or goes by its name")
        found += self._path(p, path, hops)
        if given == "named":
            near = set().union(*(self.ends(one, hops) for one in self.kin(start)))
            near = set().union(*map(self.kin, near)) | self.kin(start)
            found += [f"{n} may be right as well" for n in node_of.values() if n != answer and n in near]
        elif given == "bands":
            found += self._banded(p, start, [n for n in node_of.values() if n != answer])
        else:
            found += self._diagnosed(p, start, hops, single, [n for n in node_of.values() if n != answer])
        return found

    def _names(self, item, node_of):
        p, question, found = item["provenance"], item["question"], []
        visible = [(c["term"], c["text"]) for c in p["clues"]] + list(p["shown"].items())
        if MEANING[p["family"]][0] == "named":
            visible.append((p["path"][0], p["start_text"]))
        for node, text in visible:
            if text not in question:
                found.append(f"{text!r} is not in the question")
            coded = self.type[node] in ("inheritance", "gene", "variant")
            if text.casefold() not in self.texts[node] and not coded:
                found.append(f"{text!r} is no name of {node}")
            if any(n != node and self.type[n] == self.type[node] for n in self.called[text.casefold()]):
                found.append(f"{text!r} is the name of several nodes")
        for text, node in node_of.items():
            if text.casefold() not in self.texts[node] and self.type[node] != "inheritance":
                found.append(f"option {text!r} is no name of {node}")
            if re.search(rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])", question, re.I):
                found.append(f"the question holds the option {text!r}")
        for node in p["masked"]:
            name = self.name[node]
            if re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", question, re.I):
                found.append(f"the question names the masked {name!r}")
        return found

    def _path(self, p, path, hops):
        found, stated = [], set()
        for edge in p["edges"]:
            key = edge["from"], edge["relation"], edge["to"]
            stated.add(key)
            if edge["negated"]:
                if edge["to"] not in self.free[edge["from"]]:
                    found.append(f"no such denial: {key}")
            elif key not in self.facts:
                found.append(f"no such edge: {key}")
            low = self.bounds.get((key[0], key[2]), (None, None))[0] if key[1] == "has_phenotype" else None
            if low is not None and not edge["negated"] and abs(low - edge["low"]) > 1e-3:
                found.append(f"wrong frequency: {edge}")
            if not edge["sources"]:
                found.append(f"no source: {key}")
        for (relation, _, _), one, other in zip(hops, path[:-1], path[1:], strict=True):
            if (one, relation, other) not in stated and (other, relation, one) not in stated:
                found.append(f"the path misses {one} {relation} {other}")
        for clue in p["clues"]:
            if (path[0], "has_phenotype", clue["own"]) not in stated or clue["own"] not in self.closure(
                clue["term"], "<"
            ):
                found.append(f"clue without its edge: {clue}")
        if path[-1] != p["answer_node"] or not p["graph_version"] or not p["licence"]:
            found.append("path, version or licence missing")
        hidden = [n for n in (path[1:-1] if not p["clues"] else path[:-1]) if n not in p["shown"]]
        if hidden != p["masked"]:
            found.append("masked nodes misstated")
        return found

    def _diagnosed(self, p, start, hops, single, wrong):
        found, clues = [], p["clues"]
        present = [c["term"] for c in clues if c["present"]]
        fits = set.intersection(*map(self.having, present)) if present else set()
        for clue in clues:
            if not clue["present"]:
                fits = fits - self.usually(clue["term"])
                if not self.recorded_free(start, clue["term"]):
                    found.append(f"not recorded as absent: {clue}")
            elif self.share(start, clue["own"]) < 0.3 - 1e-6:
                found.append(f"not a frequent finding: {clue}")
        if fits != {start}:
            found.append(f"diagnoses that fit: {sorted(fits)[:5]}, meant {start}")
        terms = [c["term"] for c in clues]
        found += [f"{a} lies above {b}" for a in terms for b in terms if a != b and a in self.closure(b, ">")]
        for option in wrong if not single else ():
            behind = {option} if not hops else self.origins(option, hops)
            found += [f"{d} behind {option} is not refuted" for d in behind if not self.refuted(d, start, clues)]
        return found

    def _banded(self, p, start, wrong):
        found = []
        for clue in p["clues"]:
            low, high = self.bounds.get((start, clue["term"]), (-1, 2))
            if not (low >= 0.8 if clue["band"] == "often" else low >= 0 and high < 0.3):
                found.append(f"the answer does not have this frequency: {clue}")
        for option in wrong:
            if not any(self._contradicts(option, clue) for clue in p["clues"]):
                found.append(f"no recorded frequency speaks against {option}")
        return found

    def _contradicts(self, disease, clue):
        low, high = self.bounds.get((disease, clue["term"]), (-1, 2))
        if clue["band"] == "seldom":
            return low >= 0.3
        exact = low >= 0 and high < 0.8 and disease not in self.usually(clue["term"])
        return exact or self.recorded_free(disease, clue["term"])


def facts_of(item):
    """Every statement that the item's path and clues rest on."""
    return {(e["from"], e["relation"], e["to"]) for e in item["provenance"]["edges"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    judge, refuted, number = Judge(args.graph), 0, 0
    used = collections.defaultdict(set)
    for path in args.files:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                item = json.loads(line)
                number += 1
                used[item["split"]] |= facts_of(item)
                if reasons := judge.objections(item):
                    refuted += 1
                    print(item["id"], item["provenance"]["family"], reasons[:3]) if refuted <= 20 else None
    splits = sorted(used)
    both = sum(len(used[a] & used[b]) for i, a in enumerate(splits) for b in splits[i + 1 :])
    print(f"{number} items, {refuted} refuted, {both} facts in two splits")
    sys.exit(1 if refuted or both else 0)


if __name__ == "__main__":
    main()
