"""Filter 3 of the paper: what could point to a person is replaced by a mark such as [DATE].

Replaced: full dates (day, month and year), telephone numbers, e-mail addresses, record numbers that are called so,
US social security numbers, Chinese identity numbers (with a valid check digit, or called so), street addresses in
English and Chinese, and names that are called names ("Patient name: ...", 姓名：..., Mr. Smith).
Not replaced: ages, a year or month alone, hospitals and cities (they carry epidemiology), and **names without a title
or label**: telling "John Doe" from "Crohn" needs a recogniser of names, which this filter is not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace

from fleming_nemo.data.items import QAItem
from fleming_nemo.rods.curated.filters import rewritten

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DAY, _MONTH_NO, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_LEFT, _RIGHT = r"(?<![\w./:-])", r"(?![\w/]|[.:-]\d)"
_DATE = re.compile(
    rf"{_LEFT}(?:{_YEAR}([-/.]){_MONTH_NO}\1{_DAY}|(?:{_DAY}([-/.]){_MONTH_NO}|{_MONTH_NO}([-/.]){_DAY})(?:\2|\3){_YEAR}){_RIGHT}"
    rf"|\b{_MONTH}\s+{_DAY}(?:st|nd|rd|th)?,?\s+{_YEAR}\b|\b{_DAY}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH},?\s+{_YEAR}\b"
    rf"|(?<!\d){_YEAR}\s*年\s*{_MONTH_NO}\s*月\s*{_DAY}\s*[日号]"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b", re.ASCII)
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ -]?(?:\(?\d{1,4}\)?[ -]?){2,4}\d{2,4}|\(\d{3}\)[ ]?\d{3}[-. ]\d{4}"
    r"|\d{3}[-.]\d{3}[-.]\d{4}"
    r"|(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}|0\d{2,3}-\d{7,8})(?![\w-]|\.\d)",
    re.ASCII,
)
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-])")
_RECORD = re.compile(
    r"((?:\bMRN|\b(?:medical|hospital|patient|case|chart)\s+(?:record\s+)?(?:number|no\.?|id)|\bpatient\s+identifier"
    r"|病历号|病案号|住院号|门诊号|就诊号|登记号|检查号)\s*(?:is|为|是)?\s*[:：#]?\s*)(?=[A-Z-]{0,6}\d)[A-Z\d-]{4,20}\b",
    re.IGNORECASE,
)
_CHINESE_ID = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")
_LABELLED_ID = re.compile(r"(身份证(?:号码|号)?\s*(?:为|是)?\s*[:：]?\s*)\d{15}(?:\d\d[\dXx])?")
_STREET = re.compile(
    r"(?<![\w.,-])\d{1,5}\s+(?:[NSEW]\.?\s+)?(?:[A-Z][a-z]+\s+){1,3}"
    r"(?:Street|St\.|Avenue|Ave\.?|Road|Rd\.?|Boulevard|Blvd\.?|Lane|Ln\.|Drive|Court)(?![\w])"
    r"(?:,?\s+(?:Apt|Apartment|Suite|Unit|No)\.?\s*#?\w{1,5})?"
)
_CHINESE_STREET = re.compile(
    r"(?:[\u4e00-\u9fff]{2,8}?(?:省|自治区))?(?:[\u4e00-\u9fff]{2,8}?市)?(?:[\u4e00-\u9fff]{1,8}?[区县])?"
    r"[\u4e00-\u9fff]{1,10}?(?:大道|路|街|胡同|巷|弄)\s*\d{1,5}\s*号(?:\s*\d{1,4}\s*(?:栋|号楼|幢|单元|室|楼))*"
)
_NAME_LABEL = re.compile(
    r"(\b(?:patient(?:'s)?\s+)?name\s*[:：]\s*)[A-Z][\w'-]+(?:\s+[A-Z][\w'.-]*){0,3}"
    r"|((?:患者|病人)?姓名\s*[:：]\s*)[\u4e00-\u9fff·]{2,4}(?![\u4e00-\u9fff])",
    re.UNICODE,
)
_TITLE = re.compile(r"\b((?:Mr|Mrs|Ms)\b\.?\s+)[A-Z][a-z'’-]+(?:\s+[A-Z][a-z'’-]+)?")

# Order matters: an identity number holds a date and looks like a telephone number, so the longer ones go first.
# The last entry says what a text must have to be looked at: most texts are options with nothing of the kind.
_RULES: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str], str], ...] = (
    ("EMAIL", _EMAIL, lambda m: "[EMAIL]", "@"),
    ("ID NUMBER", _LABELLED_ID, lambda m: f"{m[1]}[ID NUMBER]", "身份证"),
    ("ID NUMBER", _CHINESE_ID, lambda m: "[ID NUMBER]" if _valid_chinese_id(m[0]) else m[0], "digit"),
    ("ID NUMBER", _SSN, lambda m: "[ID NUMBER]", "digit"),
    ("RECORD NUMBER", _RECORD, lambda m: f"{m[1]}[RECORD NUMBER]", "digit"),
    ("DATE", _DATE, lambda m: "[DATE]", "digit"),
    ("PHONE", _PHONE, lambda m: "[PHONE]", "digit"),
    ("ADDRESS", _STREET, lambda m: "[ADDRESS]", "digit"),
    ("ADDRESS", _CHINESE_STREET, lambda m: "[ADDRESS]", "号"),
    ("NAME", _NAME_LABEL, lambda m: f"{m[1] or m[2]}[NAME]", ""),
    ("NAME", _TITLE, lambda m: f"{m[1]}[NAME]", ""),
)
_DIGIT = re.compile(r"\d")


def anonymise(text: str, changes: Counter[str]) -> str:
    """The text with every rule above applied; `changes` counts replacements by kind."""
    has_digit = _DIGIT.search(text) is not None
    for kind, pattern, substitute, needs in _RULES:
        if not (has_digit if needs == "digit" else needs in text):
            continue
        replaced = pattern.sub(substitute, text)
        if replaced != text:
            changes[kind] += replaced.count(f"[{kind}]") - text.count(f"[{kind}]")
            text = replaced
    return text


def anonymise_item(item: QAItem, changes: Counter[str], published: Collection[str] = ()) -> QAItem:
    """The item without what points to a person; `provenance.anonymised` counts it.

    `published` names fields that are left alone, such as the abstract of a paper. Raises Refused when two options
    become equal: they differed only in what had to go.
    """
    found: Counter[str] = Counter()
    fields = [name for name in ("question", "options", "context") if name not in published]
    changed = rewritten(item, lambda text: anonymise(text, found), fields)
    changes.update(found)
    if found:
        changed = replace(changed, provenance={**item.provenance, "anonymised": dict(sorted(found.items()))})
    return changed


def _valid_chinese_id(text: str) -> bool:
    """Weighted sum modulo 11 over the first 17 digits gives the check digit (GB 11643-1999)."""
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(text[:17]))
    return "10X98765432"[total % 11] == text[17].upper()
