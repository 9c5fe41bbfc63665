"""Counts that describe a graph and a universe, for people and for the data card."""

from typing import Any

from fleming_nemo.rods.graph import Graph
from fleming_nemo.rods.universe import Universe


def graph_facts(graph: Graph) -> dict[str, Any]:
    """Release and sizes of the whole graph."""
    diseases = graph.diseases.values()
    prefixes = sorted({disease.id.split(":")[0] for disease in diseases})
    return {
        "release": graph.version,
        "terms": len(graph.terms),
        "disease_records": len(graph.diseases),
        "records_by_database": {p: sum(d.id.startswith(p + ":") for d in diseases) for p in prefixes},
        "disease_phenotype_edges": sum(len(d.findings) for d in diseases),
        "explicit_negatives": sum(len(d.negatives) for d in diseases),
        "disease_gene_edges": sum(len(d.genes) for d in diseases),
        "genes": len(graph.diseases_of_gene),
        "genes_with_two_diseases_or_more": sum(len(d) >= 2 for d in graph.diseases_of_gene.values()),
        "one_mendelian_mode": sum(len(d.modes) == 1 and d.modes <= graph.mendelian_modes for d in diseases),
    }


def universe_facts(graph: Graph, universe: Universe) -> dict[str, Any]:
    """Release, sizes and the diseases themselves with their visible profiles by name."""
    return {
        "release": universe.graph_version,
        "diseases": len(universe.diseases),
        "genes": len(universe.by_gene),
        "findings": len(universe.findings),
        "profiles": [
            {
                "id": disease.id,
                "name": disease.name,
                "gene": disease.gene,
                "mode": disease.mode,
                "findings": {term_id: graph.terms[term_id].name for term_id in disease.profile},
            }
            for disease in universe.diseases
        ],
    }
