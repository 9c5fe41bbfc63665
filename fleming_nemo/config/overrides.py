"""`key.sub=value` overrides and YAML for the config dataclasses, with errors that name the field."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from fleming_nemo.config.errors import UserError
from fleming_nemo.config.fields import Option, describe_type, options
from fleming_nemo.config.schema import RunConfig

Config = TypeVar("Config")


def apply(cfg: Config, overrides: Sequence[str]) -> Config:
    """A copy of `cfg` with `["train.steps=10", ...]` set, later ones winning.

    A last part that no other option has will do: `steps=10`.

    Errors: UserError for an unknown key (with the nearest ones) and for a value of another type.
    """
    known = {o.key: o for o in options(type(cfg))}
    merged = OmegaConf.structured(cfg)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{text!r} is not an override; write key=value, for example train.steps=10")
        key = whole(key, known)
        try:
            merged = OmegaConf.merge(merged, _nested(key, value, known))
        except (OmegaConfBaseException, YAMLError) as error:
            raise UserError(_explain(key, value, known)) from error
    return _to_object(merged)


def to_yaml(cfg: Any) -> str:
    """The whole config as YAML, in the order of the schema."""
    return OmegaConf.to_yaml(OmegaConf.structured(cfg))


def from_yaml(path: str | Path, schema: type[Config] = RunConfig) -> Config:  # type: ignore[assignment]
    """Read what `to_yaml` wrote; unknown keys and wrong types are UserErrors that name the file."""
    try:
        loaded = OmegaConf.load(path)
        if not isinstance(loaded, DictConfig):
            raise UserError(f"{path} is not a valid {schema.__name__}: it holds no mapping; correct or remove the file")
        return _to_object(OmegaConf.merge(OmegaConf.structured(schema), loaded))
    except OSError as error:
        raise UserError(f"cannot read the config {path}: {error.strerror}") from error
    except (OmegaConfBaseException, YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a valid {schema.__name__}: {reason}; correct or remove the file") from error


def flatten(cfg: Any) -> dict[str, Any]:
    """Dotted key -> value of every leaf; a list is one leaf."""

    def walk(node: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(node, dict):
            return {prefix: node}
        leaves: dict[str, Any] = {}
        for name, sub in node.items():
            leaves |= walk(sub, f"{prefix}.{name}" if prefix else str(name))
        return leaves

    return walk(OmegaConf.to_container(OmegaConf.structured(cfg)), "")


def nearest(key: str, known: Sequence[str], count: int = 3) -> list[str]:
    """Known keys most like `key`, by the whole key or by its last part (`lr` -> `optim.lr`)."""
    leaf = key.rpartition(".")[2]

    def likeness(candidate: str) -> float:
        whole = difflib.SequenceMatcher(None, key, candidate).ratio()
        return max(whole, 0.95 * difflib.SequenceMatcher(None, leaf, candidate.rpartition(".")[2]).ratio())

    ranked = sorted(known, key=likeness, reverse=True)[:count]
    return [k for k in ranked if likeness(k) > max(0.5, likeness(ranked[0]) - 0.15)]


def whole(key: str, known: Collection[str]) -> str:
    """The option that a last part stands for, `lr` -> `optim.lr`; the key itself where it is none or several."""
    if key in known:
        return key
    ending = [k for k in known if k.endswith(f".{key}")]
    return ending[0] if len(ending) == 1 else key


def _nested(key: str, value: str, known: dict[str, Option]) -> Any:
    option = known.get(key)
    if option is not None and option.type is str:
        # Verbatim: `data.system_prompt=Answer: briefly` is text, not a YAML mapping.
        node: Any = value
        for part in reversed(key.split(".")):
            node = {part: node}
        return OmegaConf.create(node)
    return OmegaConf.from_dotlist([f"{key}={value}"])


def _explain(key: str, value: str, known: dict[str, Option]) -> str:
    if key in known:
        return f"{key} takes {describe_type(known[key].type)}, not {value!r}"
    inside = [k for k in known if k.startswith(key + ".")]
    if inside:
        return f"{key} is a section, not an option; set one of {', '.join(inside)}"
    close = nearest(key, list(known))
    hint = f"did you mean {' or '.join(close)}" if close else "--help lists the options"
    return f"there is no option {key!r}; {hint}"


def _to_object(node: Any) -> Any:
    try:
        return OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        raise UserError(f"the config cannot be resolved: {str(error).splitlines()[0]}") from error
