"""What every task on the reinforcement-learning pool begins with: policy, questions that fit, run directory."""

from __future__ import annotations

from pathlib import Path

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.batch import check_length
from fleming_nemo.data.chat import render_prompt
from fleming_nemo.data.items import QAItem, read_items
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.parallel import groups
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.rundir import RunDirectory
from fleming_nemo.training.start import start


def open_run(cfg: RunConfig) -> tuple[Engine, ChatTokenizer, list[QAItem], RunDirectory]:
    """The policy with `model.weights`, its tokenizer, the questions of `items_rl.jsonl`, and the run directory.

    Raises:
        UserError: the longest prompt leaves no room for a response within `train.seq_length`.
    """
    engine, chat = start(cfg)
    folder = RunDirectory(Path(cfg.run_dir), writer=groups.rank() == 0)
    pool_file = Path(cfg.data.dir) / "items_rl.jsonl"
    items = read_items(pool_file)
    prompts = chat.encode_batch([render_prompt(item, cfg.data.system_prompt) for item in items])
    check_length(max(map(len, prompts), default=0) + cfg.rollout.max_response, cfg.train.seq_length)
    folder.write_card(cfg, engine.layout.sizes(), {"items_rl.jsonl": files.sha256(pool_file), "tokenizer": chat.sha256})
    return engine, chat, items, folder
