"""Which questions the report shows, and how a response is split."""

from hypothesis import given
from hypothesis import strategies as st

from fleming_nemo.report.run_files import StageFiles
from fleming_nemo.report.samples import pick_questions, split_response


def stage(name, outcomes, difficulty="easy"):
    rows = [
        {
            "item_id": item,
            "question": f"{item}?",
            "options": ["x", "y"],
            "letter": "A",
            "response": "<think>\nbecause\n</think>\n\n<answer>A</answer>",
            "outcome": outcome,
            "difficulty": difficulty if isinstance(difficulty, str) else difficulty[item],
        }
        for item, outcome in outcomes.items()
    ]
    return StageFiles(name, "done", samples=rows)


def shown(groups):
    return {group.title: [question.item_id for question in group.questions] for group in groups}


def test_questions_are_grouped_by_their_history():
    base = {"learned": "wrong", "lost": "correct", "never": "malformed", "always": "correct"}
    final = {"learned": "correct", "lost": "wrong", "never": "truncated", "always": "correct"}
    assert shown(pick_questions([stage("base", base), stage("grpo_stage2", final)])) == {
        "Wrong at first, right at the end": ["learned"],
        "Right at some point, wrong at the end": ["lost"],
        "Never right": ["never"],
        "Right from the start": ["always"],
    }


def test_difficult_and_late_ones_come_first():
    names = ["easy-late", "hard-early", "hard-late"]
    tiers = {name: "difficult" if name.startswith("hard") else "easy" for name in names}
    stages = [
        stage("base", dict.fromkeys(names, "wrong"), tiers),
        stage("sft", {name: "correct" if name.endswith("early") else "wrong" for name in names}, tiers),
        stage("grpo_stage1", dict.fromkeys(names, "correct"), tiers),
    ]
    assert list(shown(pick_questions(stages)).values()) == [["hard-late", "hard-early", "easy-late"]]


def test_only_questions_of_every_stage_are_compared():
    groups = pick_questions([stage("base", {"a": "wrong", "b": "wrong"}), stage("sft", {"b": "correct"})])
    assert shown(groups) == {"Wrong at first, right at the end": ["b"]}


def test_counts_cover_more_than_is_shown():
    (group,) = pick_questions([stage("base", {f"q{i}": "wrong" for i in range(9)})])
    assert (group.total, len(group.questions)) == (9, 3)


def test_stages_without_samples_are_skipped():
    assert pick_questions([]) == []
    assert pick_questions([StageFiles("base", "not run yet")]) == []
    (group,) = pick_questions([stage("base", {"q": "correct"}), StageFiles("sft", "running")])
    assert [response.title for response in group.questions[0].responses] == ["Base model"]


def test_the_answer_is_set_apart():
    text = "<think>\nbecause\n</think>\n\n<answer>A</answer>"
    assert split_response(text) == ("<think>\nbecause\n</think>", "<answer>A</answer>", 0)
    assert split_response("no tags") == ("no tags", "", 0)


@given(st.text(), st.integers(0, 40_000))
def test_long_responses_lose_their_middle_only(text, extra):
    full = "start" + "x" * extra + text.replace("<answer>", "") + "end"
    thinking, answer, left_out = split_response(full)
    assert thinking.startswith("start") and thinking.endswith("end")
    assert answer == ""
    assert left_out == max(0, len(full) - 6000)
    assert len(thinking) <= 6100
