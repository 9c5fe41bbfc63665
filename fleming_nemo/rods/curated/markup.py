"""HTML in a text: harmless marks are taken off, structure that carries meaning (tables, images) is refused.

"p < 0.05" and "<br" in prose are no tags: only the names below, closed by ">", count.
"""

from __future__ import annotations

import html
import re
from collections import Counter

from fleming_nemo.rods.curated.rejects import Refused

_BREAKS = re.compile(r"<(?:br|/?p|/?div|/?li|/?ul|/?ol|/?h[1-6]|hr)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_SUPERSCRIPT = re.compile(r"<sup(?:\s[^<>]*)?>\s*([^<>]*?)\s*</sup\s*>", re.IGNORECASE)
_PLAIN = re.compile(r"</?(?:b|i|u|em|strong|span|font|small|sub|sup|a|code|tt|center)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_STRUCTURE = re.compile(
    r"<(?:!doctype|html|head|body|table|tr|td|th|img|svg|script|style|iframe|object|video|audio|form|input|math)\b[^<>]*>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def strip_markup(text: str, field: str, changes: Counter[str]) -> str:
    """The text without tags and entities; a superscript keeps its sense ("10^9").

    Raises Refused for a table, an image or a whole page: what they show is not in the text.
    """
    structure = _STRUCTURE.search(text)
    if structure:
        raise Refused(field, f"HTML that cannot be read as text: {structure[0][:40]}")
    stripped = text
    if "<" in stripped:
        stripped = _SUPERSCRIPT.sub(r"^\1", _BREAKS.sub("\n", stripped))
        stripped = _PLAIN.sub("", stripped)
        changes["HTML tags removed"] += stripped != text
    if "&" in stripped:
        # Twice: "&amp;lt;" was escaped two times. Entities come last, so that "&lt;b&gt;" stays the text it means.
        plain = _ENTITY.sub(_character, _ENTITY.sub(_character, stripped))
        changes["HTML entities decoded"] += plain != stripped
        stripped = plain
    return stripped


def _character(entity: re.Match[str]) -> str:
    return html.unescape(entity[0])
