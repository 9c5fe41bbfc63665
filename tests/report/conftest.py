"""A plausible demo directory, as the pipeline leaves it behind."""

import json
import math
import random
from pathlib import Path

import pytest

from fleming_nemo.report.html import write_report

ACCURACY = {"base": 0.243, "sft": 0.468, "grpo_stage1": 0.617, "grpo_stage2": 0.702}
LETTERS = "ABCD"
DISEASES = [
    "Marfan syndrome",
    "Fabry disease",
    "Wilson disease",
    "Alport syndrome",
    "Gaucher disease",
    "Pompe disease",
    "Refsum disease",
    "Stargardt disease",
]


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def evaluation(stage: str) -> dict:
    accuracy = ACCURACY[stage]
    return {
        "stage": stage,
        "accuracy": accuracy,
        "n": 600,
        "ci95": [accuracy - 0.031, accuracy + 0.032],
        "seeds": [accuracy - 0.006, accuracy + 0.004, accuracy + 0.009, accuracy - 0.007],
        "greedy": accuracy + 0.011,
        "chance": 0.25,
        "malformed": {"base": 0.31, "sft": 0.02, "grpo_stage1": 0.004, "grpo_stage2": 0.001}[stage],
        "truncated": {"base": 0.05, "sft": 0.012, "grpo_stage1": 0.008, "grpo_stage2": 0.011}[stage],
        "by_difficulty": {
            "easy": {"accuracy": min(1, accuracy + 0.15), "n": 200},
            "moderate": {"accuracy": accuracy, "n": 220},
            "difficult": {"accuracy": accuracy - 0.14, "n": 180},
        },
        "mean_length": {"base": 61.0, "sft": 92.4, "grpo_stage1": 118.9, "grpo_stage2": 131.2}[stage],
    }


def samples(stage: str) -> list[dict]:
    """Question q has a threshold; a stage is right above it, with a few slips."""
    rng = random.Random(11)
    rows = []
    for index in range(60):
        threshold, slip = rng.random(), rng.random()
        right = (ACCURACY[stage] > threshold) != (slip < 0.06 and stage in ("sft", "grpo_stage2"))
        answer = index % 4
        chosen = answer if right else (answer + 1 + index % 3) % 4
        options = rng.sample(DISEASES, 4)
        reasoning = (
            f"The findings are lens dislocation and a dilated aortic root. {options[chosen]} has both as frequent "
            "features; the age of onset fits as well."
        )
        if stage in ("grpo_stage1", "grpo_stage2"):
            reasoning += f" {options[(chosen + 1) % 4]} lacks the first finding and is excluded, and so are the others."
        text = f"<think>\n{reasoning}\n</think>\n\n<answer>{LETTERS[chosen]}</answer>"
        outcome = "correct" if right else "wrong"
        if stage == "base" and index % 3 == 0:
            text, outcome = f"{options[chosen]} {options[chosen]} because < lens & aorta", "malformed"
        rows.append(
            {
                "item_id": f"q{index:03d}",
                "question": f"A {20 + index}-year-old has lens dislocation, a dilated aortic root & WBC < 4. "
                "Which diagnosis fits best?",
                "options": options,
                "letter": LETTERS[answer],
                "response": text,
                "outcome": outcome,
                "difficulty": ("easy", "moderate", "difficult")[index % 3],
            }
        )
    return rows


def grpo_metrics(stage: str, steps: int, start: float, end: float) -> list[dict]:
    rng = random.Random(stage)
    rows = []
    for step in range(1, steps + 1):
        done = step / steps
        rise = 1 - math.exp(-3 * done)
        rows.append(
            {
                "step": step,
                "stage": stage,
                "reward": start + (end - start) * rise + rng.gauss(0, 0.035),
                "malformed": max(0, 0.03 * (1 - done) + rng.gauss(0, 0.005)),
                "truncated": max(0, 0.012 + rng.gauss(0, 0.004)),
                "response_length": 92 + 30 * done + rng.gauss(0, 4),
                "entropy": 0.62 - 0.3 * rise + rng.gauss(0, 0.015),
                "zero_variance": min(1, max(0, 0.18 + 0.25 * done + rng.gauss(0, 0.04))),
                "mismatch_kl": abs(rng.gauss(2e-7, 1e-7)),
                "mismatch_max": 3.1e-5,
                "grad_norm": abs(rng.gauss(0.5, 0.1)),
                "lr": 1e-5,
                "tokens_per_second": 5400 + rng.gauss(0, 150),
                "seconds": {"generate": 1.9, "train": 0.8},
            }
            | (
                {"zero_variance_ema": 0.18 + 0.25 * done, "reward_slope": 1e-3, "reward_slope_noise": 4e-4}
                if step > 19
                else {}
            )
            | ({"heldout_accuracy": start + 0.02 + (end - start) * rise + rng.gauss(0, 0.01)} if step % 20 == 0 else {})
        )
    return rows


def make_demo(root: Path) -> Path:
    write_json(
        root / "data" / "funnel.json",
        {
            "candidate_sets": 21400,
            "rejected_by_proof": 12380,
            "proven_sets": 9020,
            "proven_sets_by_split": {"sft": 4510, "rl": 2255, "heldout": 2255},
            "rejected_by_leak": {"difficult": 41, "easy": 112},
            "accepted": {
                "sft": {"easy": 2000, "moderate": 2000, "difficult": 2000},
                "rl": {"easy": 300, "moderate": 300, "difficult": 300},
                "heldout": {"easy": 200, "moderate": 200, "difficult": 200},
            },
        },
    )
    write_json(
        root / "data" / "manifest.json",
        {
            "tokenizer_sha256": "77ab0c1d",
            "documents": 6000,
            "sources": {"kg": {"items": 7500, "licence": "HPO licence"}, "drills": {"items": 20, "licence": "none"}},
            "files": {"tokens.bin": {"bytes": 812034, "sha256": "00bb17aa31"}},
        },
    )
    for stage in ACCURACY:
        write_json(root / stage / "eval.json", evaluation(stage))
        write_jsonl(root / stage / "eval_samples.jsonl", samples(stage))
        card = {"git": "4f2d1c9", "hardware": {"cpus": 2, "gpus": 0}, "data": {"manifest": "sha256:5150ab"}}
        write_json(root / stage / "card.json", card)
        (root / stage / "config.yaml").write_text(f"stage: {stage}\ngrpo:\n  mix: [1, 2]\n", encoding="utf-8")
        (root / stage / "DONE").touch()
    sft = [
        {"step": step, "stage": "sft", "loss": 0.4 + 3.5 * math.exp(-step / 30), "tokens_per_second": 21000.0}
        for step in range(1, 181)
    ]
    write_jsonl(root / "sft" / "metrics.jsonl", sft)
    write_jsonl(root / "grpo_stage1" / "metrics.jsonl", grpo_metrics("grpo_stage1", 120, 0.45, 0.63))
    write_jsonl(root / "grpo_stage2" / "metrics.jsonl", grpo_metrics("grpo_stage2", 80, 0.42, 0.58))
    mining = {
        "policy_version": "runs/demo/grpo_stage1",
        "rollouts_per_item": 8,
        "right": 512,
        "wrong": 160,
        "between": 217,
        "quarantined": 11,
        "by_difficulty": {
            "difficult": {
                "items": 300,
                "pass_rate": 0.312,
                "right": 73,
                "wrong": 103,
                "between": 113,
                "quarantined": 11,
            },
            "easy": {"items": 300, "pass_rate": 0.874, "right": 268, "wrong": 9, "between": 23},
            "moderate": {"items": 300, "pass_rate": 0.581, "right": 171, "wrong": 48, "between": 81},
        },
    }
    mining["quarantine"] = {"note": "label check as data/review.jsonl has it", "count": 11, "items": ["q1"]}
    row = {
        "step": 0,
        "right": 490,
        "wrong": 190,
        "between": 208,
        "quarantined": 12,
        "entered_wrong": 0,
        "left_wrong": 0,
    }
    later = {"step": 40, "right": 512, "wrong": 160, "between": 217, "quarantined": 11}
    mining["rounds"] = [row, later | {"entered_wrong": 21, "left_wrong": 51}]
    write_json(root / "grpo_stage2" / "mining.json", mining)
    signs = {"zero_variance_ema": 0.56, "reward_slope": 2e-5, "reward_slope_noise": 4e-4}
    rule = {"window": 20, "sparse_above": 0.5}
    write_json(root / "grpo_stage1" / "switch.json", signs | {"acts": True, "reached": 120, "steps": 120, "rule": rule})
    write_json(
        root / "summary.json",
        {
            "stages": {name: {"accuracy": accuracy, "n": 600} for name, accuracy in ACCURACY.items()},
            "wall_seconds": 1623.4,
            "parallel": {"tp": 2, "pp": 1, "cp": 1, "dp": 2},
            "parallel_by_stage": {
                name: {"tp": 1 + (name == "sft"), "pp": 1, "cp": 1, "dp": 2 - (name == "sft")} for name in ACCURACY
            },
            "versions": {"python": "3.11.9", "torch": "2.13.0", "megatron-core": "0.16.1"},
        },
    )
    return root


@pytest.fixture
def demo_dir(tmp_path: Path) -> Path:
    return make_demo(tmp_path / "demo")


@pytest.fixture(scope="session")
def finished_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of an untouched demo directory."""
    return write_report(make_demo(tmp_path_factory.mktemp("finished") / "demo")).read_text(encoding="utf-8")


@pytest.fixture
def grpo_dir(tmp_path: Path) -> Path:
    """A GRPO run with saved rollouts of two steps: one group all right, one mixed."""
    run = tmp_path / "grpo_stage1"
    write_jsonl(run / "metrics.jsonl", grpo_metrics("grpo_stage1", 40, 0.45, 0.6))

    def response(letter: str, right: bool, length: int, advantage: float) -> dict:
        return {
            "text": f"<think>\nlens & aorta, so {letter}\n</think>\n\n<answer>{letter}</answer>",
            "outcome": "correct" if right else "wrong",
            "reward": float(right),
            "advantage": advantage,
            "length": length,
            "logp_mean": -0.21,
        }

    settled = {
        "item_id": "q1",
        "question": "Settled question?",
        "options": ["Marfan syndrome", "Fabry disease"],
        "letter": "A",
        "responses": [response("A", True, 20, 0.0), response("A", True, 25, 0.0)],
    }
    mixed = {
        "item_id": "q2",
        "question": "Open question?",
        "options": ["Pompe disease", "Refsum disease"],
        "letter": "B",
        "responses": [response("A", False, 40, -0.5), response("B", True, 30, 0.5)],
    }
    write_jsonl(run / "rollouts" / "step_9.jsonl", [settled])
    write_jsonl(run / "rollouts" / "step_10.jsonl", [settled, mixed])
    return run
