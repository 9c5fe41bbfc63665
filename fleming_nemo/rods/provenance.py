"""What an item tells about its own making: release, licence, path, masked nodes, distractor moves."""

from typing import Any

from fleming_nemo.rods.distractors import Option, almost_fits
from fleming_nemo.rods.evidence import Evidence, stable_hash
from fleming_nemo.rods.graph import Graph

DATASET = "Human Phenotype Ontology"
LICENCE = "HPO licence (https://hpo.jax.org/app/license); OMIM names and ids as distributed in HPO"
FAMILIES = {
    "easy": "findings-disease",
    "moderate": "findings-disease-gene",
    "difficult": "findings-disease-gene-disease",
}


def kg_provenance(
    graph: Graph, version: str, tier: str, evidence: Evidence, answer: Option, wrong: list[Option]
) -> dict[str, Any]:
    """Provenance of source "kg".

    `edges` lead from the findings to the answer, `masked` are the nodes on the way that the question does not name,
    and each of `distractors` says through which near-miss disease (`via`) the option would be the answer.
    """
    disease, gene = graph.diseases[evidence.disease_id], answer.gene
    edges = [_phenotype_edge(graph, disease.id, term_id) for term_id in evidence.findings]
    names = {term_id: graph.terms[term_id].name for term_id in evidence.findings} | {disease.id: disease.name}
    masked: list[str] = []
    if tier != "easy":
        edges.append({"from": disease.id, "relation": "caused_by", "to": gene})
        names[gene] = gene
        masked.append(disease.id)
    if tier == "difficult":
        edges.append({"from": answer.node, "relation": "caused_by", "to": gene})
        names[answer.node] = answer.text
        masked.append(gene)
    return {
        "dataset": DATASET,
        "revision": version,
        "graph_version": version,
        "licence": LICENCE,
        "family": FAMILIES[tier],
        "subgraph": f"{stable_hash('subgraph', tier, *evidence.findings, answer.node):016x}",
        "edges": edges,
        "nodes": names,
        "masked": masked,
        "answer_node": answer.node,
        "distractors": [_move(graph, evidence, option) for option in wrong],
    }


def _phenotype_edge(graph: Graph, disease_id: str, term_id: str) -> dict[str, Any]:
    edge = graph.diseases[disease_id].findings[term_id]
    return {
        "from": disease_id,
        "relation": "has_phenotype",
        "to": term_id,
        "frequency": edge.frequency.text if edge.frequency else None,
        "references": list(edge.references),
        "evidence": list(edge.evidence),
    }


def _move(graph: Graph, evidence: Evidence, option: Option) -> dict[str, Any]:
    miss, shared = almost_fits(graph, option, evidence.findings)
    return {
        "option": option.text,
        "node": option.node,
        "move": f"disease with {len(shared)} of {len(evidence.findings)} findings",
        "via": miss.id,
        "shared": list(shared),
        "missing": [t for t in evidence.findings if t not in shared],
    }
