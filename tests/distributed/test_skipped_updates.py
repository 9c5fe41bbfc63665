"""Updates that are not taken, under several ranks of which one alone has the bad gradient."""

import math
from pathlib import Path
from typing import Any

import guard_work
import pytest
import tiny
from harness import Case, Harness, value

LAYOUTS: dict[str, dict[str, Any]] = {
    "dp2 overlapping": {"overlap": True},
    "tp2": {"tp": 2, "sequence_parallel": True},
    "pp2": {"pp": 2},
}


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cases = []
    for name, layout in LAYOUTS.items():
        cfg = tiny.config(**layout)
        cfg.optim.skip_spikes = 20.0
        run_dir = tmp_path_factory.mktemp("guards")
        skipping = f"skipping {name}"
        cases.append(Case(skipping, guard_work.skip_and_go_on, (cfg, weights["qwen2.5-tiny"], run_dir)))
        cases.append(Case(f"resumed {name}", guard_work.go_on, (cfg, run_dir), after=skipping))
    harness.run(cases)
    return harness.results


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_ranks_skip_what_one_of_them_got_wrong(layout: str, results: dict[str, Any]) -> None:
    got = value(results, f"skipping {layout}")
    assert got["unchanged"]
    assert [row["skipped"] for row in got["poisoned"] + got["after"]] == [1, 1, 1, 0, 0]
    norms = [row["grad_norm"] for row in got["poisoned"]]
    assert math.isnan(norms[0]) and 100 < norms[1] < math.inf
    assert all(state == got["guards"][0] for state in got["guards"])
    assert got["guards"][0]["judged"] == 7


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_resumed_run_skips_the_same(layout: str, results: dict[str, Any]) -> None:
    unbroken, resumed = value(results, f"skipping {layout}"), value(results, f"resumed {layout}")
    assert resumed == {key: unbroken[key] for key in resumed}
