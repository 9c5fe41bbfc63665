"""Export a run's newest checkpoint as a Hugging Face folder (one process; the whole model in memory)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.overrides import from_yaml
from fleming_nemo.config.schema import ParallelConfig, RunConfig
from fleming_nemo.model import hf
from fleming_nemo.parallel import groups
from fleming_nemo.training import checkpoint
from fleming_nemo.training.start import start


def export(run_dir: Path, out: Path) -> int:
    """Write config.json, model.safetensors and tokenizer.json; returns the step of the checkpoint.

    Raises:
        UserError: no such run, no checkpoint in it, or `out` exists and is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} exists and is not empty; give another folder")
    cfg = from_yaml(run_dir / "config.yaml", RunConfig)
    cfg.parallel = ParallelConfig(dp=1)
    cfg.model.weights = "random"
    os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT="0")
    engine, chat = start(cfg)
    step = checkpoint.load_weights(engine, run_dir)
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    hf.save_single(engine.network, temporary, engine.shape)
    shutil.copy(chat.folder / "tokenizer.json", temporary)
    if out.exists():
        out.rmdir()
    temporary.rename(out)
    groups.shutdown()
    return step
