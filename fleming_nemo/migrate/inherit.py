"""YAML with the inheritance and the arithmetic of NeMo-RL's configs.

`defaults:` names one or several files that a file builds on, relative to its own folder; a section with
`_override_: true` replaces that of its parents instead of being merged; `${a.b}` refers to another field, and `${mul:a,
b}` and its kind compute (nemo_rl/utils/config.py).
"""

from __future__ import annotations

import inspect
import operator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fleming_nemo.config.errors import UserError
from fleming_nemo.migrate.rules import Source, flatten

_ARITHMETIC = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "max": max,
    # NeMo-Aligner's names
    "subtract": operator.sub,
    "multiply": operator.mul,
    "int_div": operator.floordiv,
}


def load(file: Path, elsewhere: Path | None = None) -> Source:
    """Leaves of a config by dotted key, its parents merged in and its references resolved.

    Args:
        elsewhere: folder of a checkout in which a parent is looked for that is not where the file says.

    Raises:
        UserError: a file is missing or no mapping, parents go round in a circle, or a reference leads nowhere.
    """
    # omegaconf 2.4 gave the plain name its meaning; hydra, which nemo-toolkit brings, asks for 2.3
    plain = OmegaConf.register_resolver
    register = plain if "replace" in inspect.signature(plain).parameters else OmegaConf.register_new_resolver
    for name, compute in _ARITHMETIC.items():
        if not OmegaConf.has_resolver(name):
            register(name, lambda a, b, compute=compute: compute(a, b))
    merged = _merged(file, elsewhere, ())
    try:
        return flatten(OmegaConf.to_container(merged, resolve=True))
    except OmegaConfBaseException as error:
        raise UserError(f"{file} cannot be resolved: {str(error).splitlines()[0]}; correct the reference") from error


def _merged(file: Path, elsewhere: Path | None, children: tuple[Path, ...]) -> DictConfig:
    if file in children:
        raise UserError(f"{file} inherits from itself; correct its `defaults`")
    config = _read(file)
    parents = config.pop("defaults") if "defaults" in config else []
    base = OmegaConf.create({})
    for name in [parents] if isinstance(parents, str) else parents:
        if isinstance(name, str) and name.startswith("optional "):  # Hydra's: a group that need not be there
            continue
        base = _over(base, _merged(_find(file, str(name), elsewhere), elsewhere, (*children, file)))
    return _over(base, config)


def _read(file: Path) -> DictConfig:
    if file.suffix == ".py":
        raise UserError(f"{file} is Python; dump the recipe as YAML first (nemo llm ... --to-yaml FILE)")
    if file.suffix == ".nemo":
        raise UserError(f"{file} is an archive; export it as a Hugging Face folder, and give that to model.weights")
    try:
        config = OmegaConf.load(file)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give the path of a config") from error
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is no YAML: {' '.join(str(error).split())[:200]}; correct it") from error
    if not isinstance(config, DictConfig):
        raise UserError(f"{file} holds no mapping; give the path of a config")
    return config


def _find(child: Path, name: str, elsewhere: Path | None) -> Path:
    """The parent `name` of `child`: beside it, else anywhere below `elsewhere` with the longest common ending."""
    beside = (child.parent / name).resolve()
    if beside.is_file():
        return beside
    found = sorted(elsewhere.rglob(Path(name).name)) if elsewhere else []
    if not found:
        raise UserError(
            f"{child} builds on {name}, which is not there; give the configs folder of a checkout by --defaults DIR"
        )
    return min(found, key=lambda path: len(path.parts)).resolve()


def _over(base: DictConfig, top: DictConfig) -> DictConfig:
    for key in list(top):
        section: Any = OmegaConf.to_container(top, resolve=False)[key]  # type: ignore[index]
        if isinstance(section, dict) and section.get("_override_"):
            top[key].pop("_override_")
            base.pop(key, None)
    return OmegaConf.merge(base, top)  # type: ignore[return-value]
