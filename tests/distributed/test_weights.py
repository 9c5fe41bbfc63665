"""Hugging Face folders under every layout: the same bytes, in the memory of one shard and one tensor.

Not covered: several nodes, NCCL, a file system that shows one rank's files late to another.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import plain_qwen
import pytest
import tiny
import torch
import weights_work as work
from harness import Case, Harness, value
from safetensors.torch import load_file, save_file

from fleming_nemo.config.presets import ARCHS
from fleming_nemo.data import files
from fleming_nemo.model import hf, hf_config
from fleming_nemo.training import checkpoint, export

SIZES: dict[str, dict[str, Any]] = {
    "tp2": {"tp": 2},
    "pp2": {"pp": 2},
    "dp2": {},
    "cp2": {"cp": 2},
    "pp2+vp2": {"pp": 2, "vp": 2},
    "tp2 pp2": {"tp": 2, "pp": 2},
}
ROUND_TRIPS = {
    "tp2": ("qwen2.5-tiny", "qwen3-tiny", "llama-tiny"),
    "pp2": ("qwen3-tiny", "nano"),  # nano's tied embedding lies on both stages
    "pp2+vp2": ("qwen2.5-tiny",),
    "dp2": ("qwen2.5-tiny",),
    "cp2": ("qwen2.5-tiny",),
}
ROUND_TRIPS_OF_FOUR = {"tp2 pp2": ("qwen2.5-tiny", "nano")}
ODD = replace(ARCHS["qwen2.5-tiny"], vocab_size=1021)
"""A vocabulary that two ranks cannot share equally."""
PROMPT = list(range(3, 40))


def config(arch: str, layout: str):
    return tiny.config(arch, **SIZES[layout])


@pytest.fixture(scope="module")
def source(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by architecture, and "odd"."""
    odd = tmp_path_factory.mktemp("odd")
    state = load_file(weights["qwen2.5-tiny"] / "model.safetensors")
    cut = {key: t[: ODD.vocab_size] if len(t) == ARCHS["qwen2.5-tiny"].vocab_size else t for key, t in state.items()}
    save_file({key: t.contiguous() for key, t in cut.items()}, odd / "model.safetensors")
    files.write_json(odd / "config.json", hf_config.config_json(ODD, "float32"))
    return {"llama-tiny": tiny.save_random("llama-tiny", tmp_path_factory.mktemp("llama")), "odd": odd} | weights


@pytest.fixture(scope="module")
def run(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process with a checkpoint of step 2, and what one process exports of it in `one`."""
    folder = tmp_path_factory.mktemp("run")
    cfg = tiny.config("nano")
    engine = tiny.engine(cfg, weights["nano"])
    tiny.train(engine, "sft", range(2))
    checkpoint.save(engine, folder, 2, {}, keep=1)
    export.write(cfg, folder, 2, folder / "one")
    return folder


@pytest.fixture(scope="module")
def outs(source: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where everything is exported to; holds one folder to begin with, `changed`, which has one wrong weight."""
    folder = tmp_path_factory.mktemp("outs")
    shutil.copytree(source["qwen3-tiny"], folder / "changed")
    state = load_file(folder / "changed" / "model.safetensors")
    state["model.layers.3.mlp.down_proj.weight"][-1, -1] += 1  # on the last rank of either kind
    save_file(state, folder / "changed" / "model.safetensors")
    return folder


def jobs_of(layout: str, archs: tuple[str, ...], source: dict[str, Path], run: Path, outs: Path) -> list[Any]:
    """What is done under a layout, in one set of process groups."""
    jobs: list[Any] = [
        (arch, work.reexport, (config(arch, layout), source[arch], outs / f"{arch} {layout}")) for arch in archs
    ]
    if layout in ("tp2", "pp2", "tp2 pp2"):
        cfg = config("qwen3-tiny", layout)
        jobs.append(("difference", work.difference, (cfg, source["qwen3-tiny"], outs / "changed")))
        jobs.append(("logits", work.logits, (cfg, source["qwen3-tiny"], PROMPT)))
        jobs.append(("run", work.export_run, (config("nano", layout), run, outs / layout)))
    return jobs


@pytest.fixture(scope="module")
def results(harness: Harness, source: dict[str, Path], run: Path, outs: Path) -> dict[str, Any]:
    jobs = {layout: jobs_of(layout, archs, source, run, outs) for layout, archs in ROUND_TRIPS.items()}
    odd = config("qwen2.5-tiny", "tp2")
    jobs["tp2"] += [
        ("odd", work.reexport, (odd, source["odd"], outs / "odd", ODD)),
        ("padding", work.padding, (odd, source["odd"], ODD)),
    ]
    jobs["pp2"].append(("flip", work.export_run, (config("nano", "pp2"), run, outs / "flip", "flip")))
    harness.run([Case(f"weights {layout}", work.several, (of,)) for layout, of in jobs.items()])
    return harness.results


@pytest.fixture(scope="module")
def results_of_four(harness: Harness, source: dict[str, Path], run: Path, outs: Path, results: dict[str, Any]):
    """And what needs processes of its own; `results` first, as one case goes on with what a case there wrote."""
    (layout,) = ROUND_TRIPS_OF_FOUR
    jobs = jobs_of(layout, ROUND_TRIPS_OF_FOUR[layout], source, run, outs)
    jobs.append(("full", work.export_run, (config("nano", layout), run, outs / "full", "full")))
    then = (config("qwen3-tiny", "pp2"), outs / "qwen3-tiny tp2", outs / "tp2 then pp2")
    killed = (config("nano", "tp2"), run, outs / "killed", "killed")
    again = (config("nano", "pp2"), run, outs / "killed")
    harness.run(
        [
            Case(f"weights {layout}", work.several, (jobs,), 4),
            Case("killed", work.export_run, killed, killed=True),
            Case(
                "again",
                work.several,
                ([("export", work.export_after_kill, again), ("then", work.reexport, then)],),
                after="killed",
            ),
        ]
    )
    return harness.results


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}


def assert_same(one: Path, other: Path) -> None:
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    assert all(a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]) for key in a)


def nothing_of(out: Path) -> bool:
    return not out.exists() and not out.with_name(f".{out.name}.tmp").exists()


def check_round_trips(layout: str, archs: tuple[str, ...], source: dict[str, Path], outs: Path) -> None:
    for arch in archs:
        out = outs / f"{arch} {layout}"
        assert len(list(out.glob("*.safetensors"))) > 2
        assert_same(source[arch], out)


def check_memory(arch: str, layout: str, source: dict[str, Path], ranks: list[dict[str, int]]) -> None:
    """While writing, the first tensor-parallel rank may also hold another rank's cut of that tensor, on its way in."""
    sizes = [tensor.nbytes for tensor in tensors(source[arch]).values()]
    most = max(sizes) * (2 - 1 / SIZES[layout].get("tp", 1))
    assert most < sum(sizes) / len(ranks), "a second copy of a rank's part would go unnoticed"
    for rank in ranks:
        assert rank["loading"] <= max(sizes) and rank["saving"] <= most


def check_run(layout: str, run: Path, outs: Path, told: list[str | None]) -> None:
    assert set(told) == {None}
    out = outs / layout
    assert_same(run / "one", out)
    one, other = (files.read_json(folder / "export.json") for folder in (run / "one", out))
    assert one["prompt"]["tokens"] == other["prompt"]["tokens"]
    for a, b in zip(one["prompt"]["best_next"], other["prompt"]["best_next"], strict=True):
        assert (a["token"], a["text"]) == (b["token"], b["text"]) and a["logit"] == pytest.approx(b["logit"], abs=1e-4)
    assert hf.open_checked(out, ARCHS["nano"]).entries


def check_difference(found: list[str | None]) -> None:
    assert found[-1] == "model.layers.3.mlp.down_proj.weight on disk is not what the model holds"
    assert set(found[:-1]) == {None}


def check_logits(source: dict[str, Path], found: torch.Tensor) -> None:
    state = load_file(source["qwen3-tiny"] / "model.safetensors")
    expected = plain_qwen.forward(state, ARCHS["qwen3-tiny"], torch.tensor([PROMPT]))[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", ROUND_TRIPS)
def test_import_and_export_give_back_every_bit(
    layout: str, source: dict[str, Path], outs: Path, results: dict[str, Any]
) -> None:
    value(results, f"weights {layout}")
    check_round_trips(layout, ROUND_TRIPS[layout], source, outs)


@pytest.mark.parametrize("layout", ROUND_TRIPS)
def test_no_rank_holds_more_than_its_part_and_one_tensor(
    layout: str, source: dict[str, Path], results: dict[str, Any]
) -> None:
    for arch in ROUND_TRIPS[layout]:
        check_memory(arch, layout, source, value(results, f"weights {layout}")[arch])


def test_a_vocabulary_that_does_not_divide(source: dict[str, Path], outs: Path, results: dict[str, Any]) -> None:
    assert value(results, "weights tp2")["padding"] == [[0.0, 0.0], [0.0, 0.0]]
    assert_same(source["odd"], outs / "odd")


@pytest.mark.parametrize("layout", ["tp2", "pp2"])
def test_logits(layout: str, source: dict[str, Path], results: dict[str, Any]) -> None:
    """What an export compares is the model's answer, on the ranks that have it."""
    check_logits(source, value(results, f"weights {layout}")["logits"])


@pytest.mark.parametrize("layout", ["tp2", "pp2"])
def test_the_rank_that_holds_a_changed_weight_says_so(layout: str, results: dict[str, Any]) -> None:
    check_difference(value(results, f"weights {layout}")["difference"])


@pytest.mark.parametrize("layout", ["tp2", "pp2"])
def test_a_checkpoint_of_one_process_is_exported_under_any_layout(
    layout: str, run: Path, outs: Path, results: dict[str, Any]
) -> None:
    check_run(layout, run, outs, value(results, f"weights {layout}")["run"])


def test_a_bit_that_flips_on_disk_is_found(outs: Path, results: dict[str, Any]) -> None:
    told = value(results, "weights pp2")["flip"]
    assert len(set(told)) == 1 and "the export is damaged" in told[0] and "is not what the model holds" in told[0]
    assert nothing_of(outs / "flip")


@pytest.mark.slow
def test_four_ranks(source: dict[str, Path], run: Path, outs: Path, results_of_four: dict[str, Any]) -> None:
    """All of the above where a tensor is cut and the layers are, too."""
    (layout,) = ROUND_TRIPS_OF_FOUR
    done = value(results_of_four, f"weights {layout}")
    check_round_trips(layout, ROUND_TRIPS_OF_FOUR[layout], source, outs)
    check_memory("nano", layout, source, done["nano"])
    check_difference(done["difference"])
    check_logits(source, done["logits"])
    check_run(layout, run, outs, done["run"])


@pytest.mark.slow
def test_a_disk_that_is_full_for_one_rank_stops_all(outs: Path, results_of_four: dict[str, Any]) -> None:
    told = value(results_of_four, "weights tp2 pp2")["full"]
    assert len(told) == 4 and all("No space left on device" in text and "make room" in text for text in told)
    assert nothing_of(outs / "full")


@pytest.mark.slow
def test_a_kill_leaves_nothing_of_the_name_and_the_next_export_takes_the_rest_away(
    run: Path, outs: Path, results_of_four: dict[str, Any]
) -> None:
    assert value(results_of_four, "again")["export"] == [None, None]
    assert_same(run / "one", outs / "killed")
    assert not (outs / ".killed.tmp").exists()


@pytest.mark.slow
def test_import_at_one_layout_and_export_at_another(
    source: dict[str, Path], outs: Path, results_of_four: dict[str, Any]
) -> None:
    value(results_of_four, "again")
    assert_same(source["qwen3-tiny"], outs / "tp2 then pp2")
