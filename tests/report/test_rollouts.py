"""The page of one GRPO step's rollouts."""

import re

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.report.rollouts import write_rollouts


def test_the_last_step_with_mixed_groups_first(grpo_dir):
    page = write_rollouts(grpo_dir).read_text(encoding="utf-8")
    assert "grpo_stage1, step 10" in page
    assert "2 questions, 1 of them with mixed rewards" in page
    assert page.index("Open question?") < page.index("Settled question?")
    assert "lens &amp; aorta" in page


@pytest.mark.parametrize(("order", "advantages"), [("reward", ["+0.500", "-0.500"]), ("length", ["-0.500", "+0.500"])])
def test_responses_are_sorted(grpo_dir, order, advantages):
    page = write_rollouts(grpo_dir, order=order).read_text(encoding="utf-8")
    assert re.findall(r"advantage (\S+)</span>", page)[:2] == advantages


def test_an_earlier_step(grpo_dir):
    page = write_rollouts(grpo_dir, step=9).read_text(encoding="utf-8")
    assert "Settled question?" in page
    assert "Open question?" not in page


def test_what_is_not_there_is_named(grpo_dir, tmp_path):
    with pytest.raises(UserError, match=r"no rollouts of step 3; saved are 9, 10"):
        write_rollouts(grpo_dir, step=3)
    with pytest.raises(UserError, match="cannot be sorted by"):
        write_rollouts(grpo_dir, order="colour")
    with pytest.raises(UserError, match="holds no rollouts"):
        write_rollouts(tmp_path)


def test_a_row_without_a_field_is_named(grpo_dir):
    row = '{"item_id": "q7", "question": "?", "letter": "A", "responses": [{"text": "", "outcome": "wrong"}]}\n'
    (grpo_dir / "rollouts" / "step_11.jsonl").write_text(row)
    with pytest.raises(UserError, match=r'step_11\.jsonl, item q7: the field "reward" is missing'):
        write_rollouts(grpo_dir)
