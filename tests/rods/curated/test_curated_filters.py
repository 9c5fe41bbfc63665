"""Cleaning and anonymisation, text by text."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.data.items import QAItem, item_id
from fleming_nemo.rods.curated.anonymise import anonymise, anonymise_item
from fleming_nemo.rods.curated.filters import apply
from fleming_nemo.rods.curated.formats import check_format


def make(question="Which metal is it?", options=("iron", "tin"), context=None, answer=0):
    identity = item_id(question, options, answer, context, "x")
    at = {"file": "f.jsonl", "row": 3}
    return QAItem(identity, question, tuple(options), answer, context, "x", "en", "train", None, at)


def clean(**fields):
    return apply(check_format, [make(**fields)])


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("caf\u00c3\u00a9 au lait spots", "café au lait spots", "mojibake repaired"),
        ("the patient\u00e2\u20ac\u2122s skin", "the patient’s skin", "mojibake repaired"),
        ("38 \u00c2\u00b0C of fever", "38 °C of fever", "mojibake repaired"),
        ("zero\u200bwidth and bom\ufeff", "zerowidth and bom", "invisible characters removed"),
        ("a<br>b <b>bold</b> 10<sup>9</sup>/L H<sub>2</sub>O", "a\nb bold 10^9/L H2O", "HTML tags removed"),
        ("p &lt; 0.05 &amp;amp; more", "p < 0.05 & more", "HTML entities decoded"),
        ("blank   and\ttab  ", "blank and tab", None),
    ],
)
def test_what_is_repaired(before, after, change):
    result = clean(question=before)
    (item,) = result.kept
    assert item.question == after
    assert dict(result.changes) == ({change: 1} if change else {})
    assert item.id == item_id(after, item.options, 0, None, "x")


@pytest.mark.parametrize(
    "text",
    [
        "If p < 0.05 and b > 3, is a<b>c?",
        "Größe, naïve, São Tomé, Ménière, 37 °C ± 2",
        "T&C; R&D",
        "白细胞 5×10⁹/L，体温 38 ℃",
    ],
)
def test_what_is_left_alone(text):
    if "<b>" in text:
        text = text.replace("a<b>c", "a < b > c")
    result = clean(question=text)
    assert result.kept[0].question == text and not result.changes


@pytest.mark.parametrize(
    ("fields", "field", "kind"),
    [
        ({"question": "lost \ufffd character here"}, "question", "encoding artefact"),
        ({"question": "锟斤拷锟斤拷 what"}, "question", "encoding artefact"),
        ({"context": "bell \x07 rings"}, "context", "encoding artefact"),
        ({"question": "see <table><tr><td>1</td></tr></table>"}, "question", "HTML that cannot be read as text"),
        ({"options": ("iron", '<img src="x.png">')}, "options", "HTML that cannot be read as text"),
        ({"question": "x" * 10_000_000}, "question", "too long"),
        ({"question": "??? ..."}, "question", "too short"),
        ({"options": ("Iron ore.", "iron  ore")}, "options", "duplicate options"),
        ({"options": ("<b>tin</b>", "tin")}, "options", "unusable after cleaning"),
        ({"options": ("iron", "<br>")}, "options", "unusable after cleaning"),
    ],
)
def test_what_is_refused(fields, field, kind):
    result = clean(**fields)
    assert not result.kept
    (reject,) = result.rejects
    assert (reject.file, reject.row, reject.field, reject.kind) == ("f.jsonl", 3, field, kind)
    assert len(reject.raw) <= 500


@pytest.mark.parametrize("options", [("+", "-"), ("< 5", "> 5"), ("pH", "PH"), ("10 mg", "10 g"), ("1.5", "15")])
def test_options_that_differ_in_a_sign_are_two(options):
    assert clean(options=options).kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seen on 12/03/2019 and 2019-03-12", "seen on [DATE] and [DATE]"),
        ("on March 12th, 2019 or 12 March 2019", "on [DATE] or [DATE]"),
        ("于2019年3月12日入院", "于[DATE]入院"),
        ("call 555-123-4567 or (555) 123-4567 or +44 20 7946 0958", "call [PHONE] or [PHONE] or [PHONE]"),
        ("电话13812345678，座机010-12345678", "电话[PHONE]，座机[PHONE]"),
        ("mail a.b+c@mail.example.org now", "mail [EMAIL] now"),
        ("MRN: 00123456 was read", "MRN: [RECORD NUMBER] was read"),
        ("住院号：A1234567", "住院号：[RECORD NUMBER]"),
        ("SSN 123-45-6789", "SSN [ID NUMBER]"),
        ("证件 11010519491231002X 。", "证件 [ID NUMBER] 。"),
        ("身份证号：110105491231002", "身份证号：[ID NUMBER]"),
        ("lives at 12 Old Mill Road, Apt 3", "lives at [ADDRESS]"),
        ("住址：北京市朝阳区建国路88号", "住址：[ADDRESS]"),
        ("Patient name: John Doe", "Patient name: [NAME]"),
        ("姓名：张三，男", "姓名：[NAME]，男"),
        ("Mrs. Smith has a cough", "Mrs. [NAME] has a cough"),
    ],
)
def test_what_points_to_a_person_is_masked(text, expected):
    changes = Counter()
    assert anonymise(text, changes) == expected
    assert sum(changes.values()) == expected.count("[")


@pytest.mark.parametrize(
    "text",
    [
        "BP 120/80, ratio 1/2/3, dose 5-10-15 mg, CD4 350-500",
        "a 45-year-old in March 2019; guideline of 2015; ages 20-30 in 1999/2000",
        "11010519491231002A 110105194912310021",  # no check digit fits
        "P = 0.00123456, 6.022e23, OR 1.10 (1.02-1.19), pO2 13.8 12345678901",
        "Crohn disease; St. John's wort; Will We Miss The Point; Drive 5 mg",
        "路径1号染色体 第21号染色体 3-hydroxy-3-methylglutaryl NCT01234567",
        "12.5 2019.13.45 99/99/2019 ICD-10 E11.65 rs123456789 MRN-positive",
    ],
)
def test_medicine_is_not_mistaken_for_persons(text):
    changes = Counter()
    assert anonymise(text, changes) == text and not changes


def test_published_fields_stay_and_the_rest_is_counted():
    item = make(question="Seen on 12/03/2019: what is it?", context="Trial from 1 May 2001 to 2 May 2002.")
    result = apply(lambda i, c: anonymise_item(i, c, published=("context",)), [item])
    (kept,) = result.kept
    assert kept.question == "Seen on [DATE]: what is it?" and kept.context == item.context
    assert kept.provenance["anonymised"] == {"DATE": 1} == dict(result.changes)
    assert kept.id != item.id and "anonymised" not in item.provenance


def test_options_that_were_dates_are_set_aside_not_merged():
    result = apply(anonymise_item, [make(options=("1 May 2001", "2 May 2001"))])
    assert not result.kept and result.rejects[0].field == "options"


@given(st.text(max_size=80), st.text(max_size=30), st.text(max_size=30))
def test_no_text_is_lost_and_masking_twice_is_masking_once(question, first, second):
    try:
        item = make(question, (first, second))
    except ValueError:
        return
    once = apply(check_format, [item])
    assert len(once.kept) + len(once.rejects) == 1
    masked = apply(anonymise_item, once.kept)
    assert len(masked.kept) + len(masked.rejects) == len(once.kept)
    for found in masked.kept:
        again = apply(anonymise_item, [found])
        assert [i.question for i in again.kept] == [found.question]
