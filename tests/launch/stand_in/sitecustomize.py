"""Training and data of a second or less, for tests of starting, ending and resuming.

A folder with this file on PYTHONPATH makes Python import it first.  STAND_IN says what the runs do: `ok`, `user`,
`crash`, `exit`, `killed` (the last three on rank 1 alone), `wait` (until killed, in the stage STAND_IN_STAGE), `heed`
(until asked to stop), `asleep` (rank 1, while the other waits for it in a collective operation), `together` (collective
operations for ever) or `blocked` (in C, with the interpreter lock).
"""

import ctypes
import json
import os
import signal
import sys
import threading
import time
import types
from pathlib import Path


def run(cfg):
    folder, rank, stage = Path(cfg.run_dir), int(os.environ["RANK"]), cfg.stage
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    names += ("OMP_NUM_THREADS", "SECRET", "CUBLAS_WORKSPACE_CONFIG", "NCCL_ALGO", "NVTE_ALLOW_NONDETERMINISTIC_ALGO")
    place = {name: os.environ.get(name) for name in names} | {"terminal": os.isatty(2)}
    (folder / f"rank_{rank}.json").write_text(json.dumps(place))
    (folder / f"pid_{rank}").write_text(str(os.getpid()))
    print(f"rank {rank} is here", flush=True)
    what = os.environ.get("STAND_IN", "ok")
    if what == "wait" and os.environ.get("STAND_IN_STAGE", stage) == stage:
        time.sleep(600)
    if what == "heed":
        from fleming_nemo.training import stop

        while not stop.asked():
            time.sleep(0.01)
        raise stop.Stopped(stop.asked(), 7)
    if what == "user":
        from fleming_nemo.config.errors import UserError

        raise UserError("the corpus has a hole; build it again")
    if what in ("crash", "exit", "killed"):
        if rank != 1:
            time.sleep(600)  # as a collective would, whose peer is gone
        while not (folder / "pid_0").exists():
            time.sleep(0.01)
        if what == "crash":
            raise RuntimeError("division by cucumber")
        if what == "exit":
            os._exit(7)
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "blocked":
        beat(3, "train")
        ctypes.PyDLL(None).sleep(600)
    if what in ("asleep", "together"):
        dist = _distributed()
        beat(7, "generate")
        while True:
            if what == "asleep" and rank == 1:
                time.sleep(600)
            dist.barrier()
            beat()
            (folder / f"together_{rank}").touch()
    if rank == 0:
        while not all((folder / f"rank_{r}.json").exists() for r in range(int(os.environ["WORLD_SIZE"]))):
            time.sleep(0.01)
        score = {
            "stage": stage,
            "accuracy": 0.5,
            "n": 10,
            "ci95": [0.4, 0.6],
            "chance": 0.2,
            "greedy": 0.5,
            "malformed": 0.0,
        }
        (folder / "eval.json").write_text(json.dumps(score))
        card = {"parallel": {"tp": cfg.parallel.tp, "pp": 1, "cp": 1, "dp": cfg.parallel.dp}, "versions": {"x": "1"}}
        (folder / "card.json").write_text(json.dumps(card))
        if cfg.task == "mine":
            for name in ("mined.json", "mining.json"):
                (folder / name).write_text("{}")
        with open(folder.parent / "order.txt", "a") as order:
            order.write(f"{'mining for ' * (cfg.task == 'mine')}{stage} from {cfg.model.weights}\n")
    return {"stage": stage}


def beat(*progress):
    from fleming_nemo.training import watchdog

    watchdog.beat(*progress)


def _distributed():
    """torch.distributed; importing it takes longer than a test wants to wait for a rank that hangs."""
    there = threading.Event()

    def keep_beating():
        while not there.wait(0.1):
            beat()

    threading.Thread(target=keep_beating, daemon=True).start()
    import torch.distributed as dist

    dist.init_process_group("gloo")
    there.set()
    return dist


def prepare(data, seed):
    folder = Path(data.dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text("{}")


for module, function in {
    "fleming_nemo.sft.run": run,
    "fleming_nemo.grpo.run": run,
    "fleming_nemo.evaluation.run": run,
    "fleming_nemo.grpo.curriculum.alone": run,
    "fleming_nemo.launch.prepare": prepare,
}.items():
    sys.modules[module] = types.ModuleType(module)
    setattr(sys.modules[module], function.__name__, function)
