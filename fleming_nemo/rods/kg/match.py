"""Which known node a node of a further source is, if any.

Ids are tried first, in an order by type, then the preferred name, then synonyms; a name that two nodes share decides
nothing. A synonym never gives a disease a second id of a namespace in which it already has one: OMIM lists many a
series under one synonym. (RxNorm ids of salts and of the substance may well meet in one drug.)
"""

from collections import defaultdict
from collections.abc import Callable, Iterator

from fleming_nemo.rods.kg.names import folded
from fleming_nemo.rods.kg.table import Node

# Namespaces whose ids stand for one thing; UMLS, MeSH, ATC or dbSNP ids are often shared and prove nothing.
IDENTITY = {
    "disease": ("MONDO", "OMIM", "ORPHA", "DECIPHER", "DOID"),
    "gene": ("HGNC", "NCBIGene", "ENSEMBL"),
    "drug": ("DRUGBANK", "CHEBI", "RXNORM", "CHEMBL.COMPOUND"),
    "phenotype": ("HP",),
    "inheritance": ("HP",),
    "category": ("HP", "CHEBI"),
    "mechanism": ("CHEBI",),
    "drug_class": ("CHEBI",),
}
# Weak ids: tried after names.
LATE = {"gene": ("UNIPROT",)}
NAMED = ("disease", "gene", "drug", "phenotype")


def namespace(identifier: str) -> str:
    return identifier.split(":", 1)[0]


class Matcher:
    def __init__(self) -> None:
        self.owner: dict[str, str] = {}
        self._late: dict[str, set[str]] = defaultdict(set)
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._synonyms: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._taken: dict[str, set[str]] = defaultdict(set)

    def learn(self, node: Node, key: str, spoken: bool = True) -> None:
        """From now on these ids, and if `spoken` these names, lead to the node `key`. Who came first keeps an id."""
        self.owner.setdefault(node.id, key)
        self._taken[key].add(namespace(node.id))
        for identifier in node.identifiers:
            if namespace(identifier) in IDENTITY.get(node.type, ()):
                self.owner.setdefault(identifier, key)
                self._taken[key].add(namespace(identifier))
            elif namespace(identifier) in LATE.get(node.type, ()):
                self._late[identifier].add(key)
        if spoken and node.type in NAMED:
            self._names[node.type, folded(node.name)].add(key)
            for synonym in node.synonyms:
                self._synonyms[node.type, folded(synonym)].add(key)

    def find(self, node: Node, types: dict[str, str], variants: Callable[[str], Iterator[str]]) -> tuple[str, str]:
        """(key, how it was found) or ("", "new")."""
        ids = (node.id, *node.identifiers)
        for space in IDENTITY.get(node.type, ()):
            for identifier in ids:
                key = self.owner.get(identifier, "")
                if namespace(identifier) == space and key and types[key] == node.type:
                    return key, space
        if (key := self.owner.get(node.id, "")) and types[key] == node.type:
            return key, "id"
        if node.type in NAMED:
            for how, index in (("name", self._names), ("synonym", self._synonyms)):
                for text in (node.name, *variants(node.name)):
                    found = index.get((node.type, folded(text)), ())
                    if len(found) != 1:
                        continue
                    key = next(iter(found))
                    if how == "name" or self._free(node, key):
                        return key, how if text == node.name else f"{how} after translation"
        for space in LATE.get(node.type, ()):
            for identifier in ids:
                found = self._late.get(identifier, ())
                if namespace(identifier) == space and len(found) == 1:
                    return next(iter(found)), space
        return "", "new"

    def _free(self, node: Node, key: str) -> bool:
        if node.type != "disease":
            return True
        spaces = {namespace(x) for x in (node.id, *node.identifiers)} & set(IDENTITY.get(node.type, ()))
        return not spaces & self._taken[key]
