"""What it takes for a question to have one right answer.

`singles_out` proves, for an evidence set (the findings that a question shows): over *every* record of the release,
OMIM, Orphanet and DECIPHER alike, exactly one record has all the findings, each as annotated or through a descendant.
No twin, subtype or group entry of another database is excused. Everything the question asks next (the gene, another
disease of that gene) is then a function of that one record.

`refuted` proves that an option is wrong for that record.

Not proven: that no patient with another disease could show the findings. The graph is an open world (an annotation
that nobody has made is not an absent finding), and a record annotated only with a broader term than the finding
shown does not count as having it.
"""

from collections.abc import Iterable

from fleming_nemo.rods.graph import Graph


def singles_out(graph: Graph, evidence: Iterable[str], disease_id: str) -> bool:
    return graph.matches(evidence) == {disease_id}


def refuted(graph: Graph, evidence: Iterable[str], tier: str, option: str) -> bool:
    """Whether the option is wrong for every record that has all the findings.

    `option` is a disease id for tiers easy (which disease fits) and difficult (which other disease has its gene), a
    gene symbol for moderate (which gene explains the findings).
    """
    matches = graph.matches(evidence)
    if tier == "easy":
        return option not in matches
    if tier == "moderate":
        return matches.isdisjoint(graph.diseases_of_gene.get(option, frozenset()))
    genes = graph.diseases[option].genes
    return bool(genes) and all(genes.isdisjoint(graph.diseases[match].genes) for match in matches)
