"""A whole block of NeMo's can be brought along; what has no counterpart is refused by its name."""

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.experiment.fields import ALWAYS, REFUSED, ExpManager, check_supported


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ema": {"enable": False, "decay": 0.999}},
        {"create_clearml_logger": False, "clearml_logger_kwargs": {"project": "p"}},
        {"log_step_timing": False, "seconds_to_sleep": 60.0, "create_mlflow_logger": True},
    ],
)
def test_what_ours_does_or_what_is_off_is_accepted(fields):
    check_supported(ExpManager(**fields))


@pytest.mark.parametrize(
    "name, value",
    [
        *((name, True) for name in REFUSED if name.startswith("create_")),
        ("ema", {"enable": True}),
        ("checkpoint_callback_params", {"save_top_k": 3}),
        ("resume_from_checkpoint", "/a"),
        ("files_to_copy", "[a.py]"),
        ("max_time_per_run", "00:03:30:00"),
        *((name, False) for name in ALWAYS),
    ],
)
def test_what_has_no_counterpart_is_named(name, value):
    with pytest.raises(UserError, match=f"exp_manager.{name} .*leave it out"):
        check_supported(ExpManager(**{name: value}))
