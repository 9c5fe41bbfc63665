"""Synthetic questions over an invented graph, as data_prep/build_rods.py makes them, and good chains for them."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "rods" / "synth"))
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "data_prep"))

import invented_graph
from planted import good

from fleming_nemo.data.items import read_items
from fleming_nemo.rods.synth.shards import Settings, build


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """File of a few hundred synthetic questions, a third of them Chinese."""
    out = tmp_path_factory.mktemp("rods")
    kg = invented_graph.write(tmp_path_factory.mktemp("kg"))
    build(Settings(str(kg), 240, shard_size=120, chinese=0.4), out)
    return out / "items_sft.jsonl"


@pytest.fixture(scope="session")
def items(corpus):
    return read_items(corpus)


@pytest.fixture(scope="session")
def chains(items):
    rng = random.Random(1)
    return [good(item, rng) for item in items]
