"""A small corpus of the invented graph of tests/rods/synth, made once a session."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "synth"))

import invented_graph

from fleming_nemo.rods.corpus.build import Wanted, build
from fleming_nemo.rods.synth.settings import Settings

ITEMS = 300


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return invented_graph.write(tmp_path_factory.mktemp("kg"))


@pytest.fixture(scope="session")
def settings(folder):
    return Settings(str(folder), ITEMS, shard_size=60, chinese=0.3)


@pytest.fixture(scope="session")
def built(settings, tmp_path_factory):
    """(folder with the corpus, its card)."""
    out = tmp_path_factory.mktemp("rods")
    return out, build(Wanted(settings), out)
