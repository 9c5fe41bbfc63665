"""The mining of a stage 2 before the stage itself: same recipe, a run directory of its own, the result in the stage's.

The stage finds mined.json there and begins with it.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.data import files
from fleming_nemo.launch.main import execute

MINED, MINING = "mined.json", "mining.json"


def mine_alone(cfg: RunConfig | DemoConfig) -> dict[str, Any]:
    """Mine as the stage `cfg` would at its start; a second call takes the mining that is there.

    Raises:
        UserError: the stage's run directory holds another mining already, or `cfg` is no stage 2.
    """
    if isinstance(cfg, DemoConfig):
        raise UserError("the demo mines for itself; give the recipe of a stage 2, such as recipes/grpo_stage2_7b.py")
    alone = copy.deepcopy(cfg)
    alone.task, alone.run_dir = "mine", f"{cfg.run_dir}-mining"
    source, target = Path(alone.run_dir), Path(cfg.run_dir)
    done = (source / MINED).is_file() and (target / MINED).is_file()
    if (target / MINED).is_file() and not (done and (source / MINED).read_bytes() == (target / MINED).read_bytes()):
        raise UserError(f"{target} has mined already; give this one another run_dir=..., or delete {target / MINED}")
    result = execute(alone)
    if os.environ.get("RANK", "0") == "0":
        for name in (MINING, MINED):  # the one that the stage looks for comes last
            files.write_text(target / name, (source / name).read_text(encoding="utf-8"))
    return result
