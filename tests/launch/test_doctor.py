"""Checks of a machine, with a stand-in for nvidia-smi and for the kernel's log on PATH."""

import json
import shutil
from types import SimpleNamespace

import pytest

from fleming_nemo.cli import main
from fleming_nemo.config.schema import ModelConfig, RolloutConfig, RunConfig
from fleming_nemo.launch.health import gpus, software, storage

GPU = "{}, NVIDIA H100 80GB HBM3, 81559, {}, {}"
EIGHT = [GPU.format(n, 4, 0) for n in range(8)]
NOT_HERE = "sbatch, srun, squeue, scontrol not on PATH"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A PATH of our own: `machine(gpus=..., rows=..., log=...)` says what nvidia-smi and dmesg print."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "env"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))

    def make(gpus=(), rows=None, log="", code=0):
        for name, lines in {"gpu": gpus, "rows": rows or ["No, No"] * len(gpus), "log": [log]}.items():
            (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        case = f'case "$1" in *remapped*) cat {tmp_path}/rows ;; *) cat {tmp_path}/gpu; exit {code} ;; esac'
        for name, script in {"nvidia-smi": case, "dmesg": f"cat {tmp_path}/log"}.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)

    return make


def wrong(found):
    return [row.told for row in found if row.wrong]


def test_eight_healthy_gpus(machine):
    machine(
        gpus=[GPU.format(n, 4, 0) for n in range(8)], log="NVRM: Xid (PCI:0000:3b:00): 31, pid=7, an illegal address"
    )
    found = gpus.findings(asked=8)
    assert [row.told for row in found] == ["8 GPUs, NVIDIA H100 80GB HBM3, 80 GiB"]
    assert not wrong(found)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"gpus": EIGHT[:7]}, "7 GPUs, NVIDIA H100 80GB HBM3, 80 GiB, and 8 are asked for"),
        ({"gpus": [*EIGHT[:6], GPU.format(6, 4, "[N/A]"), GPU.format(7, 4, 3)]}, "GPU 7 has 3 uncorrected errors"),
        ({"gpus": [*EIGHT[:7], GPU.format(7, 40004, 0)]}, "GPU 7 has 40004 MB in use by another"),
        ({"gpus": EIGHT, "rows": ["0, 0"] * 5 + ["1, 0"] + ["0, 0"] * 2},
         "GPU 5 waits for a reset to replace a faulty row"),
        ({"gpus": EIGHT, "rows": ["No, No"] * 7 + ["No, Yes"]},
         "GPU 7 has no spare rows left"),
        ({"gpus": EIGHT, "log": "[5.1] NVRM: Xid (PCI:0000:3b:00): 79, fallen off the bus"},
         "the driver logged Xid 79 on the GPU at 0000:3b:00"),
        ({"gpus": ["Unable to determine the device handle for GPU0: Unknown Error"], "code": 255},
         "nvidia-smi fails: Unable to determine the device handle for GPU0: Unknown Error"),
        ({"gpus": [*EIGHT[:7], "7, NVIDIA A100, 40960, 4, 0"]}, "differs: 40960 to 81559 MB"),
    ],
)  # fmt: skip
def test_a_gpu_that_should_not_get_a_run_is_named(machine, said, told):
    machine(**said)
    (found,) = wrong(gpus.findings(asked=8))
    assert found.startswith(told)


def test_no_gpu_is_wrong_only_for_a_run_that_needs_one(machine):
    assert not wrong(gpus.findings(asked=0))
    assert wrong(gpus.findings(asked=2))[0].startswith("no nvidia-smi on PATH")


def test_room_for_the_checkpoints_of_the_model(tmp_path, monkeypatch):
    cfg = RunConfig(model=ModelConfig(arch="qwen2.5-7b"), run_dir=str(tmp_path / "not" / "yet"))
    disk = SimpleNamespace(f_bavail=200 << 30, f_frsize=1, f_favail=10**6, f_files=10**7)
    monkeypatch.setattr(storage.os, "statvfs", lambda path: disk)
    (told,) = wrong(storage.findings(cfg, tmp_path / "not" / "yet"))
    assert told.startswith(f"{tmp_path} has 200.0 GiB free, and a run needs 398.2; ")  # 7.6e9 * 14 B * 4 and 1
    cfg.model.arch = "nano"
    assert not wrong(storage.findings(cfg, tmp_path))
    disk.f_favail = 7
    assert (
        wrong(storage.findings(cfg, tmp_path))[0]
        == f"{tmp_path} has room for 7 more files only; delete some or move it"
    )


def test_what_is_not_installed_is_wrong_only_for_a_recipe_that_needs_it(machine, monkeypatch):
    monkeypatch.setattr(
        software.extensions, "transformer_engine", lambda: software.extensions.Extension("transformer-engine")
    )
    plain, fp8 = (software.findings(RunConfig(model=ModelConfig(precision=p))) for p in ("bf16", "fp8"))
    assert [row.about for row in plain if row.wrong] == []
    assert [row.about for row in fp8 if row.wrong] == ["transformer-engine"]
    monkeypatch.setenv("FLEMING_VLLM_PYTHON", "/nowhere/python")
    served = software.findings(RunConfig(rollout=RolloutConfig(engine="vllm")))
    assert [row.about for row in served if row.wrong] == ["vLLM"]
    told = {row.about: row.told for row in plain if row.missing}
    assert "apt-get install g++" in told["g++"] and told["Slurm"].startswith("sbatch, srun, squeue, scontrol not on ")


def test_the_exit_code_goes_by_the_recipe(machine, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["doctor"])
    assert "GPUs                 none   no nvidia-smi on PATH" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["doctor", "recipes/sft_7b.py", "--tiny", f"run_dir={tmp_path}/run", "--json"])
    assert not any(row["wrong"] for row in json.loads(capsys.readouterr().out))
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", "recipes/sft_7b.py", f"run_dir={tmp_path}/run"])
    out, err = capsys.readouterr()
    assert "GPUs                 WRONG  no nvidia-smi on PATH" in out
    assert err.startswith(
        "error: recipes/sft_7b.py cannot run on this machine as it is; see the lines marked WRONG: GPUs"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not gpus.driver(), reason="needs a CUDA device")
def test_the_gpus_of_this_machine_are_known_and_well():
    """On a GPU machine: the real nvidia-smi answers both questions in the form that is read here."""
    import torch

    found = gpus.findings(asked=torch.cuda.device_count())
    assert found[0].told.startswith(f"{torch.cuda.device_count()} GPUs, {torch.cuda.get_device_name()}")
    assert not wrong(found)
