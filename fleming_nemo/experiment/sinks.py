"""Where the rows of metrics.jsonl can go besides: TensorBoard, Weights & Biases, MLflow.

A sink takes numbers of one step; whoever adds one needs nothing else.  The libraries are imported where they are asked
for, and none is a dependency of the package.  Their `..._kwargs` are those of the loggers in Lightning 2.4 that NeMo
hands them to (lightning/pytorch/loggers).
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

from fleming_nemo.config.errors import UserError
from fleming_nemo.experiment.fields import ExpManager, Options

Numbers = dict[str, float]


class Sink(Protocol):
    """Takes the numbers of one step after the other; `name` tells sinks of a run apart."""

    name: str

    def write(self, step: int, numbers: Numbers) -> None: ...

    def close(self, finished: bool) -> None:
        """No more will come; `finished`: the run has come to its end, not failed or been stopped."""


class TensorBoard:
    """Event files in the run directory, as NeMo writes them."""

    name = "tensorboard"

    def __init__(self, folder: Path, options: Options) -> None:
        writer = ("comment", "purge_step", "max_queue", "flush_secs", "filename_suffix")
        taken = _taken("summary_writer_kwargs", options, [*writer, "prefix", "sub_dir"])
        self._prefix = taken.pop("prefix", "")
        target = folder / taken.pop("sub_dir", "")
        self._writer = _library("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(target), **taken)

    def write(self, step: int, numbers: Numbers) -> None:
        for key, value in _prefixed(self._prefix, numbers).items():
            self._writer.add_scalar(key, value, step)

    def close(self, finished: bool) -> None:
        self._writer.close()


class WandB:
    """One W&B run for a run directory: its id comes from the directory, so that a restart goes on with it."""

    name = "wandb"

    def __init__(self, folder: Path, options: Options) -> None:
        asked = {name: value for name, value in options.items() if value is not None}
        refused = {"log_model", "experiment", "checkpoint_name"} & set(asked)
        taken = _taken("wandb_logger_kwargs", asked, set(asked) - refused)
        self._prefix = taken.pop("prefix", "")
        named: Options = {"name": folder.name, "id": _id(folder), "resume": "allow", "dir": str(folder)}
        for ours, theirs in (("dir", "save_dir"), ("id", "version")):
            named |= {ours: taken.pop(theirs)} if theirs in taken else {}
        named |= {"mode": "offline"} if taken.pop("offline", False) else {}
        self._run = _library("wandb", "wandb").init(**(named | taken))

    def write(self, step: int, numbers: Numbers) -> None:
        self._run.log(_prefixed(self._prefix, numbers), step=step)

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


class MLflow:
    """One MLflow run for a run directory, known by a tag, so that a restart goes on with it; metrics by step."""

    name = "mlflow"
    _TAG = "fleming.run_directory"

    def __init__(self, folder: Path, options: Options, experiment: str) -> None:
        names = ("experiment_name", "run_name", "tracking_uri", "tags", "save_dir", "prefix")
        taken = _taken("mlflow_logger_kwargs", options, [*names, "artifact_location", "run_id"])
        library = _library("mlflow.tracking", "mlflow")
        self._metric = importlib.import_module("mlflow.entities").Metric
        self._prefix = taken.get("prefix", "")
        files = f"file:{folder / taken.get('save_dir', 'mlruns')}"
        self._client = library.MlflowClient(
            tracking_uri=taken.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI") or files
        )
        self._run = taken.get("run_id") or self._known(folder, taken, taken.get("experiment_name") or experiment)
        self._client.update_run(self._run, status="RUNNING")

    def _known(self, folder: Path, taken: Options, experiment: str) -> str:
        """The id of the run of this directory, made where there is none."""
        found = self._client.get_experiment_by_name(experiment)
        location = taken.get("artifact_location")
        number = found.experiment_id if found else self._client.create_experiment(experiment, location)
        mine = self._client.search_runs([number], f"tags.`{self._TAG}` = '{_id(folder)}'")
        if mine:
            return str(mine[0].info.run_id)
        tags = {**taken.get("tags", {}), self._TAG: _id(folder)}
        return str(self._client.create_run(number, tags=tags, run_name=taken.get("run_name", folder.name)).info.run_id)

    def write(self, step: int, numbers: Numbers) -> None:
        now = int(1000 * time.time())
        metrics = [
            # MLflow takes no other characters in a name
            self._metric(re.sub(r"[^\w/. -]+", "", key, flags=re.ASCII), value, now, step)
            for key, value in _prefixed(self._prefix, numbers).items()
        ]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self._run, "FINISHED" if finished else "FAILED")


def asked_for(block: ExpManager, folder: Path) -> list[Sink]:
    """The sinks that the block switches on.

    Raises:
        UserError: the library of one is not installed, or refuses its arguments.
    """
    experiment = block.name or folder.parent.name
    kinds: list[tuple[bool, Callable[[], Sink]]] = [
        (block.create_tensorboard_logger, lambda: TensorBoard(folder, block.summary_writer_kwargs)),
        (block.create_wandb_logger, lambda: WandB(folder, block.wandb_logger_kwargs)),
        (block.create_mlflow_logger, lambda: MLflow(folder, block.mlflow_logger_kwargs, experiment)),
    ]
    made: list[Sink] = []
    for switched_on, make in kinds:
        try:
            made += [make()] if switched_on else []
        except UserError:
            raise
        except Exception as error:  # of any kind: these libraries have no common one
            raise UserError(f"a logger of exp_manager cannot be opened: {error}") from error
    return made


def _taken(field: str, options: Options, names: Collection[str]) -> Options:
    """The options that are set; raises a UserError for one of another name, unless it is off."""
    for name, value in options.items():
        if name not in names and value:
            raise UserError(f"exp_manager.{field}.{name} has no counterpart here; leave it out")
    return {name: value for name, value in options.items() if name in names and value is not None}


def _prefixed(prefix: str, numbers: Numbers) -> Numbers:
    return {f"{prefix}-{key}": value for key, value in numbers.items()} if prefix else numbers


def _id(folder: Path) -> str:
    """A name for a run directory, the same after a restart and another for each directory."""
    return f"{folder.name}-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8]}"


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"exp_manager.create_{package}_logger needs {package}, which cannot be imported ({error}); install it, or "
            "set it to false"
        ) from error
