"""Pages of a folder: plain text and Markdown files, and MediaWiki XML dumps (also .bz2 and .gz)."""

import bz2
import gzip
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.rejects import Rejects

PLAIN = (".txt", ".md")
DUMPS = (".xml", ".xml.bz2", ".xml.gz")
PAGE_LIMIT = 10 << 20
_MARKUP = (
    (re.compile(r"<!--.*?-->|<ref[^>/]*/>|<ref.*?</ref>", re.S), " "),
    (re.compile(r"\{\{[^{}]*\}\}"), " "),  # repeated below, templates nest
    (re.compile(r"\[\[(?:File|Image|Category):[^\[\]]*\]\]", re.I), " "),
    (re.compile(r"\[\[(?:[^|\[\]]*\|)?([^|\[\]]*)\]\]"), r"\1"),
    (re.compile(r"\[https?://\S+ ?([^\]]*)\]"), r"\1"),
    (re.compile(r"<[^<>]{1,200}>"), " "),
    (re.compile(r"'{2,}|={2,}"), ""),
)


@dataclass(frozen=True, slots=True)
class Page:
    file: str
    title: str
    text: str


def files_of(folder: Path) -> list[Path]:
    """Raises UserError when the folder is missing or holds no page file."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name one with .txt, .md or MediaWiki .xml files.")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name.endswith((*PLAIN, *DUMPS)))
    if not files:
        raise UserError(f"{folder}: holds no .txt, .md or MediaWiki .xml file.")
    return files


def read_pages(folder: Path, rejects: Rejects) -> Iterator[Page]:
    """Pages by file name, then in the order of the dump; unreadable and oversized ones are set aside."""
    for path in files_of(folder):
        name = str(path.relative_to(folder))
        if not name.endswith(PLAIN):
            yield from _dump(path, name, rejects)
            continue
        if path.stat().st_size > PAGE_LIMIT:
            rejects.add(name, 1, "text", "longer than 10 MiB")
            continue
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            rejects.add(name, 1, "text", f"not UTF-8: {error.reason} at byte {error.start}")
            continue
        if text.strip():
            yield Page(name, path.stem, plain(text))
        else:
            rejects.add(name, 1, "text", "empty page")


def _dump(path: Path, name: str, rejects: Rejects) -> Iterator[Page]:
    openers: dict[str, Any] = {".bz2": bz2.open, ".gz": gzip.open}
    number, title, body, space = 0, "", "", "0"
    try:
        with openers.get(path.suffix, open)(path, "rb") as file:
            for _, element in ET.iterparse(file):
                tag = element.tag.rsplit("}", 1)[-1]
                if tag == "title":
                    title = element.text or ""
                elif tag == "ns":
                    space = element.text or "0"
                elif tag == "text":
                    body = element.text or ""
                elif tag == "page":
                    number += 1
                    text = plain(body)
                    if space != "0" or body.lstrip().lower().startswith("#redirect"):
                        pass  # talk pages, templates and redirects are no articles
                    elif not text or len(body) > PAGE_LIMIT:
                        rejects.add(name, number, "text", "longer than 10 MiB" if text else "empty page", title)
                    else:
                        yield Page(name, title, text)
                    element.clear()
                    title, body, space = "", "", "0"
    except (ET.ParseError, OSError, EOFError) as error:
        rejects.add(name, number + 1, "page", f"the dump cannot be read further: {error}")


def plain(text: str) -> str:
    """Wiki markup and tags removed, paragraphs kept."""
    for pattern, replacement in _MARKUP:
        previous = None
        while previous != text and "{" in pattern.pattern:
            previous, text = text, pattern.sub(replacement, text)
        text = pattern.sub(replacement, text)
    lines = (" ".join(line.split()) for line in unicodedata.normalize("NFC", text).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def passages(page: Page, size: int = 4000) -> Iterator[str]:
    """Runs of whole paragraphs of about `size` characters; a longer paragraph is cut."""
    waiting = ""
    for paragraph in page.text.split("\n\n"):
        for start in range(0, max(len(paragraph), 1), size):
            piece = paragraph[start : start + size]
            if waiting and len(waiting) + len(piece) > size:
                yield waiting
                waiting = ""
            waiting = f"{waiting}\n\n{piece}" if waiting else piece
    if waiting.strip():
        yield waiting
