"""The invented graph and a few hundred questions of it, made once a session."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invented_graph
from refuter import Judge

from fleming_nemo.rods.synth.shards import Settings, build


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return invented_graph.write(tmp_path_factory.mktemp("kg"))


@pytest.fixture(scope="session")
def corpus(folder, tmp_path_factory):
    """(folder with the corpus, funnel)."""
    out = tmp_path_factory.mktemp("rods")
    return out, build(Settings(str(folder), 1200, shard_size=100, chinese=0.3), out)


@pytest.fixture(scope="session")
def rows(corpus):
    files = sorted(corpus[0].glob("items_*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").split("\n") if line]


@pytest.fixture(scope="session")
def judge(folder):
    return Judge(folder)
