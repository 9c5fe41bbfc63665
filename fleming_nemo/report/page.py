"""Templates, number formats and the atomic write of an HTML page."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fleming_nemo.data.files import write_text


def environment() -> Environment:
    """Templates escape everything they are given: questions and responses are foreign text."""
    env = Environment(
        loader=PackageLoader("fleming_nemo.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"percent": percent, "points": points, "number": number, "duration": duration}
    return env


def write_page(path: Path, page: str) -> Path:
    """Write a page in one step; half a surrogate pair, which a model can emit and UTF-8 cannot hold, becomes "?"."""
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (dotted key, text) pairs, for a two-column table."""
    if isinstance(value, dict):
        return [
            pair for key, inner in value.items() for pair in flatten(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        return [pair for index, inner in enumerate(value) for pair in flatten(inner, f"{prefix}.{index}")]
    return [(prefix, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]


def percent(share: float | None) -> str:
    """A share of 1 as per cent with one decimal; a dash where it is unknown."""
    return "–" if share is None else f"{share:.1%}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{difference * 100:+.1f}".replace("-", "−")


def number(value: Any) -> str:
    """Thousands separated; one decimal for a fraction; text as it is; a dash where it is unknown."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def duration(seconds: float | None) -> str:
    """As 43 s, 12 min 5 s or 3 h 20 min."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
