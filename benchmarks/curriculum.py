"""What the curriculum of stage 2 is worth, on the demo's pipeline: quarantine under label noise, and mining.

    python benchmarks/curriculum.py --seeds 1,2,3

(a) In a tenth of the reinforcement-learning pool another option is marked as right.  A simulated label check fails 80 %
    of these planted items and, wrongly, 5 % of the good ones.  Stage 1 and then stage 2 train on that pool, stage 2
    with quarantine and without.  Printed: accuracy on the (clean) held-out questions, share of the planted items found.
(b) On the clean pool, stage 2 with mining against stage 2 that draws from all of the pool alike.  The latter gets as
    many steps more as the rollouts of the mining make: both generate equally many responses.

Everything is kept in --out, and the same command goes on after a kill.  Without --quick an hour a seed on two cores.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
import shutil
from collections.abc import Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from fleming_nemo.config.errors import reported
from fleming_nemo.config.schema import DemoConfig, RunConfig
from fleming_nemo.data import files
from fleming_nemo.data.items import LETTERS, QAItem, read_items, write_items
from fleming_nemo.launch import local
from fleming_nemo.launch.preflight import prepare_data
from fleming_nemo.launch.resolve import load_recipe, resolve
from fleming_nemo.launch.stages import chain

DEMO = Path(__file__).resolve().parents[1] / "recipes" / "demo.py"
PLANTED = 0.10
FOUND_BY_THE_CHECK = 0.80
GOOD_ITEMS_FAILED = 0.05
POOL = "items_rl.jsonl"
TRUTH = "planted.json"


@dataclass
class Outcome:
    """One stage 2: accuracy on the held-out questions (sampled, mean over seeds), and what was quarantined."""

    accuracy: float
    ci95: list[float]
    by_difficulty: dict[str, float]
    quarantined: int = 0
    planted_quarantined: int = 0
    planted: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3", help="seeds of the whole pipeline")
    parser.add_argument("--out", type=Path, default=Path("runs/bench_curriculum"), help="everything goes here")
    parser.add_argument("--quick", action="store_true", help="the demo's quick sizes: shows that it works, no more")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    with reported(args.debug):
        out = args.out.with_name(args.out.name + "-quick") if args.quick else args.out
        found = {}
        for seed in map(int, args.seeds.split(",")):
            stages = _stages(out / f"seed_{seed}", seed, args.quick)
            found[seed] = {**_mining_or_not(stages), **_quarantine_or_not(stages, seed)}
            files.write_json(
                out / "results.json", {s: {n: asdict(o) for n, o in row.items()} for s, row in found.items()}
            )
        print(table(found))


def _stages(root: Path, seed: int, quick: bool) -> dict[str, RunConfig]:
    cfg = resolve(load_recipe(DEMO), [f"run_dir={root}", f"seed={seed}"], tiny=quick)
    assert isinstance(cfg, DemoConfig)
    stages = chain(cfg)
    for name in ("sft", "grpo_stage1"):  # whose accuracy nobody asks for here
        stages[name].eval.seeds, stages[name].eval.limit = 0, 20
    prepare_data(stages["sft"])
    local.launch(stages["sft"])
    return stages


def _mining_or_not(stages: dict[str, RunConfig]) -> dict[str, Outcome]:
    local.launch(stages["grpo_stage1"])
    mined = stages["grpo_stage2"]
    uniform = copy.deepcopy(mined)
    uniform.run_dir = str(Path(mined.run_dir).parent / "uniform")
    pool = read_items(Path(mined.data.dir) / POOL)
    uniform.train.steps += round(len(pool) * mined.grpo.mining_rollouts / _rollouts_of_a_step(mined))
    uniform.grpo.mix = [1, 0]
    _all_right(Path(uniform.run_dir), pool)
    return {"mining": _train(mined), "uniform": _train(uniform)}


def _rollouts_of_a_step(cfg: RunConfig) -> int:
    return cfg.grpo.prompts_per_step * cfg.grpo.rollouts_per_prompt


def _all_right(run_dir: Path, pool: list[QAItem]) -> None:
    """A mining that puts every question in one pool, from which all are then drawn alike."""
    rows = [{"item_id": item.id, "policy": "none", "round": "mining", "rollouts": 1, "correct": 1} for item in pool]
    if not (run_dir / "mined.json").is_file():
        files.write_json(run_dir / "mined.json", [row | {"truncated": 0, "unparsable": 0} for row in rows])


def _quarantine_or_not(stages: dict[str, RunConfig], seed: int) -> dict[str, Outcome]:
    root = Path(stages["sft"].run_dir).parent / "noisy"
    data = _plant(Path(stages["sft"].data.dir), root / "data", seed)
    first, second = copy.deepcopy(stages["grpo_stage1"]), copy.deepcopy(stages["grpo_stage2"])
    first.data.dir = second.data.dir = str(data)
    first.run_dir = second.model.weights = str(root / "grpo_stage1")
    local.launch(first)
    made = {}
    for name, on in (("quarantine on", True), ("quarantine off", False)):
        cfg = copy.deepcopy(second)
        cfg.run_dir, cfg.grpo.quarantine = str(root / name.replace(" ", "_")), on
        made[name] = _train(cfg, set(files.read_json(data / TRUTH)))
    return made


def _plant(clean: Path, noisy: Path, seed: int) -> Path:
    """A copy of the data in which some labels are wrong, with the review file of a simulated label check."""
    if noisy.is_dir():
        return noisy
    rng = random.Random(f"label noise {seed}")
    items = read_items(clean / POOL)
    planted = {item.id for item in rng.sample(items, round(PLANTED * len(items)))}
    temporary = noisy.with_name(".data.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(clean, temporary)
    write_items(temporary / POOL, [_relabel(item, rng) if item.id in planted else item for item in items])
    failed = [i for i in items if rng.random() < (FOUND_BY_THE_CHECK if i.id in planted else GOOD_ITEMS_FAILED)]
    reason = "wrong in all 5 trials (simulated)"
    files.write_jsonl(temporary / "review.jsonl", [{"id": item.id, "reason": reason} for item in failed])
    files.write_json(temporary / TRUTH, sorted(planted))
    temporary.rename(noisy)
    return noisy


def _relabel(item: QAItem, rng: random.Random) -> QAItem:
    others = [n for n in range(len(item.options)) if LETTERS[n] != item.letter]
    return replace(item, answer=rng.choice(others))


def _train(cfg: RunConfig, planted: Set[str] = frozenset()) -> Outcome:
    local.launch(cfg)
    folder = Path(cfg.run_dir)
    evaluation = files.read_json(folder / "eval.json")
    out = set(files.read_json(folder / "mining.json")["quarantine"]["items"])
    return Outcome(
        accuracy=evaluation["accuracy"],
        ci95=evaluation["ci95"],
        by_difficulty={tier: row["accuracy"] for tier, row in evaluation["by_difficulty"].items()},
        quarantined=len(out),
        planted_quarantined=len(out & planted),
        planted=len(planted),
    )


def table(found: dict[int, dict[str, Outcome]]) -> str:
    """Accuracy of every variant by seed, the differences of each pair, and what the quarantine caught."""
    seeds = list(found)
    lines = [_row("accuracy, held-out", *(f"seed {s}" for s in seeds), "mean")]
    for name in found[seeds[0]]:
        lines.append(_percent(name, [found[s][name].accuracy for s in seeds]))
    for one, other in (("mining", "uniform"), ("quarantine on", "quarantine off")):
        lines.append(
            _percent(f"{one} - {other}", [found[s][one].accuracy - found[s][other].accuracy for s in seeds], "+")
        )
        lines.append(_percent("  of difficult ones", [_difficult(found[s], one, other) for s in seeds], "+"))
    on = [found[s]["quarantine on"] for s in seeds]
    lines.append(_percent("planted items found", [o.planted_quarantined / o.planted for o in on]))
    caught = [o.planted_quarantined / o.quarantined if o.quarantined else 0.0 for o in on]
    lines.append(_percent("planted in quarantine", caught))
    lines.append(
        _row("items in quarantine", *(str(o.quarantined) for o in on), f"{fmean(o.quarantined for o in on):.1f}")
    )
    return "\n".join(lines)


def _difficult(row: dict[str, Outcome], one: str, other: str) -> float:
    """NaN where the held-out questions of --quick happen to hold no difficult one."""
    of = [row[name].by_difficulty.get("difficult", math.nan) for name in (one, other)]
    return of[0] - of[1]


def _percent(name: str, values: list[float], sign: str = "") -> str:
    return _row(name, *("-" if math.isnan(v) else f"{100 * v:{sign}.1f} %" for v in [*values, fmean(values)]))


def _row(name: str, *cells: Any) -> str:
    return f"{name:34}" + "".join(f"{cell:>10}" for cell in cells)


if __name__ == "__main__":
    main()
