"""A trainer that only asks rollout servers, for tests of what the batch scripts do with these.

A folder with this file on PYTHONPATH makes Python import it first. Rank 0 asks every server whose address it finds
until RUN_DIR/enough is there, and notes each answer in RUN_DIR/answers.txt.
"""

import json
import os
import sys
import time
import types
import urllib.request
from pathlib import Path


def run(cfg):
    folder, rank = Path(cfg.run_dir), os.environ["RANK"]
    (folder / f"rank_{rank}.json").write_text(json.dumps({"pid": os.getpid(), "node": os.environ["SLURMD_NODENAME"]}))
    servers = Path(os.environ["FLEMING_ROLLOUT_SERVERS"]).parent
    while not (folder / "enough").exists():
        for address in servers.glob("*.address") if rank == "0" else ():
            answer = _ask(address.read_text())
            if answer:
                with open(folder / "answers.txt", "a") as answers:
                    answers.write(f"{answer}\n")
        time.sleep(0.2)
    return {"stage": cfg.stage}


def _ask(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return reply.read().decode()
    except OSError:
        return None  # gone, or not there yet


def prepare(data, seed):
    folder = Path(data.dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text("{}")


for module, function in {"fleming_nemo.grpo.run": run, "fleming_nemo.launch.prepare": prepare}.items():
    sys.modules[module] = types.ModuleType(module)
    setattr(sys.modules[module], function.__name__, function)
