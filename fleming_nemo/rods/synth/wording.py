"""How a question reads, in English and Chinese: several ways per family, drawn without regard to the answer.

Pieces are put together as  opening (what is shown) + hints (bridges left unmasked) + ask.  None of the texts names a
property of an option, so the wording decides nothing.
"""

import random
from collections.abc import Mapping, Sequence

_OPENINGS = {
    "findings": {
        "en": (
            "A patient presents with the following findings: {present}.{absent}",
            "Examination and history reveal: {present}.{absent}",
            "The record of a patient lists: {present}.{absent}",
            "Consider a patient with: {present}.{absent}",
        ),
        "zh": ("患者有以下表现：{present}。{absent}", "病历记载：{present}。{absent}"),
    },
    "bands": {
        "en": (
            "Reported frequencies among patients with a certain disease: {bands}.",
            "In published patients with one disease, the findings are distributed as follows: {bands}.",
            "For a disease, the literature gives these frequencies: {bands}.",
        ),
        "zh": ("某疾病患者中各表现的报道频率如下：{bands}。",),
    },
    "disease": {
        "en": ("The disease in question is {start}.", "Consider {start}.", "A patient is known to have {start}."),
        "zh": ("所讨论的疾病为{start}。", "已知患者患有{start}。"),
    },
    "gene": {
        "en": ("The gene in question is {start}.", "Consider the gene {start}."),
        "zh": ("所讨论的基因为{start}。",),
    },
    "drug": {
        "en": ("The drug in question is {start}.", "A patient takes {start}.", "Consider {start}."),
        "zh": ("所讨论的药物为{start}。", "患者正在服用{start}。"),
    },
    "variant": {
        "en": ("Sequencing reports the variant {start}.", "Consider the variant {start}."),
        "zh": ("测序发现变异{start}。",),
    },
}
_ABSENT = {
    "en": (" There is no evidence of: {absent}.", " Looked for and absent: {absent}."),
    "zh": ("未见：{absent}。",),
}
_BANDS = {
    "en": {"often": "{} in at least 80 % of patients", "seldom": "{} in fewer than 30 % of patients"},
    "zh": {"often": "{}见于至少80%的患者", "seldom": "{}见于不足30%的患者"},
}
_HINTS = {
    "en": {
        "disease": " The diagnosis is {}.",
        "gene": " The gene involved is {}.",
        "drug": " The drug concerned is {}.",
        "mechanism": " The mechanism concerned is {}.",
    },
    "zh": {
        "disease": "诊断为{}。",
        "gene": "涉及的基因为{}。",
        "drug": "涉及的药物为{}。",
        "mechanism": "涉及的作用机制为{}。",
    },
}
_ASKS: dict[str, dict[str, tuple[str, ...]]] = {
    "findings-disease": {
        "en": (
            "Which disease fits best?",
            "Which diagnosis explains all of this?",
            "What is the most likely diagnosis?",
        ),
        "zh": ("最符合的疾病是哪一种？", "最可能的诊断是什么？"),
    },
    "frequencies-disease": {
        "en": ("Which disease is it?", "Which of the diseases has this profile?", "To which diagnosis do they belong?"),
        "zh": ("这是哪一种疾病？",),
    },
    "findings-disease-gene": {
        "en": ("Variants in which gene explain the picture?", "Variants in which gene cause the disease behind this?"),
        "zh": ("哪个基因的变异可解释上述表现？",),
    },
    "findings-disease-inheritance": {
        "en": ("How is the disease behind this inherited?", "Which mode of inheritance is recorded for this disease?"),
        "zh": ("该疾病的遗传方式是什么？",),
    },
    "findings-disease-gene-disease": {
        "en": (
            "Which other disease is caused by the gene behind this one?",
            "Variants in the responsible gene also cause which of these diseases?",
        ),
        "zh": ("致病基因还可引起下列哪种疾病？",),
    },
    "findings-disease-gene-drug": {
        "en": ("For which drug is there a pharmacogenetic guideline on the gene responsible?",),
        "zh": ("药物基因组学指南就该致病基因对下列哪种药物给出了建议？",),
    },
    "findings-disease-gene-drug-mechanism": {
        "en": (
            "The gene responsible has a pharmacogenetic guideline for a drug. By which mechanism does that drug act?",
        ),
        "zh": ("药物基因组学指南就该致病基因对某药物给出了建议，该药物的作用机制是什么？",),
    },
    "findings-disease-gene-drug-mechanism-drug": {
        "en": (
            "The gene responsible has a pharmacogenetic guideline for a drug. Which other drug shares its mechanism of "
            "action?",
        ),
        "zh": ("药物基因组学指南就该致病基因对某药物给出了建议，下列哪种药物与该药物作用机制相同？",),
    },
    "disease-gene": {
        "en": ("Variants in which gene cause it?", "Which gene is a recorded cause of this disease?"),
        "zh": ("其致病基因是哪一个？",),
    },
    "disease-gene-drug": {
        "en": ("A causal gene of this disease also has a pharmacogenetic guideline: for which drug?",),
        "zh": ("药物基因组学指南就该疾病的致病基因对下列哪种药物给出了建议？",),
    },
    "gene-drug": {
        "en": ("For which drug does a pharmacogenetic guideline consider this gene?",),
        "zh": ("药物基因组学指南就该基因对下列哪种药物给出了建议？",),
    },
    "drug-mechanism": {
        "en": ("What is its recorded mechanism of action?", "By which mechanism does it act?"),
        "zh": ("其作用机制是什么？",),
    },
    "drug-mechanism-drug": {
        "en": (
            "Which other drug has the same mechanism of action?",
            "Which of these drugs acts by the same mechanism?",
        ),
        "zh": ("下列哪种药物与其作用机制相同？",),
    },
    "drug-interaction": {
        "en": (
            "With which drug is an interaction on record?",
            "Which of these drugs has a listed interaction with it?",
        ),
        "zh": ("与下列哪种药物有已记录的相互作用？",),
    },
    "variant-disease": {
        "en": ("With which disease is it associated?", "Which disease is it recorded for?"),
        "zh": ("该变异与下列哪种疾病相关？",),
    },
    "variant-gene-disease-inheritance": {
        "en": ("How is the disease caused by the affected gene inherited?",),
        "zh": ("受累基因所致疾病的遗传方式是什么？",),
    },
}


def stem(
    family: str,
    opening: str,
    language: str,
    texts: Mapping[str, Sequence[str]],
    hints: Sequence[tuple[str, str]],
    rng: random.Random,
) -> str:
    """The question.

    `texts` holds what is shown by part: present, absent, often, seldom, start. `hints` are (type, name) of the bridges
    that are not masked. KeyError for a family or language without wording is a programming error.
    """
    glue = "; " if language == "en" else "；"
    absent = ""
    if texts.get("absent"):
        absent = rng.choice(_ABSENT[language]).format(absent=glue.join(texts["absent"]))
    bands = [_BANDS[language][band].format(text) for band in ("often", "seldom") for text in texts.get(band, ())]
    first = rng.choice(_OPENINGS[opening][language]).format(
        present=glue.join(texts.get("present", ())),
        absent=absent,
        bands=glue.join(bands),
        start=glue.join(texts.get("start", ())),
    )
    known = "".join(_HINTS[language][kind].format(name) for kind, name in hints)
    return first + known + (" " if language == "en" else "") + rng.choice(_ASKS[family][language])
