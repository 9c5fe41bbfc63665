"""Training with pauses, so that a test can do something to it at a certain place.

A folder with this file on PYTHONPATH makes Python import it first.  STEP_S: seconds that every step of the first
attempt takes longer; LATER_STEP_S: every step of those after it.  SAVE_S: seconds that the first checkpoint takes
longer, while `saving` is in the run directory.  CRASH_AT: the step in which the code has an error.
"""

import os
import time
from pathlib import Path

from fleming_nemo.training import checkpoint_files
from fleming_nemo.training.rundir import RunDirectory

log, publish = RunDirectory.log, checkpoint_files.publish
REQUEUED = os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
PAUSE_S = float(os.environ.get("LATER_STEP_S" if REQUEUED else "STEP_S", "0"))


def slow_log(self, row):
    if row["step"] == int(os.environ.get("CRASH_AT", "0")):
        raise RuntimeError("division by cucumber")
    log(self, row)
    time.sleep(PAUSE_S)


def slow_publish(temporary, target):
    saving = target.parents[1] / "saving"
    if "SAVE_S" in os.environ and not saving.exists():
        saving.write_text("in the middle of it")
        time.sleep(float(os.environ["SAVE_S"]))
    publish(temporary, Path(target))


RunDirectory.log, checkpoint_files.publish = slow_log, slow_publish
