"""A run's checkpoint as a Hugging Face folder, on one process: all of it, or nothing of its name.

Several processes, a flipped bit and a kill are in tests/distributed/test_weights.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import to_yaml
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.tokenizer import NANO_DIR, ChatTokenizer
from fleming_nemo.model import hf, hf_files
from fleming_nemo.training import checkpoint, export, export_check

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(scope="module")
def run(weights: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with checkpoints of steps 1 and 3, in bf16, and the weights of each beside it."""
    folder = tmp_path_factory.mktemp("run")
    cfg = config()
    (folder / "config.yaml").write_text(to_yaml(cfg))
    engine = tiny.engine(cfg, weights["qwen3-tiny"])
    for step in (1, 3):
        tiny.train(engine, "sft", range(step))
        checkpoint.save(engine, folder, step, {}, keep=2)
        hf.save(engine.networks, folder / f"weights_{step}", engine.shape)
    return folder


def config() -> RunConfig:
    cfg = tiny.config("qwen3-tiny", precision="bf16")
    cfg.data.system_prompt = "Think first."
    return cfg


def write(run: Path, out: Path, step: int = 3, max_shard_bytes: int = 100_000) -> None:
    export.write(config(), run, step, out, max_shard_bytes)


def nothing_in(folder: Path) -> bool:
    return list(folder.iterdir()) == []


@pytest.mark.parametrize("step", [1, 3])
def test_the_folder_is_whole(step: int, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()  # an empty one is as good as none
    write(run, out, step)
    shards = sorted(file.name for file in out.glob("model-*.safetensors"))
    others = ["config.json", "export.json", "generation_config.json", hf_files.INDEX]
    assert sorted(file.name for file in out.iterdir()) == sorted(
        [*shards, *others, "tokenizer.json", "tokenizer_config.json"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    expected = load_file(run / f"weights_{step}" / "model.safetensors")
    found = {key: tensor for name in shards for key, tensor in load_file(out / name).items()}
    assert expected.keys() == found.keys()
    assert all(found[key].dtype == torch.bfloat16 and torch.equal(expected[key], found[key]) for key in found)
    assert (out / "tokenizer.json").read_bytes() == (NANO_DIR / "tokenizer.json").read_bytes()
    assert "Think first." in files.read_json(out / "tokenizer_config.json")["chat_template"]
    record = files.read_json(out / "export.json")
    assert (record["run"], record["step"], record["layout"]) == (run.name, step, {"tp": 1, "pp": 1, "cp": 1, "dp": 1})
    assert record["files"] == {file.name: file.stat().st_size for file in out.iterdir() if file.name != "export.json"}


def test_the_fixed_prompt_can_be_asked_again(run: Path, tmp_path: Path) -> None:
    write(run, tmp_path / "out")
    asked = files.read_json(tmp_path / "out" / "export.json")["prompt"]
    network = tiny.engine(config(), tmp_path / "out").network
    logits_TV = export_check.last_stage_logits([network], asked["tokens"])
    assert logits_TV is not None
    values, ids = logits_TV[-1, : ChatTokenizer(NANO_DIR).size].float().topk(len(asked["best_next"]))
    assert [(row["token"], row["logit"]) for row in asked["best_next"]] == list(
        zip(ids.tolist(), values.tolist(), strict=True)
    )


def test_weights_that_load_differently_are_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bit on disk is right, but the importer makes another model of it."""
    real = hf.load

    def forgets_a_norm(networks: list[Any], folder: Path, shape: Any) -> None:
        real(networks, folder, shape)
        torch.nn.init.ones_(networks[0].decoder.final_layernorm.weight)

    monkeypatch.setattr(hf, "load", forgets_a_norm)
    with pytest.raises(UserError, match="other logits"):
        write(run, tmp_path / "out")
    assert nothing_in(tmp_path)


def test_weights_that_are_not_finite_are_refused(
    weights: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny.engine(config(), weights["qwen3-tiny"])
    tiny.train(engine, "sft", range(1))
    engine.network.decoder.final_layernorm.weight.detach()[3] = torch.nan
    checkpoint.save(engine, tmp_path / "run", 3, {}, keep=1)
    with pytest.raises(UserError, match="not finite; export an earlier step"):
        write(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("moment", ["weights", "index", "tokenizer", "record", "rename"])
def test_an_error_while_writing_leaves_nothing(
    moment: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    target = {
        "weights": (hf_files.ShardWriter, "_append"),
        "index": (files, "write_json"),
        "tokenizer": (shutil, "copyfile"),
        "record": (export, "versions"),
        "rename": (export.os, "replace"),
    }[moment]
    monkeypatch.setattr(*target, full)
    with pytest.raises(UserError, match="No space left on device.*make room, or give another folder"):
        write(run, tmp_path / "out")
    assert nothing_in(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of half a megabyte; the model takes 1.1 in bf16."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(run: Path, small_disk: Path) -> None:
    with pytest.raises(UserError, match=r"the export needs \d+ MB and .* has 0 MB free"):
        write(run, small_disk / "out")
    assert nothing_in(small_disk)


def test_a_disk_that_others_fill(run: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own refusal in the middle of a file, as if the room had been there at first."""
    monkeypatch.setattr(export.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40))
    with pytest.raises(UserError, match="No space left on device"):
        write(run, small_disk / "out")
    assert nothing_in(small_disk)


class TestRefusalsBeforeTheModelIsBuilt:
    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="cannot read the config"):
            export.export(tmp_path / "none")

    def test_no_checkpoint(self, run: Path, tmp_path: Path) -> None:
        shutil.copy(run / "config.yaml", tmp_path)
        with pytest.raises(UserError, match="has no checkpoint to export; run it first"):
            export.export(tmp_path)

    def test_a_step_that_is_not_there(self, run: Path) -> None:
        with pytest.raises(UserError, match="has no checkpoint of step 2; it has 1, 3"):
            export.export(run, step=2)

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_a_place_that_is_taken(self, kind: str, run: Path, tmp_path: Path) -> None:
        taken = tmp_path / "out"
        if kind == "folder":
            taken.mkdir()
        (taken if kind == "file" else taken / "notes.txt").write_text("mine")
        with pytest.raises(UserError, match="exists and is not empty; give another folder"):
            export.export(run, taken)
        assert (taken if kind == "file" else taken / "notes.txt").read_text() == "mine"

    @pytest.mark.parametrize(
        ("world", "tp", "sentence"),
        [
            (4, 4, "parallel.tp is 4, which does not divide the 2 key-value groups"),
            (3, 1, "parallel.pp is 3, which does not divide the 4 layers"),
            (3, 2, "3 processes do not divide by"),
            (1, 0, "parallel.tp is 0; it must be at least 1"),
        ],
    )
    def test_sizes_that_do_not_divide(
        self, world: int, tp: int, sentence: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORLD_SIZE", str(world))
        with pytest.raises(UserError, match=sentence):
            export.export(run, tmp_path / "out", tp=tp)


def fleming(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, "fleming_nemo.cli", *arguments]
    env = {key: text for key, text in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)


def test_the_command(run: Path) -> None:
    done = fleming("export", str(run), "--step", "1")
    out = run / "export" / "step_1"
    assert (done.returncode, done.stdout) == (0, f"wrote {out}: step 1 of {run}\n"), done.stderr
    expected = load_file(run / "weights_1" / "model.safetensors")
    found = load_file(out / "model.safetensors")
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in found)


@pytest.mark.slow
def test_the_command_on_several_processes(run: Path, tmp_path: Path) -> None:
    launcher = ("torch.distributed.run", "--nproc-per-node", "4", "-m")
    arguments = ("export", str(run), "--out", str(tmp_path / "out"), "--tp", "2")
    done = fleming(*arguments, launcher=launcher)
    assert (done.returncode, done.stdout) == (0, f"wrote {tmp_path}/out: step 3 of {run}\n"), done.stderr
    layout = json.loads((tmp_path / "out" / "export.json").read_text())["layout"]
    assert layout == {"tp": 2, "pp": 2, "cp": 1, "dp": 1}
    expected = load_file(run / "weights_3" / "model.safetensors")
    found = {key: t for file in (tmp_path / "out").glob("*.safetensors") for key, t in load_file(file).items()}
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in found)
