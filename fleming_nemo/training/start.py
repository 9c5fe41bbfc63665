"""The first lines of every run: process groups, tokenizer, model, and where its weights come from."""

from __future__ import annotations

from pathlib import Path

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.presets import ARCHS
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data import tokenizer
from fleming_nemo.data.tokenizer import NANO_DIR, ChatTokenizer
from fleming_nemo.model import hf
from fleming_nemo.parallel import determinism, groups
from fleming_nemo.training import checkpoint
from fleming_nemo.training.engine import Engine


def start(cfg: RunConfig) -> tuple[Engine, ChatTokenizer]:
    """Build the policy on every rank and fill it with `cfg.model.weights` (not with a checkpoint of this run)."""
    if cfg.train.deterministic:
        determinism.make_deterministic()
    groups.init(cfg.parallel, cfg.seed, cfg.train.hang_minutes)
    chat = tokenizer.load(cfg.data)
    shape = ARCHS[cfg.model.arch]
    if chat.size > shape.vocab_size:
        raise UserError(
            f"the tokenizer has {chat.size} tokens and model {cfg.model.arch} only {shape.vocab_size} embedding rows; "
            "data.tokenizer and model.arch do not belong together"
        )
    engine = Engine(cfg, shape)
    weights = cfg.model.weights
    if weights == "random":
        return engine, chat
    folder = NANO_DIR if weights == "nano" else Path(weights)
    if (folder / "checkpoints").is_dir():
        checkpoint.load_weights(engine, folder)
    else:
        hf.load(engine.networks, folder, shape)
        engine.weights_changed()
    return engine, chat
