"""What the schema says about itself: every option with its dotted key, type, default and documentation.

Used by `--help`, by error messages and by the test that counts the options.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Option:
    key: str
    """Dotted, for example `train.steps`."""
    type: Any
    default: Any
    doc: str


def options(schema: type, prefix: str = "") -> Iterator[Option]:
    """Leaves of a config dataclass, depth first in the order of declaration."""
    hints = typing.get_type_hints(schema)
    docs = _docs(schema)
    for field in dataclasses.fields(schema):
        annotation = hints[field.name]
        key = prefix + field.name
        if dataclasses.is_dataclass(annotation):
            yield from options(typing.cast(type, annotation), key + ".")
        else:
            default = field.default_factory() if callable(field.default_factory) else field.default
            yield Option(key, annotation, default, docs.get(field.name, ""))


def describe_type(annotation: Any) -> str:
    """A type as a sentence says it: `an integer`, `a list of integers`."""
    lists = {"list[int]": "a list of integers", "list[float]": "a list of numbers"}
    if str(annotation) in lists:
        return lists[str(annotation)]
    return {int: "an integer", float: "a number", bool: "true or false", str: "a string"}.get(
        annotation, str(annotation)
    )


@functools.cache
def _docs(schema: type) -> dict[str, str]:
    """Field name -> the string literal below it; Python drops these at run time, so the source is parsed."""
    tree = ast.parse(inspect.getsource(sys.modules[schema.__module__]))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == schema.__name__)
    docs = {}
    for field, below in zip(body, body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split())
    return docs
