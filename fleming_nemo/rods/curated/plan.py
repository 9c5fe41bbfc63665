"""The plan of a corpus, a YAML file: which sources, which checks, which mix. Paths are relative to where it is run.

purpose: training              # evaluation = benchmarks for decontamination
sources:
  - {use: medqa, split: train, files: [data/medqa/train.jsonl]}
  - {use: medmcqa, split: train, revision: <commit of the hub>}
items: [data/rods/items.jsonl] # questions that are in this project's form already
label_check: {answers: data/answers.jsonl}        # or {endpoint: {base_url: ..., model: ...}}
difficulty: {ledger: runs/mined.json}             # or {endpoint: {...}}
mix: {total: 50000, language: {zh: 0.3}, difficulty: {easy: 0.3, moderate: 0.4, difficult: 0.3}}
duplicates: false              # exact and near duplicates stay (by default they leave)
benchmarks: [data/eval/x.jsonl]  # no item of these, nor a reworded one, stays
graph: data/kg                 # for the coverage of rare entities
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fleming_nemo.config.errors import UserError
from fleming_nemo.endpoint import EndpointForm
from fleming_nemo.rods.curated.difficulty import Thresholds
from fleming_nemo.rods.curated.hub import check_revision
from fleming_nemo.rods.curated.label_check import TRIALS
from fleming_nemo.rods.curated.mapping import Mapping, builtin_mappings, read_mappings, record
from fleming_nemo.rods.curated.mix import Mix


@dataclass(frozen=True)
class SourceEntry:
    """One split of one source: local `files`, or a `revision` of its data set on the hub."""

    use: str
    split: str
    files: tuple[str, ...] = ()
    revision: str = ""
    hub: str = ""
    hub_config: str = ""


@dataclass(frozen=True)
class LabelCheck:
    """Either an endpoint to ask or a file of recorded answers or ledger rows; `decisions` of a reviewer."""

    answers: str = ""
    endpoint: EndpointForm | None = None
    trials: int = TRIALS
    decisions: str = ""


@dataclass(frozen=True)
class DifficultyPlan:
    """Either rows of a ledger (`policy` where it holds several) or an endpoint that labels."""

    ledger: str = ""
    policy: str = ""
    endpoint: EndpointForm | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True)
class Plan:
    sources: tuple[SourceEntry, ...] = ()
    items: tuple[str, ...] = ()
    mappings: dict[str, Mapping] = field(default_factory=dict)
    purpose: str = "training"
    seed: int = 1
    label_check: LabelCheck | None = None
    difficulty: DifficultyPlan | None = None
    mix: Mix | None = None
    graph: str = ""
    duplicates: bool = True
    benchmarks: tuple[str, ...] = ()


def read_plan(path: Path) -> Plan:
    """The plan of a file. UserError with file and field, also when a source would bring a benchmark into training."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error
    return parse_plan(tree, str(path))


def parse_plan(tree: Any, where: str) -> Plan:
    """A Plan from plain values, see the head of this file."""
    own = tree.get("mappings", "") if isinstance(tree, dict) else ""
    if not isinstance(own, str):
        raise UserError(f"{where}, field mappings: expected the path of a YAML file, found {own!r}.")
    known = builtin_mappings() | (read_mappings(Path(own)) if own else {})
    values = record(Plan, {**tree, "mappings": {}} if own else tree, where)
    entries = values.get("sources", ())
    values["sources"] = tuple(SourceEntry(**record(SourceEntry, e, f"{where}, sources")) for e in entries)
    for name, parse in (("label_check", _label_check), ("difficulty", _difficulty), ("mix", _mix)):
        if values.get(name) is not None:
            values[name] = parse(values[name], f"{where}, {name}")
    values["mappings"] = {entry.use: known[entry.use] for entry in values["sources"] if entry.use in known}
    plan = Plan(**values)
    _check(plan, known, where)
    return plan


def _label_check(value: Any, at: str) -> LabelCheck:
    found = record(LabelCheck, value, at)
    if found.get("endpoint") is not None:
        found["endpoint"] = EndpointForm(**record(EndpointForm, found["endpoint"], f"{at}, endpoint"))
    if bool(found.get("answers")) == bool(found.get("endpoint")):
        raise UserError(f"{at}: expected either `answers` (a file) or `endpoint`.")
    if type(found.get("trials", 1)) is not int or found.get("trials", 1) < 1:
        raise UserError(f"{at}, field trials: expected a count, found {found['trials']!r}.")
    return LabelCheck(**found)


def _difficulty(value: Any, at: str) -> DifficultyPlan:
    found = record(DifficultyPlan, value, at)
    if found.get("endpoint") is not None:
        found["endpoint"] = EndpointForm(**record(EndpointForm, found["endpoint"], f"{at}, endpoint"))
    if "thresholds" in found:
        found["thresholds"] = Thresholds(**record(Thresholds, found["thresholds"], f"{at}, thresholds"))
    if bool(found.get("ledger")) == bool(found.get("endpoint")):
        raise UserError(f"{at}: expected either `ledger` (a file) or `endpoint`.")
    return DifficultyPlan(**found)


def _mix(value: Any, at: str) -> Mix:
    return Mix(**record(Mix, value, at))


def _check(plan: Plan, known: dict[str, Mapping], where: str) -> None:
    if plan.purpose not in ("training", "evaluation"):
        raise UserError(f"{where}, field purpose: {plan.purpose!r}; expected training or evaluation.")
    if type(plan.duplicates) is not bool:
        raise UserError(f"{where}, field duplicates: expected true or false, found {plan.duplicates!r}.")
    if type(plan.seed) is not int:
        raise UserError(f"{where}, field seed: expected a whole number, found {plan.seed!r}.")
    if not plan.sources and not plan.items:
        raise UserError(f"{where}: no sources and no items; name at least one.")
    for number, entry in enumerate(plan.sources, 1):
        at = f"{where}, source {number} ({entry.use}, {entry.split})"
        if entry.use not in known:
            raise UserError(f"{at}: unknown source; known are {', '.join(sorted(known))}, or declare it in `mappings`.")
        mapping = known[entry.use]
        if bool(entry.files) == bool(entry.revision):
            raise UserError(f"{at}: expected either `files` or a `revision` on the hub.")
        if entry.revision:
            if not (entry.hub or mapping.hub):
                raise UserError(f"{at}: this source has no hub id; name `files`, or `hub`.")
            check_revision(entry.hub or mapping.hub, entry.revision)
        closed = mapping.evaluation_splits
        if plan.purpose == "training" and ("*" in closed or entry.split in closed):
            raise UserError(f"{at}: this split is a benchmark and never training data; set `purpose: evaluation`.")
