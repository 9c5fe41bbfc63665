"""Counted parameters against those of the real models, built on the meta device for every rank of a layout."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.planner import parameters

# arch, tp, pp, vp, cp.  nano and the llamas are tied: one table on a single stage, two on a pipeline.
QUICK = [
    ("qwen2.5-7b", 1, 1, 1, 1),
    ("qwen2.5-7b", 4, 2, 1, 1),
    ("qwen3-32b", 2, 4, 1, 1),
    ("nano", 2, 2, 2, 1),
    ("nano", 2, 1, 1, 1),
]
THOROUGH = [
    ("qwen2.5-7b", 2, 2, 7, 2),
    ("qwen3-32b", 8, 2, 4, 1),
    ("qwen3-32b", 4, 2, 2, 2),
    ("nano", 1, 1, 1, 1),
    ("llama-tiny", 1, 4, 1, 1),
    ("smollm2-135m", 3, 2, 3, 1),
]


def check(layouts):
    script = Path(__file__).with_name("meta_models.py")
    command = [sys.executable, "-W", "ignore", script, json.dumps(layouts)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    for (arch, tp, pp, vp, cp), ranks in zip(layouts, json.loads(done.stdout.splitlines()[-1]), strict=True):
        assert len(ranks) == tp * pp * cp
        for rank, counted in enumerate(ranks):
            stage = rank // (tp * cp)  # Megatron counts ranks tensor first, then context, then data, then pipeline
            chunks = [parameters.chunk(ARCHS[arch], tp, pp, vp, stage, number).total for number in range(vp)]
            assert chunks == counted, f"{arch}, tp {tp}, pp {pp}, vp {vp}, cp {cp}: rank {rank}"
            assert parameters.rank(ARCHS[arch], tp, pp, vp, stage).total == sum(counted)


def test_every_rank_of_the_real_models():
    check(QUICK)


@pytest.mark.slow
def test_every_rank_of_more_of_them():
    check(THOROUGH)


def test_whole_models_have_the_published_sizes():
    """Qwen's model cards: 7.61B and 32.8B parameters, 6.53B and 31.2B of them outside of the embeddings."""
    for arch, total, inner in (("qwen2.5-7b", 7.61e9, 6.53e9), ("qwen3-32b", 32.8e9, 31.2e9)):
        count = parameters.rank(ARCHS[arch], 1, 1, 1, 0)
        assert count.total == pytest.approx(total, rel=0.005)
        assert count.linear + count.small == pytest.approx(inner, rel=0.005)


def test_vocabulary_is_padded_to_equal_parts():
    for shape in ARCHS.values():
        for tp in (1, 2, 3, 4, 5, 7, 8):
            rows = shape.padded_vocab_size(tp)
            assert rows % tp == 0 and shape.vocab_size <= rows < shape.vocab_size + tp
