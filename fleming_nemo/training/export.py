"""Export a run's checkpoint as a Hugging Face folder or a Megatron checkpoint, verified before it gets its name.

One process, or one rank of several under torchrun or srun: the model is then cut over them, and no rank ever holds
more than its own part and one tensor.  Gradients and optimizer are not built.

The folder is written under a temporary name.  Before it is renamed, every rank compares every bit of its parameters
with the files; then the parameters are emptied, filled again from the files, and must give the logits of a fixed
prompt that the checkpoint gave.  So a folder of the final name is whole and right, however the process ended.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.presets import ARCHS, ArchShape
from fleming_nemo.config.schema import ParallelConfig, RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.data import files, tokenizer
from fleming_nemo.model import gpt, hf, hf_names, hf_tokenizer
from fleming_nemo.parallel import groups
from fleming_nemo.parallel.agreement import on_first
from fleming_nemo.training import checkpoint, export_check, export_megatron
from fleming_nemo.training.rundir import versions

from torch.distributed.checkpoint.api import CheckpointException  # isort: skip

RECORD = "export.json"
HUGGING_FACE, MEGATRON = "hf", "megatron"


@dataclass
class Policy:
    """As much of an Engine as weights alone need."""

    networks: list[Any]

    def weights_changed(self) -> None:
        """No optimizer has copies of them."""


def export(
    run_dir: Path,
    out: Path | None = None,
    step: int | None = None,
    tp: int = 1,
    max_shard_bytes: int = hf.MAX_SHARD_BYTES,
    form: str = HUGGING_FACE,
) -> tuple[Path, int]:
    """Write the checkpoint of `step` (the newest one without) to `out`, by default `run_dir`/export/step_N.

    Collective where WORLD_SIZE says that there are several processes: they are cut into `tp` tensor-parallel ranks and
    as many pipeline stages as that leaves.  All need to see the same file system.  `form` is HUGGING_FACE or MEGATRON.

    Returns:
        The folder (without `out`: in RUN/export) and the step.

    Raises:
        UserError: no such run or step, `out` exists and is not empty, the disk is too small or became full, the sizes
            do not divide the model, or the files are not what the model holds; `out` is then as it was.
    """
    cfg = from_yaml(run_dir / "config.yaml", RunConfig)
    step = _step(run_dir, step)
    if out is None:
        out = run_dir / "export" / (f"step_{step}_megatron" if form == MEGATRON else f"step_{step}")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty; give another folder")
    if "WORLD_SIZE" not in os.environ:
        os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        os.environ["MASTER_PORT"] = "0"
    _for_weights_alone(cfg, tp, int(os.environ["WORLD_SIZE"]))
    groups.init(cfg.parallel, cfg.seed)
    try:
        write(cfg, run_dir, step, out, max_shard_bytes, form)
    finally:
        groups.shutdown()
    return out, step


def write(
    cfg: RunConfig,
    run_dir: Path,
    step: int,
    out: Path,
    max_shard_bytes: int = hf.MAX_SHARD_BYTES,
    form: str = HUGGING_FACE,
) -> None:
    """The part of `export` that all ranks of the initialised layout of `cfg` do together."""
    temporary = out.with_name(f".{out.name}.tmp")
    shape = ARCHS[cfg.model.arch]
    chat = tokenizer.load(cfg.data)
    policy = Policy(gpt.build(shape, cfg.model, cfg.parallel))
    checkpoint.load_weights(policy, run_dir, step)  # type: ignore[arg-type]
    try:
        on_first(lambda: _make_room(policy, shape, temporary))
        record = {"run": run_dir.name, "step": step, "arch": cfg.model.arch, "layout": groups.current().sizes()}
        record |= {"warning": hf_tokenizer.warning(chat, shape.family), "versions": versions()}
        if form == MEGATRON:
            export_megatron.save(policy.networks, temporary, shape, step, cfg.model.precision != "fp32")
            export_megatron.check(policy.networks, temporary, step, chat)
        else:
            hf.save(policy.networks, temporary, shape, max_shard_bytes)
            system = cfg.data.system_prompt
            on_first(lambda: hf_tokenizer.write(chat, system, shape.max_positions, temporary))
            record["prompt"] = export_check.check(policy.networks, shape, temporary, chat)
        on_first(lambda: _finish(record, temporary, out))
    except (CheckpointException, OSError) as error:
        raise UserError(f"{out} could not be written ({error}); make room, or give another folder") from error
    finally:
        if groups.rank() == 0:
            shutil.rmtree(temporary, ignore_errors=True)


def _step(run_dir: Path, wanted: int | None) -> int:
    available = checkpoint.steps(run_dir)
    if not available:
        raise UserError(f"{run_dir} has no checkpoint to export; run it first")
    if wanted is None:
        return available[-1]
    if wanted not in available:
        raise UserError(f"{run_dir} has no checkpoint of step {wanted}; it has {', '.join(map(str, available))}")
    return wanted


def _for_weights_alone(cfg: RunConfig, tp: int, world: int) -> None:
    """Turn the run's config into one that loads its weights on `world` processes, and check that they divide."""
    cfg.task = "sft"  # under pipeline stages nothing is generated
    cfg.model.weights = "random"
    if cfg.model.precision == "fp8":
        cfg.model.precision = "bf16"  # which the weights are; fp8 is how they are multiplied
    cfg.model.recompute = 0
    cfg.parallel = ParallelConfig(tp=tp, pp=max(1, world // max(1, tp)), dp=1)
    cfg.train.micro_batch = cfg.train.global_batch = 1
    cfg.train.pack_tokens = 0
    validate(cfg, world)


def _make_room(policy: Policy, shape: ArchShape, temporary: Path) -> None:
    """Remove what a killed export left, and refuse a disk that is too small before anything is written."""
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    itemsize = next(policy.networks[0].parameters()).element_size()
    needed = sum(math.prod(size) for size in hf_names.shapes(shape).values()) * itemsize
    free = shutil.disk_usage(temporary).free
    if free < needed:
        raise UserError(
            f"the export needs {needed >> 20} MB and {temporary.parent} has {free >> 20} MB free; "
            "free some, or give another folder"
        )


def _finish(record: dict[str, Any], temporary: Path, out: Path) -> None:
    """Note what was exported, force everything to disk, and give the folder its name."""
    written = sorted(path for path in temporary.rglob("*") if path.is_file())
    record["files"] = {str(file.relative_to(temporary)): file.stat().st_size for file in written}
    files.write_json(temporary / RECORD, record)
    for path in (*temporary.rglob("*"), temporary):
        files.sync(path)
    os.replace(temporary, out)  # an empty folder of that name gives way
    files.sync(out.parent)
