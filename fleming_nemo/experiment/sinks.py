"""Where the rows of metrics.jsonl can go besides: TensorBoard, Weights & Biases, MLflow.

A sink takes numbers of one step; whoever adds one needs nothing else.  The libraries are imported where they are asked
for, and none is a dependency of the package.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol

from fleming_nemo.config.errors import UserError
from fleming_nemo.experiment.block import ExpManager

Numbers = dict[str, float]


class Sink(Protocol):
    """Takes the numbers of one step after the other; `name` tells sinks of a run apart."""

    name: str

    def write(self, step: int, numbers: Numbers) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the run directory, as NeMo writes them."""

    name = "tensorboard"

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self._writer = _library("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder), **options)

    def write(self, step: int, numbers: Numbers) -> None:
        for key, value in numbers.items():
            self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """One W&B run for a run directory: its id is the directory's name, so that a restart goes on with it."""

    name = "wandb"

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        named = {"name": folder.name, "id": folder.name, "resume": "allow", "dir": str(folder)}
        self._run = _library("wandb", "wandb").init(**(named | options))

    def write(self, step: int, numbers: Numbers) -> None:
        self._run.log(numbers, step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """One MLflow run; metrics by step."""

    name = "mlflow"

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        library = _library("mlflow.tracking", "mlflow")
        self._client = library.MlflowClient(tracking_uri=options.get("tracking_uri"))
        experiment = options.get("experiment_name") or folder.parent.name
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self._client.create_experiment(experiment)
        mine = self._client.search_runs([number], f"attributes.run_name = '{folder.name}'")
        self._run = (mine[0] if mine else self._client.create_run(number, run_name=folder.name)).info.run_id

    def write(self, step: int, numbers: Numbers) -> None:
        for key, value in numbers.items():
            self._client.log_metric(self._run, key, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def asked_for(block: ExpManager, folder: Path) -> list[Sink]:
    """The sinks that the block switches on.

    Raises:
        UserError: the library of one is not installed.
    """
    made: list[Sink] = []
    if block.create_tensorboard_logger:
        made.append(TensorBoard(folder, block.summary_writer_kwargs))
    if block.create_wandb_logger:
        made.append(WandB(folder, block.wandb_logger_kwargs))
    if block.create_mlflow_logger:
        made.append(MLflow(folder, block.mlflow_logger_kwargs))
    return made


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"exp_manager.create_{package}_logger needs {package}, which cannot be imported ({error}); install it, or "
            "set it to false"
        ) from error
