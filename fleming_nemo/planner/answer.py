"""What `fleming plan` prints."""

from __future__ import annotations

import json

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.planner import render
from fleming_nemo.planner.hardware import find_gpu
from fleming_nemo.planner.plan import plan
from fleming_nemo.planner.search import search
from fleming_nemo.planner.workload import from_config


def answer(cfg: RunConfig | DemoConfig, gpus: int, gpu: str, searching: bool, as_json: bool) -> str:
    """The plan of a run on `gpus` GPUs called `gpu`, or its fastest layouts, as text or JSON.

    Raises:
        UserError: an unknown GPU, a layout that cannot be, or a search that finds none.
    """
    kind = find_gpu(gpu)
    if isinstance(cfg, DemoConfig):
        raise UserError("the demo runs on a CPU and is not planned; give the recipe of one training run")
    if gpus < 1:
        raise UserError(f"--gpus is {gpus}; give at least 1")
    name = f"{cfg.stage} ({cfg.task}) of {cfg.model.arch}"
    if not searching:
        made = plan(from_config(cfg, gpus, kind))
        return json.dumps(render.as_dict(made), indent=1) if as_json else render.report(name, made)
    found = search(cfg, gpus, kind)
    if as_json:
        return json.dumps([{"overrides": f.overrides.split(), **render.as_dict(f.plan)} for f in found], indent=1)
    return render.layouts(name, gpus, gpu, found)
