"""A Megatron export is the same whatever layout wrote it, and loads into megatron-core's own network under any."""

from pathlib import Path
from typing import Any

import megatron_work as work
import pytest
import tiny
import torch
import yaml
from harness import Case, Harness, value

from fleming_nemo.training import checkpoint, export

from megatron.core import dist_checkpointing  # isort: skip

SIZES: dict[str, dict[str, Any]] = {"one": {}, "tp2": {"tp": 2}, "pp2": {"pp": 2}}
TWO = ("tp2", "pp2")
ARCHITECTURES = ("qwen2.5-tiny", "qwen3-tiny")
ITERATION = "iter_0000002"


@pytest.fixture(scope="module")
def runs(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run directories of one process with a checkpoint of step 2, and in each `one`, exported by one process."""
    folders = {}
    for arch in ARCHITECTURES:
        folders[arch] = folder = tmp_path_factory.mktemp(arch)
        cfg = tiny.config(arch)
        engine = tiny.engine(cfg, weights[arch])
        tiny.train(engine, "sft", range(2))
        checkpoint.save(engine, folder, 2, {}, keep=1)
        export.write(cfg, folder, 2, folder / "one", form=export.MEGATRON)
    return folders


@pytest.fixture(scope="module")
def results(harness: Harness, runs: dict[str, Path]) -> dict[str, Any]:
    cases = []
    for arch, folder in runs.items():
        for layout in TWO:
            cfg = tiny.config(arch, **SIZES[layout])
            cases.append(Case(f"write {arch} {layout}", work.write, (cfg, folder, folder / layout)))
            written = folder / "one" / ITERATION
            cases.append(Case(f"load {arch} {layout}", work.load, (cfg, folder, written)))
    harness.run(cases)
    return harness.results


def tensors(iteration: Path) -> dict[str, torch.Tensor]:
    """Without the step and the version, which are loaded too."""
    loaded = dist_checkpointing.load_plain_tensors(str(iteration))
    return {name: loaded[name] for name in dist_checkpointing.load_tensors_metadata(str(iteration))}


@pytest.mark.parametrize("layout", TWO)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_layout_writes_the_same_tensors(arch: str, layout: str, runs: Any, results: Any) -> None:
    value(results, f"write {arch} {layout}")
    one, other = (tensors(runs[arch] / name / ITERATION) for name in ("one", layout))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("layout", TWO)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_config_names_the_layout(arch: str, layout: str, runs: Any, results: Any) -> None:
    """Megatron-Bridge's trainer reads it before it loads, and stops where a field is missing."""
    value(results, f"write {arch} {layout}")
    read = yaml.safe_load((runs[arch] / layout / ITERATION / "run_config.yaml").read_text())
    sizes = SIZES[layout]
    assert [read["model"][name] for name in work.OF_THE_LAYOUT] == [sizes.get("tp", 1), sizes.get("pp", 1)]
    assert read["checkpoint"] == {"save_optim": False, "save_rng": False, "fully_parallel_save": False}


@pytest.mark.parametrize("layout", TWO)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_one_process_wrote_loads_under_any_layout(arch: str, layout: str, results: Any) -> None:
    counts = value(results, f"load {arch} {layout}")
    assert len(counts) == 2 and min(counts) > 10
