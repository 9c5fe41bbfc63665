"""The SFT run: corpus in, checkpoints and metrics out, evaluation of the final policy at the end."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from fleming_nemo.config.schema import RunConfig
from fleming_nemo.data.batch import check_length, micro_batches
from fleming_nemo.data.corpus import Corpus, open_corpus
from fleming_nemo.data.indexed.blend import Blend
from fleming_nemo.data.micro_batch import Sample
from fleming_nemo.data.packing import Pack
from fleming_nemo.data.tokenizer import ChatTokenizer
from fleming_nemo.evaluation.run import evaluate_if_possible
from fleming_nemo.parallel import groups
from fleming_nemo.sft.loss import cross_entropy
from fleming_nemo.training import stop, throughput, watchdog
from fleming_nemo.training.checkpoint import Checkpoints
from fleming_nemo.training.engine import Engine
from fleming_nemo.training.progress import Steps, speeds
from fleming_nemo.training.rundir import RunDirectory
from fleming_nemo.training.schedule import learning_rate
from fleming_nemo.training.start import start


def run(cfg: RunConfig) -> dict[str, Any]:
    """Task `sft`: train, then evaluate the final policy, if this layout can sample from it."""
    return evaluate_if_possible(cfg, *train(cfg))


def train(cfg: RunConfig) -> tuple[Engine, ChatTokenizer, RunDirectory]:
    """Train to `cfg.train.steps`, going on from this run's newest checkpoint if it has one."""
    engine, chat = start(cfg)
    layout = engine.layout
    run = RunDirectory(Path(cfg.run_dir), writer=groups.rank() == 0)
    corpus = open_corpus(Path(cfg.data.dir), chat)
    check_length(corpus.manifest["longest"], cfg.train.seq_length)
    run.write_card(cfg, layout.sizes(), {"corpus": corpus.manifest["files"], "tokenizer": chat.sha256})
    checkpoints = Checkpoints(engine, run.path, cfg.train.keep_checkpoints)
    state = checkpoints.resume()
    first = 0
    losses: list[float] = []  # since the newest checkpoint that was due
    if state:
        first, losses = state["step"], state["losses"]
        engine.guard.load_state_dict(state["guard"])
    run.rewind(first)
    objective = cross_entropy(chat.size)
    train_cfg = cfg.train
    speed = throughput.of_this_run(engine.shape, cfg.model.precision)
    progress = Steps(cfg.stage, first, train_cfg.steps)
    for step in progress:
        watchdog.beat(step + 1, "train")
        began = time.perf_counter()
        start_at, count = step * train_cfg.global_batch, train_cfg.global_batch
        samples = corpus.samples(start_at, count, cfg.seed, cfg.data.shuffle)
        documents = np.concatenate(samples)
        lengths = corpus.lengths[documents].tolist()
        known = _places(samples) if corpus.packed else []
        batches = micro_batches(lengths, partial(_sample, corpus, documents), cfg, chat.pad_id, known)
        lr = learning_rate(cfg.optim, step, train_cfg.steps)
        metrics = engine.train_step(batches, objective, lr)
        metrics |= {"lr": lr} | speed.row(lengths, time.perf_counter() - began)
        run.log({"step": step + 1, "stage": cfg.stage, **metrics})
        losses.append(metrics["loss"])
        progress.show(step + 1, loss=f"{metrics['loss']:.3f}", lr=f"{lr:.1e}", **speeds(metrics))
        due, why = (step + 1) % train_cfg.save_every == 0 or step + 1 == train_cfg.steps, stop.agreed(run.path)
        if due or why:
            with watchdog.phase("checkpoint"):
                state = {"guard": engine.guard.state_dict(), "losses": [] if due else losses}
                checkpoints.save(step + 1, state, score=-fmean(losses))
                if due:
                    losses = []
                if why:
                    checkpoints.close()
                    raise stop.Stopped(why, step + 1)
        checkpoints.poll()
    checkpoints.close()
    return engine, chat, run


def _places(samples: list[np.ndarray]) -> list[Pack]:
    """Of samples that stand one after the other, the places that each takes up."""
    ends = np.cumsum([len(sample) for sample in samples]).tolist()
    return [list(range(end - len(sample), end)) for sample, end in zip(samples, ends, strict=True)]


def _sample(corpus: Corpus | Blend, documents: np.ndarray, number: int) -> Sample:
    return Sample(*corpus[int(documents[number])])
