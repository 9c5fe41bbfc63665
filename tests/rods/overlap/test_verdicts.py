"""Where a copy ends and another question begins: templates, exchanged subjects, opposites; and the screen before it."""

import random

import numpy as np
import pytest
from overlap_questions import BENCHMARK, NEIGHBOURS, SHORT, VIGNETTE

from fleming_nemo.rods.overlap import decontaminate as module
from fleming_nemo.rods.overlap.decontaminate import decontaminate
from fleming_nemo.rods.overlap.entries import Entry
from fleming_nemo.rods.overlap.index import BenchmarkIndex
from fleming_nemo.rods.overlap.planted import MORE_KINDS, SIX_KINDS, plant

_SIGNS = (
    "fever cough headache rash jaundice haematuria ataxia polyuria dyspnoea syncope diplopia dysphagia melena oedema "
    "tinnitus vertigo alopecia pruritus photophobia hoarseness nystagmus ptosis tremor haemoptysis"
)
_DISEASES = (
    "Sarcoidosis Tuberculosis Lymphoma Gout Malaria Pneumonia Asthma Migraine Meningitis Cirrhosis Psoriasis "
    "Pemphigus Scleroderma Dermatomyositis Haemochromatosis Amyloidosis Porphyria Listeriosis Brucellosis"
)
_CHINESE_SIGNS = (
    "发热 咳嗽 头痛 皮疹 黄疸 血尿 共济失调 多尿 呼吸困难 晕厥 体重下降 盗汗 关节痛 复视 吞咽困难 黑便 水肿 心悸"
)
_CHINESE_DISEASES = "结节病 肺结核 淋巴瘤 痛风 疟疾 伤寒 肺炎 支气管哮喘 偏头痛 脑膜炎 肝硬化 重症肌无力 银屑病 天疱疮"
SIGNS, DISEASES = _SIGNS.split(), _DISEASES.split()
CHINESE_SIGNS, CHINESE_DISEASES = _CHINESE_SIGNS.split(), _CHINESE_DISEASES.split()


def vignette(rng: random.Random, name: str) -> Entry:
    first, second, third = rng.sample(SIGNS, 3)
    age, days = rng.randint(18, 80), rng.randint(2, 9)
    return Entry(
        name,
        f"A {age}-year-old {rng.choice(('man', 'woman'))} presents with {first}, {second} and {third} for {days} days. "
        "What is the most likely diagnosis?",
        tuple(rng.sample(DISEASES, 4)),
    )


def chinese_vignette(rng: random.Random, name: str) -> Entry:
    first, second, third = rng.sample(CHINESE_SIGNS, 3)
    return Entry(
        name,
        f"患者{rng.choice('男女')}性，{rng.randint(18, 80)}岁，因{first}、{second}{rng.randint(2, 9)}天入院。"
        f"查体：{third}。最可能的诊断是",
        tuple(rng.sample(CHINESE_DISEASES, 5)),
    )


@pytest.mark.parametrize("write", [vignette, chinese_vignette])
def test_another_patient_from_the_same_template_stays(write):
    rng = random.Random(4)
    benchmark = [write(rng, f"asked {n}") for n in range(400)]
    others = [write(rng, f"other {n}") for n in range(1000)]
    kinds = {kind: SIX_KINDS[kind] for kind in ("verbatim", "reordered options", "changed numbers")}
    copies = [copy for _, _, copy in plant(benchmark, kinds, 90, seed=1)]
    removed = {row["id"] for row in decontaminate([*others, *copies], BenchmarkIndex({"exam": benchmark})).removed}
    assert removed >= {copy.id for copy in copies}
    assert len(removed) - len(copies) <= 20, "by chance a few share all signs and half of the options"


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        (
            "Which is the most important prognostic factor in congenital diaphragmatic hernia?",
            "Which is the least important prognostic factor in congenital diaphragmatic hernia?",
        ),
        (
            "A successful infraorbital nerve block will produce anaesthesia of the",
            "A successful inferior alveolar nerve block will produce anaesthesia of the",
        ),
        ("Features of acromegaly include", "Features of achondroplasia include"),
        ("肢端肥大症的临床表现是", "软骨发育不全的临床表现是"),
    ],
)
def test_an_exchanged_subject_or_an_opposite_is_another_question(asked, other):
    benchmark = [Entry("asked", asked, ("Heparin", "Warfarin", "Dabigatran", "Apixaban")), *BENCHMARK]
    item = Entry("other", other, ("Uveitis", "Keratitis", "Scleritis", "Retinitis"))
    index = BenchmarkIndex({"exam": benchmark})
    assert decontaminate([item], index).removed == []
    (row,) = decontaminate([item._replace(question=asked)], index).removed
    assert row["hits"][0]["id"] == "asked", "the same words are found, whatever the options"


@pytest.mark.parametrize(
    "options", [("It is ethosuximide", "It is phenytoin", "It is valproate"), ("D) Ethosuximide",), ()]
)
def test_options_wrapped_dropped_or_left_out(options):
    copy = SHORT._replace(id="copy", question="For absence seizures the drug of choice is:", options=options)
    (row,) = decontaminate([copy._replace(question=SHORT.question)], BenchmarkIndex({"exam": BENCHMARK})).removed
    assert row["hits"][0]["id"] == "short"
    if options:
        assert decontaminate([copy], BenchmarkIndex({"exam": BENCHMARK})).removed


def test_a_question_within_a_story():
    story = f"On the ward round the registrar told us this. {VIGNETTE.question} Nobody knew, and we went for coffee."
    item = Entry("story", story, ("Rounds", "Coffee"))
    (row,) = decontaminate([item], BenchmarkIndex({"exam": BENCHMARK})).removed
    assert row["hits"][0]["id"] == "vignette"


def test_the_screen_loses_no_pair_that_the_verdict_would_convict(monkeypatch):
    rng = random.Random(7)
    benchmark = [*BENCHMARK, *(vignette(rng, f"asked {n}") for n in range(60))]
    copies = [copy for _, _, copy in plant(benchmark, SIX_KINDS | MORE_KINDS, 300, seed=2)]
    items = [*NEIGHBOURS, *(vignette(rng, f"other {n}") for n in range(200)), *copies]
    index = BenchmarkIndex({"exam": benchmark})
    screened = decontaminate(items, index).removed
    monkeypatch.setattr(module, "worth_judging", lambda weighed, found, index: np.arange(len(found.item)))
    assert screened == decontaminate(items, index).removed
