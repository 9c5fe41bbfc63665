"""Task `mine`: the mining of a stage 2 without the stage, for example on other nodes or while data is still decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.batch import check_length
from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import read_items
from fleming_nemo.grpo.curriculum.stage import Curriculum
from fleming_nemo.parallel import groups
from fleming_nemo.training.rundir import RunDirectory
from fleming_nemo.training.start import start


def run(cfg: RunConfig) -> dict[str, Any]:
    """Mine `items_rl.jsonl` with `model.weights`: writes mined.json and mining.json, returns the sizes of the pools."""
    engine, chat = start(cfg)
    folder = RunDirectory(Path(cfg.run_dir), writer=groups.rank() == 0)
    pool_file = Path(cfg.data.dir) / "items_rl.jsonl"
    items = read_items(pool_file)
    prompts = chat.encode_batch([render_prompt(item, cfg.data.system_prompt) for item in items])
    check_length(max(map(len, prompts), default=0) + cfg.rollout.max_response, cfg.train.seq_length)
    folder.write_card(cfg, engine.layout.sizes(), {"items_rl.jsonl": files.sha256(pool_file), "tokenizer": chat.sha256})
    curriculum = Curriculum(cfg, engine, chat, items, folder)
    curriculum.begin()
    return {"stage": cfg.stage} | curriculum.rounds[-1]
