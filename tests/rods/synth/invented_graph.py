"""An invented graph with every kind of node that the path families use; nothing in it is medicine."""

import random

from fleming_nemo.rods.kg.store import in_memory, write_graph
from fleming_nemo.rods.kg.table import Edge, Node

SYLLABLES = [consonant + vowel for consonant in "bcdfghjklmnprstvz" for vowel in "aeiou"]
MODES = ("Autosomal dominant", "Autosomal recessive", "X-linked", "Mitochondrial")


def word(number, length=4):
    """A word of its own for every number; words share no stem of five letters unless the numbers are alike."""
    rng = random.Random(f"word{number}")
    return "".join(rng.choice(SYLLABLES) for _ in range(length))


def node(identifier, kind, name, synonyms=(), zh=None):
    return Node(identifier, kind, name, tuple(synonyms), (), zh)


def edge(subject, relation, object_, low=None, high=None, negated=False):
    return Edge(subject, relation, object_, "invented", ("ref:1",), low, high, negated)


def parts(num_diseases=120, num_drugs=60, seed=0):
    """(nodes, edges): diseases in overlapping clusters of findings, genes, drugs, mechanisms, variants, modes."""
    rng = random.Random(seed)
    nodes, edges = [], []
    for t in range(160):
        synonyms = [word(f"s{t}") + " sign"] if t % 3 == 0 else []
        nodes.append(node(f"T:{t:03d}", "phenotype", word(f"t{t}").capitalize(), synonyms, f"甲{chr(0x5000 + t)}乙"))
        if t >= 40:
            edges.append(edge(f"T:{t:03d}", "is_a", f"T:{t % 40:03d}"))
    for m, mode in enumerate(MODES):
        nodes.append(node(f"M:{m}", "inheritance", mode + " inheritance"))
    for g in range(60):
        # Some symbols were names of another gene once, as real ones are.
        nodes.append(node(f"G:{g:03d}", "gene", f"QX{g:03d}Z", [f"QX{g + 1:03d}Z"] if g % 20 == 7 else []))
    for d in range(num_diseases):
        name = f"{word(f'd{d}').capitalize()} syndrome"
        nodes.append(node(f"D:{d:03d}", "disease", name, (), f"丙{chr(0x6000 + d)}丁病"))
        cluster = [(d // 8 * 7 + i) % 160 for i in range(18)]
        for t in sorted(rng.sample(cluster, 10)):
            low, high = rng.choice([(0.8, 0.99), (0.9, 1.0), (0.3, 0.79), (0.05, 0.29)])
            edges.append(edge(f"D:{d:03d}", "has_phenotype", f"T:{t:03d}", low, high))
        for t in rng.sample(cluster, 2):
            if not any(e.subject == f"D:{d:03d}" and e.object == f"T:{t:03d}" for e in edges):
                edges.append(edge(f"D:{d:03d}", "has_phenotype", f"T:{t:03d}", negated=True))
        edges.append(edge(f"D:{d:03d}", "caused_by", f"G:{d % 60:03d}"))
        edges.append(edge(f"D:{d:03d}", "inherited_as", f"M:{rng.randrange(4)}"))
        # Most databases put the symbol of the gene before the change, which tells what could have been masked.
        nodes.append(node(f"V:{d:03d}", "variant", f"QX{d % 60:03d}Z p.Xaa{d}Yaa" if d % 3 else f"p.Xaa{d}Yaa"))
        edges += [edge(f"G:{d % 60:03d}", "has_variant", f"V:{d:03d}"), edge(f"D:{d:03d}", "has_variant", f"V:{d:03d}")]
    for k in range(20):
        nodes.append(node(f"A:{k:02d}", "mechanism", f"{word(f'm{k}')} blocker", (), f"戊{chr(0x7000 + k)}己"))
    for x in range(num_drugs):
        nodes.append(node(f"X:{x:03d}", "drug", word(f"x{x}", 3), (), f"庚{chr(0x8000 + x)}辛"))
        edges.append(edge(f"X:{x:03d}", "has_mechanism", f"A:{x % 20:02d}"))
        edges.append(edge(f"G:{x:03d}", "has_gene_drug_guideline", f"X:{x:03d}"))
        if x % 5 == 0:
            edges.append(edge(f"X:{x:03d}", "has_mechanism", f"A:{(x // 12 + 3 * x) % 20:02d}"))
        for other in rng.sample(range(num_drugs), 4):
            if other > x:
                edges.append(edge(f"X:{x:03d}", "interacts_with", f"X:{other:03d}"))
    unique = {(e.subject, e.relation, e.object): e for e in edges}
    return nodes, list(unique.values())


def graph(**options):
    return in_memory(*parts(**options))


def write(folder, **options):
    nodes, edges = parts(**options)
    write_graph(folder, nodes, edges, {"sources": [{"name": "invented", "licence": "CC0"}]})
    return folder
