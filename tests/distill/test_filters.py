"""Filters on planted rationales, on sentences that only look like leaks, and on the edges of each rule."""

import random

import pytest
from planted import HELD_OUT, KINDS, plant, response

from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.candidate import Candidate
from fleming_nemo.distill.filters import FILTERS
from fleming_nemo.distill.judges import graph_judge


def objects(name, item, text, finished=True):
    candidate = Candidate(item, text, finished)
    return graph_judge(candidate).reason if name == "faithfulness" else FILTERS[name](candidate)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_planted_rationales_are_found_and_good_ones_let_pass(chains, kind, language):
    name, _ = KINDS[kind]
    clean = [c for c in chains if c.language == language][:60]
    planted = plant(kind, clean, 60, random.Random(11))
    assert len(planted) == 60
    found = sum(objects(name, chain.item, text) is not None for chain, text in planted)
    alarms = sum(objects(name, chain.item, chain.text) is not None for chain in clean)
    assert found / len(planted) >= 0.95 and found / (found + alarms) >= 0.95, (found, alarms)


def test_leaks_in_words_that_were_not_tuned_on(chains):
    rng, found = random.Random(4), []
    for spoil, words in HELD_OUT.items():
        for language, wordings in words.items():
            clean = [c for c in chains if c.language == language]
            for wording in wordings:
                for chain in rng.choices(clean, k=2):
                    found.append(objects("leak", chain.item, spoil(chain, wording, rng)) is not None)
    assert sum(found) / len(found) >= 0.9, sum(found) / len(found)


QUESTION = QAItem(
    id="q",
    question="A child has fever, a strawberry tongue and coronary aneurysms. What is the most likely diagnosis?",
    options=("Scarlet fever", "Kawasaki disease", "Measles", "Toxic shock syndrome"),
    answer=1,
    context=None,
    source="exam",
    language="en",
    split="sft",
    difficulty=None,
    provenance={},
)
BODY = "Fever and a strawberry tongue occur in scarlet fever too. {} Aneurysms speak for Kawasaki disease. So B."


@pytest.mark.parametrize(
    "sentence",
    [
        "Given the aneurysms, the answer is unlikely to be measles.",
        "Among the given options, two go with a strawberry tongue.",
        "As stated in the question, the child has coronary aneurysms.",
        "The question says that the fever is high.",
        "The options provided include two infections.",
        "The correct answer has to explain the aneurysms.",
        "It is known that streptococci cause scarlet fever.",
        "Expected findings in measles are Koplik spots.",
        "The standard treatment is immunoglobulin.",
        "The patient was told to rest.",
        "A reference range is not needed here.",
        "Because the aneurysms are the telling sign, option C is not correct.",
        "To reach the right diagnosis, consider the vessels.",
        "The label of the drug warns of fever.",
        "We know that measles is preceded by coryza.",
        "The key finding is the aneurysm.",
        "In the given case the answer depends on the vessels.",
        "The prompt onset of fever is typical.",
        "I considered whether the answer could be measles.",
        "This supports option B over option A.",
    ],
)
def test_sentences_that_only_sound_like_a_leak(sentence):
    assert objects("leak", QUESTION, response(BODY.format(sentence), "B")) is None


CHINESE = QAItem(
    id="z",
    question="患儿发热、草莓舌并有冠状动脉瘤。最可能的诊断是什么？",
    options=("猩红热", "川崎病", "麻疹", "中毒性休克综合征"),
    answer=1,
    context=None,
    source="exam",
    language="zh",
    split="sft",
    difficulty=None,
    provenance={},
)


@pytest.mark.parametrize(
    "sentence",
    [
        "题目给出了发热和草莓舌两项表现。",
        "已知链球菌可引起猩红热。",
        "根据题干，患儿有冠状动脉瘤。",
        "标准治疗为免疫球蛋白。",
        "在给定的选项中，有两项可见草莓舌。",
        "正确的诊断应当能解释动脉瘤。",
        "参考文献提示麻疹有科氏斑。",
        "因为有动脉瘤，所以麻疹不成立。",
        "提示血管受累的是动脉瘤。",
    ],
)
def test_chinese_sentences_that_only_sound_like_a_leak(sentence):
    text = response(f"发热和草莓舌也见于猩红热。{sentence}动脉瘤支持川崎病。因此答案是B。", "B")
    assert objects("leak", CHINESE, text) is None


@pytest.mark.parametrize(
    ("name", "text", "finished"),
    [
        ("format", "", True),
        ("format", "<think>\n\n</think>\n\n<answer>B</answer>", True),
        ("format", "<think>Fever points to", False),
        ("format", response("Fever and aneurysms point to the", "B"), True),
        ("format", response("Fever and aneurysms point to Kawasaki disease (see", "B"), True),
        ("format", "Kawasaki disease, as the aneurysms show. <answer>B</answer>", True),
        ("answer", response(BODY.format(""), "C"), True),
        ("length", response("It is B.", "B"), True),
        ("length", response("Fever. " + " ".join(f"word{n}" for n in range(7000)) + ".", "B"), True),
        ("repetition", response("Fever, " + "and then fever, " * 20 + "so it is B.", "B"), True),
        ("language", response("患儿发热并有冠状动脉瘤，这支持川崎病的诊断，其他选项均不能解释。", "B"), True),
        (
            "language",
            response("Der Befund ist nicht mit dem Bild der Masern und auch nicht mit dem Schock vereinbar.", "B"),
            True,
        ),
        ("faithfulness", response("Aneurysms speak for measles. So the answer is C.", "B"), True),
    ],
)
def test_each_fault_is_found_by_its_filter(name, text, finished):
    if name == "faithfulness":
        from fleming_nemo.distill.reading.conclusion import conclusion

        candidate = Candidate(QUESTION, text)
        assert conclusion(candidate.reasoning, candidate.entities) == "C"
    else:
        assert objects(name, QUESTION, text, finished) is not None


def test_a_good_rationale_of_an_exam_question_passes():
    for item, text in (
        (QUESTION, BODY.format("")),
        (CHINESE, "发热和草莓舌也见于猩红热，动脉瘤支持川崎病。因此答案是B。"),
    ):
        candidate = Candidate(item, response(text, "B"))
        assert {name: f(candidate) for name, f in FILTERS.items()} == dict.fromkeys(FILTERS)


def test_the_loop_filter_stays_fast_on_long_text():
    import time

    start = time.process_time()
    objects("repetition", QUESTION, response(" ".join(f"w{n % 977}" for n in range(20_000)) + ".", "B"))
    assert time.process_time() - start < 5
