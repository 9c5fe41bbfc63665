"""The real graph from the pinned wheels (about 35 s of one core)."""

import resource
import time

import numpy as np
import pytest

from fleming_nemo.rods.kg.build import build, packaged
from fleming_nemo.rods.kg.table import KnowledgeGraph

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kg(tmp_path_factory) -> KnowledgeGraph:
    folder = tmp_path_factory.mktemp("real")
    inputs = packaged()
    started = time.process_time()
    build(folder, inputs)
    assert time.process_time() - started < 180
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6 << 20, "KiB"
    return KnowledgeGraph.load(folder)


def test_size(kg):
    assert len(kg) > 180_000 and kg.num_edges > 500_000
    assert {"disease": 23_364, "gene": 43_838, "variant": 82_581}.items() <= kg.manifest["nodes_by_type"].items()
    assert kg.manifest["joins"]["hpo"]["OMIM"] + kg.manifest["joins"]["hpo"]["ORPHA"] > 12_300


def test_wolfram_syndrome_2(kg):
    disease = kg.index["MONDO:0011502"]
    assert {kg.names[g] for g in kg.outgoing("caused_by").neighbours(disease)} == {"CISD2"}
    denied = kg.outgoing("has_phenotype", negated=True)
    assert "HP:0000873" in [kg.ids[f] for f in denied.neighbours(disease)], "diabetes insipidus 0/16"
    group = kg.index["MONDO:0018105"]
    assert {kg.names[g] for g in kg.outgoing("caused_by").neighbours(group)} == {"CISD2", "WFS1"}


def test_known_drugs(kg):
    aspirin = kg.node(kg.index["DRUGBANK:DB00945"])
    assert "RXNORM:1191" in aspirin.identifiers and aspirin.name_zh == "乙酰水杨酸"
    names = {kg.names[m] for m in kg.outgoing("has_mechanism").neighbours(kg.index[aspirin.id])}
    assert "cyclooxygenase 1 inhibitor" in names


def test_hierarchies_end(kg):
    for relation in ("is_a", "subtype_of"):
        rows = kg.outgoing(relation)
        waiting = rows.degrees().copy()
        leaves = list(np.flatnonzero(waiting == 0))
        down = kg.incoming(relation)
        seen = 0
        while leaves:
            seen += 1
            for child in down.neighbours(leaves.pop()):
                waiting[child] -= 1
                if waiting[child] == 0:
                    leaves.append(child)
        assert seen == len(kg), relation


def test_no_gene_called_dash(kg):
    assert not [kg.ids[g] for g in kg.of_type("gene") if kg.names[g] == "-"]
