"""Checkpoints between processes: the same layout goes on bit by bit, another one within fp32's noise."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import checkpoint_work
import pytest
import tiny
import work
from harness import Case, Harness, value

SIZES: dict[str, dict[str, Any]] = {
    "one": {},
    "tp2": {"tp": 2},
    "dp2": {},
    "pp2": {"pp": 2},
    "cp2": {"cp": 2},
    "pp2 vp2": {"pp": 2, "vp": 2},
    "tp2 pp2": {"tp": 2, "pp": 2},
}
WORLD = {"one": 1, "tp2 pp2": 4}
"""Processes where not two."""
SAME = ("tp2", "dp2", "pp2", "pp2 vp2")
OTHER = (
    ("tp2", "dp2"),
    ("dp2", "tp2"),
    ("pp2", "dp2"),
    ("tp2", "pp2"),
    ("dp2", "cp2"),
    ("pp2 vp2", "tp2"),
)
SLOW = (("one", "tp2 pp2"), ("tp2 pp2", "one"), ("pp2 vp2", "one"), ("tp2", "pp2 vp2"), ("tp2 pp2", "pp2 vp2"))
ARCH = {"tp2": "qwen3-tiny", "pp2": "nano", "pp2 vp2": "nano"}
"""Architecture of the checkpoint that a layout saves where not qwen2.5-tiny; nano's tied embedding lies on both
pipeline stages."""


Add = Callable[..., None]


def adder(cases: list[Case]) -> Add:
    def add(name: str, function: Any, layout: str, arch: str, *arguments: Any, after: str | None = None) -> None:
        cfg = tiny.config(arch, **SIZES[layout])
        cases.append(Case(name, function, (cfg, *arguments), world=WORLD.get(layout, 2), after=after))

    return add


def add_resharding(
    add: Add, pairs: Iterable[tuple[str, str]], weights: dict[str, Path], folder: Path, tag: str
) -> None:
    """Each layout of the first ones saves once."""
    for source, target in pairs:
        arch, run_dir, save = ARCH.get(source, "qwen2.5-tiny"), folder / source, f"save {source}{tag}"
        if not run_dir.exists():
            run_dir.mkdir()
            add(save, work.save_midway, source, arch, weights[arch], run_dir)
        add(f"{source} to {target}{tag}", work.go_on, target, arch, run_dir, after=save)


@pytest.fixture(scope="module")
def results(harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    cases: list[Case] = []
    add = adder(cases)
    folder = tmp_path_factory.mktemp("runs")
    add_resharding(add, [*((layout, layout) for layout in SAME), *OTHER], weights, folder, "")
    add("weights", work.start_from, "dp2", "nano", folder / "pp2", after="save pp2")

    arch = "qwen2.5-tiny"
    for name in ("one rank", "damaged"):
        add(f"save {name}", checkpoint_work.save_two, "dp2", arch, weights[arch], folder / name)
    add(
        "one rank",
        checkpoint_work.resume_where_one_rank_cannot_read,
        "tp2",
        arch,
        folder / "one rank",
        after="save one rank",
    )
    add("beside", checkpoint_work.save_while_training, "dp2", arch, weights[arch], folder / "beside")
    for name in ("background", "waiting"):
        add(name, checkpoint_work.resumed_from, "dp2", arch, folder / "beside" / name, after="beside")
    for background in (False, True):
        run_dir = folder / f"full {background}"
        add(f"full {background}", checkpoint_work.fail_on_one_rank, "dp2", arch, weights[arch], run_dir, background)
    harness.run(cases)
    for step in (1, 2):
        os.truncate(folder / "damaged" / "checkpoints" / f"step_{step}" / "__1_0.distcp", 100)
    cases.clear()
    add("damaged", checkpoint_work.refused, "dp2", arch, folder / "damaged")
    harness.run(cases)
    return harness.results | {"folder": folder}


@pytest.mark.parametrize("layout", SAME)
def test_the_same_layout_goes_on_bit_by_bit(layout: str, results: dict[str, Any]) -> None:
    unbroken, resumed = value(results, f"save {layout}"), value(results, f"{layout} to {layout}")
    assert resumed["metrics"] == unbroken["metrics"]
    assert resumed["state"] == unbroken["state"]
    assert unbroken["metrics"][0]["loss"] != unbroken["metrics"][2]["loss"]


@pytest.fixture(scope="module")
def slow_results(
    harness: Harness, weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    cases: list[Case] = []
    add_resharding(adder(cases), SLOW, weights, tmp_path_factory.mktemp("slow"), " (slow)")
    harness.run(cases)
    return harness.results


@pytest.mark.parametrize(("source", "target"), OTHER)
def test_another_layout_goes_on_within_noise(source: str, target: str, results: dict[str, Any]) -> None:
    """Three steps: an optimizer whose moments or step count got lost would show from the first update on."""
    goes_on_within_noise(value(results, f"save {source}"), value(results, f"{source} to {target}"))


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), SLOW)
def test_four_processes_and_model_chunks(source: str, target: str, slow_results: dict[str, Any]) -> None:
    goes_on_within_noise(
        value(slow_results, f"save {source} (slow)"), value(slow_results, f"{source} to {target} (slow)")
    )


def goes_on_within_noise(unbroken: dict[str, Any], resumed: dict[str, Any]) -> None:
    for got, expected in zip(resumed["metrics"], unbroken["metrics"], strict=True):
        assert got == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_weights_alone_start_the_next_stage(results: dict[str, Any]) -> None:
    expected = value(results, "save pp2")["metrics"][0]["loss"]  # of the same samples, before the update
    assert value(results, "weights") == pytest.approx(expected, abs=1e-5)


def test_what_one_rank_cannot_read_is_no_checkpoint_for_any(results: dict[str, Any]) -> None:
    assert value(results, "one rank") == [{"step": 1}, {"step": 1}]
    names = sorted(p.name for p in (results["folder"] / "one rank" / "checkpoints").iterdir())
    assert names == ["latest", "step_1", "step_2.damaged"]


def test_all_ranks_refuse_what_is_damaged(results: dict[str, Any]) -> None:
    first, second = value(results, "damaged")
    assert first == second
    assert "step_2 is damaged: __1_0.distcp has 100 bytes" in first[0] and first[0].startswith("UserError")
    assert "is whole (step_2: __1_0.distcp has 100 bytes" in first[1] and first[1].startswith("UserError")


def test_training_goes_on_beside_a_save(results: dict[str, Any]) -> None:
    """What is written while two steps change the weights is what a save would have written that they wait for."""
    beside = value(results, "beside")
    assert beside["unfinished"][0], "no step was taken while it was written"
    first, second = (results["folder"] / "beside" / n / "checkpoints" / "step_3" for n in ("background", "waiting"))
    written = sorted(f.name for f in second.glob("*.distcp"))
    assert {name[:4] for name in written} == {"__0_", "__1_"}  # one file of a rank or two, as the version has it
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in written)
    assert value(results, "background") == value(results, "waiting") == beside["state"]


@pytest.mark.parametrize("background", [False, True])
def test_all_ranks_hear_of_one_that_cannot_write(background: bool, results: dict[str, Any]) -> None:
    said = value(results, f"full {background}")
    assert all("step 2 could not be written ([Errno 28] No space left on device)" in text for text in said)
