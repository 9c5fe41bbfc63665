"""The fields of NeMo's `exp_manager` block, and which of them have no counterpart here.

All of `ExpManagerConfig` (nemo/utils/exp_manager.py, nemo-toolkit 3.0), so that a block can be brought along whole:
what ours always does is accepted, what it does not do is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fleming_nemo.config.errors import UserError

Options = dict[str, Any]
"""Arguments for a library, as NeMo hands them on."""


@dataclass
class ExpManager:
    """Fields and defaults are NeMo's, with an empty text for None; NeMo-Run cannot parse more."""

    explicit_log_dir: str = ""
    exp_dir: str = ""
    name: str = ""
    version: str = ""
    use_datetime_version: bool = True
    resume_if_exists: bool = False
    resume_past_end: bool = False
    resume_ignore_no_checkpoint: bool = False
    resume_from_checkpoint: str = ""
    create_tensorboard_logger: bool = True
    summary_writer_kwargs: Options = field(default_factory=dict)
    create_wandb_logger: bool = False
    wandb_logger_kwargs: Options = field(default_factory=dict)
    create_mlflow_logger: bool = False
    mlflow_logger_kwargs: Options = field(default_factory=dict)
    create_dllogger_logger: bool = False
    dllogger_logger_kwargs: Options = field(default_factory=dict)
    create_clearml_logger: bool = False
    clearml_logger_kwargs: Options = field(default_factory=dict)
    create_neptune_logger: bool = False
    neptune_logger_kwargs: Options = field(default_factory=dict)
    create_checkpoint_callback: bool = True
    checkpoint_callback_params: Options = field(default_factory=dict)
    create_early_stopping_callback: bool = False
    create_ipl_epoch_stopper_callback: bool = False
    early_stopping_callback_params: Options = field(default_factory=dict)
    ipl_epoch_stopper_callback_params: Options = field(default_factory=dict)
    create_preemption_callback: bool = True
    files_to_copy: str = ""
    log_step_timing: bool = True
    log_delta_step_timing: bool = False
    step_timing_kwargs: Options = field(default_factory=dict)
    disable_validation_on_resume: bool = True
    ema: Options = field(default_factory=dict)
    max_time_per_run: str = ""
    seconds_to_sleep: float = 5.0
    create_straggler_detection_callback: bool = False
    straggler_detection_params: Options = field(default_factory=dict)
    create_fault_tolerance_callback: bool = False
    fault_tolerance: Options = field(default_factory=dict)
    log_tflops_per_sec_per_gpu: bool = True


_LOGGERS = "loggers are TensorBoard, W&B and MLflow"
_CHECKPOINTS = "checkpoints go by train.save_every and train.keep_checkpoints"
_WATCHED = "a run that hangs is ended after train.hang_minutes, and one that dies goes on from its newest checkpoint"

REFUSED = {
    "resume_from_checkpoint": "a run goes on from its newest checkpoint; model.weights begins another from its weights",
    "create_dllogger_logger": _LOGGERS,
    "create_clearml_logger": _LOGGERS,
    "create_neptune_logger": _LOGGERS,
    "checkpoint_callback_params": _CHECKPOINTS,
    "create_early_stopping_callback": "a run ends after train.steps; the best checkpoint stays besides the newest",
    "create_ipl_epoch_stopper_callback": "a run ends after train.steps",
    "files_to_copy": "config.yaml and what made the run are in the run directory already",
    "ema": "there is no average of the weights",
    "max_time_per_run": "a job is told of its end by a signal, and saves then",
    "create_straggler_detection_callback": _WATCHED,
    "create_fault_tolerance_callback": _WATCHED,
}
"""What ours does instead of a field that cannot be switched on."""

ALWAYS = {
    "create_checkpoint_callback": _CHECKPOINTS,
    "create_preemption_callback": "a signal always makes a run save itself",
}
"""What cannot be switched off."""


def check_supported(block: ExpManager) -> None:
    """Raise a UserError that names the first field without counterpart."""
    for name, instead in REFUSED.items():
        value = getattr(block, name)
        asked = value.get("enable", True) if name == "ema" and value else value
        if asked:
            raise UserError(f"exp_manager.{name} has no counterpart: {instead}; leave it out")
    for name, instead in ALWAYS.items():
        if not getattr(block, name):
            raise UserError(f"exp_manager.{name} cannot be switched off: {instead}; leave it out")
