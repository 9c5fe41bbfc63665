"""A config file of NeMo-RL, NeMo 2 or NeMo-Aligner, read and translated."""

from __future__ import annotations

from pathlib import Path

from fleming_nemo.config import overrides
from fleming_nemo.config.errors import UserError
from fleming_nemo.config.schema import RunConfig
from fleming_nemo.config.validate import validate
from fleming_nemo.migrate import aligner, inherit, nemo2, nemo_rl
from fleming_nemo.migrate.rules import Import, translate

SCHEMAS = (nemo_rl, nemo2, aligner)
_KEYS = {nemo_rl: ("policy.", "grpo."), nemo2: ("_target_", "trainer.strategy."), aligner: ("trainer.grpo.", "model.")}


def import_file(file: Path, elsewhere: Path | None = None) -> Import:
    """Translate `file`; parents that are not where it says are looked for below `elsewhere`.

    Raises:
        UserError: a file is missing or none of the schemas that are known.
    """
    source = inherit.load(file, elsewhere)
    schema = next((s for s in SCHEMAS if all(any(k.startswith(p) for k in source) for p in _KEYS[s])), None)
    if schema is None:
        raise UserError(
            f"{file} is neither a GRPO config of NeMo-RL (policy, grpo) or NeMo-Aligner (trainer.grpo, model) nor a "
            "recipe of NeMo 2 (_target_, trainer); give one of these"
        )
    if schema is nemo2:
        source = nemo2.normalised(source)
    out = translate(schema.NAME, source, schema.TABLE)
    out.options = schema.base(source) | out.options
    return out


def config(imported: Import) -> RunConfig:
    """Our config of an import; UserError where a value does not fit its option."""
    return overrides.apply(RunConfig(), [f"{key}={text(value)}" for key, value in imported.options.items()])


def obstacle(cfg: RunConfig, arguments: dict[str, object]) -> str | None:
    """Why the config would not run on the machines that the file names; None if it would."""
    nodes, gpus = (
        int(str(arguments.get(name) or default)) for name, default in (("--nodes", 1), ("--gpus-per-node", 8))
    )
    try:
        validate(cfg, nodes * gpus)
    except UserError as error:
        return str(error)
    return None


def text(value: object) -> str:
    """A value as an override spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace(" ", "") if isinstance(value, list) else str(value)
