"""Sampling under tensor parallelism equals sampling in one process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import work
from harness import Case, Failure, Harness

from fleming_nemo.rollout.types import Rollout

SIZES: dict[str, dict[str, Any]] = {
    "dp2": {},
    "tp2": {"tp": 2},
    "tp2+sp": {"tp": 2, "sequence_parallel": True},
}
ARCHITECTURES = ("qwen2.5-tiny", "qwen3-tiny")


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path]) -> dict[str, Any]:
    harness.run(
        [
            Case(f"sample {arch} {layout}", work.sample, (tiny.config(arch, **sizes), weights[arch]))
            for arch in ARCHITECTURES
            for layout, sizes in SIZES.items()
        ]
    )
    return harness.results


@pytest.fixture(scope="module", params=ARCHITECTURES)
def alone(request: pytest.FixtureRequest, weights: dict[str, Path]) -> tuple[str, list[Rollout], work.Metrics]:
    engine = tiny.engine(tiny.config(request.param), weights[request.param])
    return request.param, work.rollouts(engine), tiny.train(engine, "sft", range(1))


@pytest.mark.parametrize("layout", SIZES)
def test_layout(layout: str, results: dict[str, Any], alone: tuple[str, list[Rollout], work.Metrics]) -> None:
    arch, expected, metrics = alone
    found = results[f"sample {arch} {layout}"]
    if isinstance(found, Failure):
        pytest.fail(found.text, pytrace=False)
    assert {r.finished for r in expected} == {True, False}
    for got, want in zip(found[0], expected, strict=True):
        assert (got.tokens, got.finished) == (want.tokens, want.finished)
        np.testing.assert_allclose(got.logprobs, want.logprobs, atol=1e-5)
    assert found[1][0] == pytest.approx(metrics[0], rel=1e-5), "training after rollouts"
