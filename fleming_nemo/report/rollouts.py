"""The rollouts of one GRPO step as a page: every group of responses beside its question."""

from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.report.page import environment, write_page
from fleming_nemo.report.run_files import Row, read_jsonl, require
from fleming_nemo.report.samples import split_response

_RESPONSE_FIELDS = ("text", "outcome", "reward", "advantage", "length", "logp_mean")
ORDERS = ("reward", "advantage", "length", "logp_mean")


def write_rollouts(run_dir: str | Path, step: int | None = None, order: str = "reward") -> Path:
    """Write `rollouts.html` from `rollouts/step_N.jsonl` of a run, its last step unless `step` names one.

    Groups with mixed rewards come first, since only they move the policy; inside a group responses are sorted by
    `order` (one of ORDERS), largest first. Raises UserError where the step was not saved or its file is broken.
    """
    run_dir = Path(run_dir)
    if order not in ORDERS:
        raise UserError(f'Rollouts cannot be sorted by "{order}"; choose one of {", ".join(ORDERS)}.')
    saved = saved_steps(run_dir)
    if not saved:
        raise UserError(f"{run_dir} holds no rollouts/step_N.jsonl: name the directory of a GRPO run.")
    step = saved[-1] if step is None else step
    if step not in saved:
        raise UserError(f"{run_dir} holds no rollouts of step {step}; saved are {', '.join(map(str, saved))}.")
    path = run_dir / "rollouts" / f"step_{step}.jsonl"
    rows = read_jsonl(path, ("item_id", "question", "letter", "responses"))
    groups = [_group(row, order, str(path)) for row in rows]
    groups.sort(key=lambda group: (not group["mixed"], group["mean"]))
    context = {"name": run_dir.resolve().name, "step": step, "order": order.replace("_", " "), "groups": groups}
    page = environment().get_template("rollouts.html.j2").render(context)
    return write_page(run_dir / "rollouts.html", page)


def saved_steps(run_dir: Path) -> list[int]:
    """The steps whose rollouts are on disk, in order."""
    names = [path.stem.removeprefix("step_") for path in (run_dir / "rollouts").glob("step_*.jsonl")]
    return sorted(int(name) for name in names if name.isdecimal())


def _group(row: Row, order: str, where: str) -> dict[str, Any]:
    for response in row["responses"]:
        require(response, _RESPONSE_FIELDS, f"{where}, item {row['item_id']}")
    rewards = [response["reward"] for response in row["responses"]]
    responses = sorted(row["responses"], key=lambda response: -response[order])
    return {
        "question": str(row["question"]),
        "options": row.get("options", []),
        "letter": row["letter"],
        "mixed": len(set(rewards)) > 1,
        "mean": sum(rewards) / len(rewards) if rewards else 0.0,
        "responses": [
            response | dict(zip(("thinking", "answer", "left_out"), split_response(response["text"]), strict=True))
            for response in responses
        ],
    }
