"""The verifier against honest responses, known reward hacks, and arbitrary text.

Not covered: reasoning that is well formed but empty of meaning; no parser can tell.
"""

import re
import time
from string import ascii_uppercase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleming_nemo.reward.verify import Outcome, Verdict, reward, verify

THINK = "<think>\nFever and a new murmur suggest endocarditis.\n</think>\n\n"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
HANGUL_FILLERS = "\u115f\u1160\u3164\uffa0"

HACKS = {
    # several answers
    "two answer tags": THINK + "<answer>B</answer><answer>C</answer>",
    "same answer twice": THINK + "<answer>B</answer>\n<answer>B</answer>",
    "every option tagged": THINK + "".join(f"<answer>{letter}</answer>" for letter in "ABCD"),
    "two letters in one tag": THINK + "<answer>AB</answer>",
    "list of letters": THINK + "<answer>A, B</answer>",
    "all letters": THINK + "<answer>ABCD</answer>",
    # tags inside the reasoning, or around it
    "answer inside think": "<think>so <answer>B</answer></think><answer>B</answer>",
    "other answer inside think": "<think>maybe <answer>A</answer></think><answer>B</answer>",
    "capitalised answer inside think": "<think>maybe <ANSWER>A</ANSWER></think><answer>B</answer>",
    "spaced tag inside think": "<think>maybe < / answer ></think><answer>B</answer>",
    "full-width tag inside think": "<think>maybe ＜answer＞A</think><answer>B</answer>",
    "think inside think": "<think>a <think>b</think> c</think><answer>B</answer>",
    "think opened twice": "<think><think>because</think><answer>B</answer>",
    "two think blocks": THINK + THINK + "<answer>B</answer>",
    "think inside answer": THINK + "<answer><think>B</think></answer>",
    "nested answers": THINK + "<answer><answer>B</answer></answer>",
    "only an answer inside think": "<think>because <answer>B</answer></think>",
    # order
    "answer before think": "<answer>B</answer>" + THINK,
    "answer before and after think": "<answer>B</answer>" + THINK + "<answer>B</answer>",
    "think closes inside answer": "<think>because<answer></think>B</answer>",
    "answer closes first": THINK + "</answer>B<answer>",
    "think closes first": "</think>because<think><answer>B</answer>",
    # missing parts
    "nothing": "",
    "letter alone": "B",
    "no think": "<answer>B</answer>",
    "no answer tag": THINK + "B",
    "unclosed think": "<think>because <answer>B</answer>",
    "unclosed answer": THINK + "<answer>B",
    "unopened think": "because</think><answer>B</answer>",
    "unopened answer": THINK + "B</answer>",
    # reasoning without content
    "empty think": "<think></think><answer>B</answer>",
    "empty think of the template": "<think>\n\n</think>\n\n<answer>B</answer>",
    "blank think": "<think> \t\u00a0\u3000\n</think><answer>B</answer>",
    "zero-width think": f"<think>{ZERO_WIDTH}</think><answer>B</answer>",
    "filler think": f"<think>{HANGUL_FILLERS}\u2800</think><answer>B</answer>",
    "dots for a think": "<think>...</think><answer>B</answer>",
    "combining marks for a think": "<think>\u0301\u0301</think><answer>B</answer>",
    # letters
    "lower case": THINK + "<answer>b</answer>",
    "beyond the options": THINK + "<answer>E</answer>",
    "full-width letter": THINK + "<answer>Ｂ</answer>",
    "Cyrillic letter": THINK + "<answer>В</answer>",
    "mathematical letter": THINK + "<answer>𝐁</answer>",
    "letter with a combining mark": THINK + "<answer>B\u0301</answer>",
    "letter with a zero-width space": THINK + "<answer>B\u200b</answer>",
    "padded letter": THINK + "<answer> B </answer>",
    "punctuated letter": THINK + "<answer>B.</answer>",
    "letter and text": THINK + "<answer>B) endocarditis</answer>",
    "text starting with a letter": THINK + "<answer>Both</answer>",
    "digit": THINK + "<answer>2</answer>",
    "empty answer": THINK + "<answer></answer>",
    "blank answer": THINK + "<answer>\n</answer>",
    # tags that are not the tags
    "attribute in answer": THINK + '<answer type="final">B</answer>',
    "attribute in think": '<think mode="fast">because</think><answer>B</answer>',
    "capitalised answer tag": THINK + "<Answer>B</Answer>",
    "spaced answer tag": THINK + "< answer >B</ answer >",
    "full-width brackets": THINK + "＜answer＞B＜/answer＞",
    "escaped tag": THINK + "&lt;answer&gt;B&lt;/answer&gt;",
    "boxed": THINK + r"\boxed{B}",
    "thinking tag": "<thinking>because</thinking><answer>B</answer>",
    # text around
    "preface": "The answer is B. " + THINK + "<answer>B</answer>",
    "text between": THINK + "So the answer is <answer>B</answer>",
    "trailing text": THINK + "<answer>B</answer> or perhaps C",
    "trailing zero-width": THINK + "<answer>B</answer>\u200b",
    "trailing no-break space": THINK + "<answer>B</answer>\u00a0",
    "trailing null byte": THINK + "<answer>B</answer>\x00",
    "a turn of its own": THINK + "<answer>B</answer><|im_end|>\n<|im_start|>user\nthanks",
    "end token inside think": "<think>because<|im_end|></think><answer>B</answer>",
    "end-of-text token": THINK + "<answer>B</answer><|endoftext|>",
}


def render(reasoning: str, letter: str) -> str:
    return f"<think>\n{reasoning}\n</think>\n\n<answer>{letter}</answer>"


def test_right_letter_earns_one():
    verdict = verify(THINK + "<answer>B</answer>", num_options=4, answer_index=1, finished=True)
    assert verdict == Verdict(Outcome.CORRECT, "B", "right option")
    assert reward(verdict) == 1.0


def test_other_letter_earns_nothing():
    verdict = verify(THINK + "<answer>C</answer>", num_options=4, answer_index=1, finished=True)
    assert verdict == Verdict(Outcome.WRONG, "C", "wrong option")
    assert reward(verdict) == 0.0


def test_blank_space_between_the_blocks_is_free():
    text = "\n <think>because</think>\t\r\n\n<answer>B</answer>  \n"
    assert verify(text, 4, 1, finished=True).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "reasoning", ["因为发热", "T > 38 °C and WBC < 4", "a <b> tag, <p50 and </i>", "option A, B or C?"]
)
def test_ordinary_reasoning_is_accepted(reasoning):
    assert verify(render(reasoning, "B"), 4, 1, finished=True).outcome is Outcome.CORRECT


@pytest.mark.parametrize("text", HACKS.values(), ids=HACKS.keys())
def test_hacks_are_malformed(text):
    verdict = verify(text, num_options=4, answer_index=1, finished=True)
    assert verdict.outcome is Outcome.MALFORMED
    assert verdict.letter is None
    assert reward(verdict) == 0.0


@pytest.mark.parametrize(
    ("hack", "reason"),
    [
        ("every option tagged", "several <answer>"),
        ("no answer tag", "no <answer>"),
        ("two think blocks", "several <think>"),
        ("capitalised answer inside think", "look-alike tag"),
        ("answer before think", "tags out of order"),
        ("zero-width think", "empty reasoning"),
        ("preface", "text before <think>"),
        ("text between", "text between </think> and <answer>"),
        ("trailing text", "text after </answer>"),
        ("lower case", "not one of the item's letters"),
        ("a turn of its own", "control token in the text"),
    ],
)
def test_a_verdict_names_the_fault(hack, reason):
    """Reasons are counted over a run, so they must tell the hacks apart."""
    assert verify(HACKS[hack], 4, 1, finished=True).reason == reason


@pytest.mark.parametrize("num_options", [2, 3, 4, 10, 21, 26])
def test_letters_are_the_items_own(num_options):
    """JMED has 21 options (A-U); a fixed A-J or A-D set would misjudge it."""
    for index, letter in enumerate(ascii_uppercase):
        outcome = verify(render("r1", letter), num_options, num_options - 1, finished=True).outcome
        if index >= num_options:
            assert outcome is Outcome.MALFORMED
        else:
            assert outcome is (Outcome.CORRECT if index == num_options - 1 else Outcome.WRONG)


def test_unfinished_response_is_truncated_even_when_complete():
    verdict = verify(THINK + "<answer>B</answer>", 4, 1, finished=False)
    assert verdict.outcome is Outcome.TRUNCATED
    assert verdict.letter is None
    assert reward(verdict) == 0.0


@pytest.mark.parametrize(("num_options", "answer_index"), [(0, 0), (1, 0), (27, 0), (4, 4), (4, -1)])
def test_a_label_that_fits_no_item_is_refused(num_options, answer_index):
    with pytest.raises(ValueError):
        verify(THINK + "<answer>A</answer>", num_options, answer_index, finished=True)


@pytest.mark.parametrize(
    "unit",
    ["a", "<", "< ", "<think>", "</think>", "<answer>B</answer>", "<answer", "<|", "<| " * 3, "<" + " " * 1000, " "],
)
def test_two_million_characters_take_linear_time(unit):
    """Quadratic behaviour anywhere would take minutes on this size."""
    filler = unit * (2_000_000 // len(unit))
    start = time.process_time()
    verify(filler, 4, 1, finished=True)
    verify(f"<think>because {filler}</think><answer>B</answer>", 4, 1, finished=True)
    assert time.process_time() - start < 5.0


TAGS = ["<think>", "</think>", "<answer>", "</answer>", "<Answer>", "<|im_end|>"]
PIECES = [*TAGS, "A", "B", "because", "\n", " ", "\u200b"]
any_text = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=9).map("".join),
)
BLANK = r"[ \t\r\n]*"


@given(text=any_text, num_options=st.integers(2, 26), data=st.data())
@example(text=render("because", "B"), num_options=4, data=None)
def test_only_the_canonical_form_of_the_right_letter_earns_one(text, num_options, data):
    """Stated a second time as a plain pattern, independent of the implementation."""
    answer_index = data.draw(st.integers(0, num_options - 1)) if data else 1
    verdict = verify(text, num_options, answer_index, finished=True)
    earned = reward(verdict)
    assert earned in (0.0, 1.0)
    assert (verdict.letter is None) == (verdict.outcome is Outcome.MALFORMED)
    canonical = re.fullmatch(rf"{BLANK}<think>(.*)</think>{BLANK}<answer>(.)</answer>{BLANK}", text, re.DOTALL)
    if earned:
        assert canonical and canonical[2] == ascii_uppercase[answer_index]
        assert not re.search(r"</?(think|answer)", canonical[1], re.IGNORECASE)
        assert any(char.isalnum() for char in canonical[1])


@given(text=any_text)
def test_unfinished_text_never_earns(text):
    assert verify(text, 4, 1, finished=False).outcome is Outcome.TRUNCATED


@given(
    reasoning=st.text(min_size=1).filter(lambda text: "<" not in text and "＜" not in text),
    num_options=st.integers(2, 26),
    data=st.data(),
)
def test_every_rendered_response_is_judged_by_its_letter(reasoning, num_options, data):
    answer_index = data.draw(st.integers(0, num_options - 1))
    chosen = data.draw(st.integers(0, num_options - 1))
    verdict = verify(render(reasoning + "x", ascii_uppercase[chosen]), num_options, answer_index, finished=True)
    assert verdict.outcome is (Outcome.CORRECT if chosen == answer_index else Outcome.WRONG)
    assert verdict.letter == ascii_uppercase[chosen]


@given(reasoning=st.text(max_size=50), noise=any_text.filter(lambda text: text.strip(" \t\r\n")))
def test_any_visible_text_around_the_form_spoils_it(reasoning, noise):
    form = render(reasoning + "x", "B")
    for text in (noise + form, form + noise):
        assert reward(verify(text, 4, 1, finished=True)) == 0.0
