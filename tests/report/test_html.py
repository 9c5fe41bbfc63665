"""The report of a finished pipeline, of one that is still going, and of broken files."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.report.html import write_report

VOID = {"meta", "br", "img", "input", "link", "path", "use", "rect", "hr"}


class Checker(HTMLParser):
    """Collects ids and addresses, and insists on balanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        self.addresses += [value for key, value in attrs if key in ("href", "src", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def read(path) -> str:
    return path.read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """What a reader sees, with blanks collapsed."""
    without_svg = re.sub(r"<svg.*?</svg>|<style.*?</style>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", without_svg).split())


def test_the_page_states_the_facts(finished_page):
    text = text_of(finished_page)
    for fact in (
        "Held-out accuracy went from 24.3% (Base model) to 70.2% (GRPO stage 2) on 600 questions",
        "guessing gives 25.0%.",
        "95% interval 67.1 to 73.4",
        "SFT 46.8% 43.7% to 50.0% 600 47.9% 2.0% 1.2% 92.4 46.2, 47.2, 47.7, 46.1",
        "GRPO stage 2 85.2% of 200 70.2% of 220 56.2% of 180",
        "8 rollouts a question (policy runs/demo/grpo_stage1)",
        "all questions 512 217 160 11 –",
        "moderate 171 81 48 0 58.1% difficult 73 113 103 11 31.2%",
        "were there after step 120, and the stage ended with it: groups without signal 56.0%, slope of the reward "
        "2.0e-05 a step, noise 4.0e-04",
        "At the last mining the policy answered the whole pool",
        "data/review.jsonl has it; 11 questions that the policy never got right",
        "41 512 217 160 11 21 51",
        "candidate sets 21,400",
        "rejected by leak difficult 41, easy 112 153",
        "kg 7,500 HPO licence",
        "files.tokens.bin.sha256 00bb17aa31",
        "Wall time 27 min 3 s",
        "SFT split over tp 2, pp 1, cp 1, dp 1",
        "GRPO stage 1 split over tp 1, pp 1, cp 1, dp 2",
        "megatron-core 0.16.1",
        "data.manifest sha256:5150ab",
        "For research; no medical advice",
    ):
        assert fact in text
    assert "not run yet" not in finished_page


def test_every_curve_is_drawn(finished_page):
    charts = re.findall(r"<figcaption><b>(.*?)</b>.*?</figcaption>\s*<svg", finished_page, re.DOTALL)
    assert charts == [
        "Reward",
        "Held-out accuracy",
        "Response length",
        "Entropy",
        "Groups without signal",
        "Slope of the reward",
        "Malformed and truncated",
        "Trainer against rollout",
        "Gradient norm",
        "Speed",
        "SFT loss",
    ]


def test_the_page_needs_nothing_else(finished_page):
    """Balanced, unique ids, no script, and every address inside the page, so that it can be mailed."""
    checker = Checker()
    checker.feed(finished_page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert all(address.startswith("#") for address in checker.addresses)
    assert {address[1:] for address in checker.addresses} <= set(checker.ids)
    assert "script" not in checker.tags
    assert not re.search(r"@import|url\((?!#)", finished_page)
    assert len(finished_page) < 400_000


def test_the_same_run_gives_the_same_bytes(demo_dir, finished_page):
    path = write_report(demo_dir)
    assert path == demo_dir / "report.html"
    assert read(path) == finished_page


def test_the_look_follows_the_reader(finished_page):
    """Charts use the page's colour variables, so dark mode reaches them too; no placeholder colour is left."""
    assert "prefers-color-scheme: dark" in finished_page
    assert "stroke: var(--grpo_stage2)" in finished_page
    assert "#0102" not in finished_page


def test_foreign_text_is_escaped(demo_dir):
    samples = demo_dir / "sft" / "eval_samples.jsonl"
    rows = [json.loads(line) for line in read(samples).splitlines()]
    for row in rows:
        row["response"] = "<script>alert(1)</script></div> \ud800 <answer>A</answer>"
        row["question"] = '<img src="http://x.invalid">'
    for stage in ("base", "sft", "grpo_stage1", "grpo_stage2"):
        (demo_dir / stage / "eval_samples.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    page = read(write_report(demo_dir))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "<img" not in page


def test_a_run_still_going_shows_what_is_there(demo_dir):
    shutil.rmtree(demo_dir / "grpo_stage2")
    (demo_dir / "grpo_stage1" / "eval.json").unlink()
    (demo_dir / "grpo_stage1" / "eval_samples.jsonl").unlink()
    (demo_dir / "grpo_stage1" / "DONE").unlink()
    (demo_dir / "summary.json").unlink()
    text = text_of(read(write_report(demo_dir)))
    assert "to 46.8% (SFT)" in text
    assert "running step 120" in text
    assert "GRPO stage 2 – not run yet" in text
    assert "Mining of hard questions: not run yet" in text


def test_a_demo_that_has_only_begun(demo_dir):
    for stage in ("base", "sft", "grpo_stage1", "grpo_stage2"):
        shutil.rmtree(demo_dir / stage)
    (demo_dir / "summary.json").unlink()
    text = text_of(read(write_report(demo_dir)))
    assert "No stage has been evaluated yet." in text
    for part in ("Evaluation", "SFT", "Mining of hard questions", "Evaluation samples", "Training"):
        assert f"{part}: not run yet." in text
    assert "candidate sets 21,400" in text


def test_a_summary_without_layouts_of_stages(demo_dir):
    summary = json.loads(read(demo_dir / "summary.json"))
    del summary["parallel_by_stage"]
    (demo_dir / "summary.json").write_text(json.dumps(summary))
    text = text_of(read(write_report(demo_dir)))
    assert "Parallel layout tp 2, pp 1, cp 1, dp 2" in text
    assert "split over" not in text


def test_what_befell_the_rollout_servers_is_told(demo_dir):
    names = ("server_started", "server_lost", "server_restarted", "weights_pushed", "server_lost")
    rows = [{"event": name, "server": "vllm_0"} for name in names]
    (demo_dir / "grpo_stage1" / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = text_of(read(write_report(demo_dir)))
    assert "rollout servers: server lost 2x, server restarted 1x" in page
    assert page.count("rollout servers:") == 1


def test_a_failed_stage_tells_its_cause(demo_dir):
    (demo_dir / "grpo_stage2" / "DONE").unlink()
    (demo_dir / "grpo_stage2" / "FAILED.json").write_text('{"cause": "out of memory", "rank": 3, "step": 41}')
    assert "failed out of memory" in text_of(read(write_report(demo_dir)))


@pytest.mark.parametrize("stage", ["base", "sft", "grpo_stage1", "grpo_stage2"])
def test_one_run_directory_is_a_report_too(demo_dir, stage):
    path = write_report(demo_dir / stage)
    assert path == demo_dir / stage / "report.html"
    text = text_of(read(path))
    assert "held-out questions right; guessing gives 25.0%" in text
    assert ("Reinforcement learning" in text) == stage.startswith("grpo")
    assert ("cold start" in text) == (stage == "sft")
    assert "Sources and licences" not in text


def test_samples_stand_side_by_side(finished_page):
    question = re.search(r'<details class="card question" open>.*?</details>', finished_page, re.DOTALL)
    assert question
    assert re.findall(r'<span class="badge \w+">(\w+)</span>', question[0]) == ["wrong", "wrong", "wrong", "correct"]
    assert "Wrong at first, right at the end" in finished_page
    assert "Never right" in finished_page


def test_changes_are_counted_on_the_same_questions(demo_dir):
    """Written by hand: two of three questions turn right, and a third is known to one stage only."""
    for stage, outcomes in (("base", ["wrong", "malformed", "correct"]), ("sft", ["correct", "correct", "correct"])):
        rows = [
            {"item_id": f"q{i}", "question": "?", "letter": "A", "response": "", "outcome": outcome}
            for i, outcome in enumerate(outcomes)
        ]
        if stage == "sft":
            rows.append(rows[0] | {"item_id": "elsewhere"})
        (demo_dir / stage / "eval_samples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for stage in ("grpo_stage1", "grpo_stage2"):
        (demo_dir / stage / "eval_samples.jsonl").unlink()
    assert re.search(r"Base model to SFT \+66\.7 \+0\.0 to \+100\.0 2 0 3", text_of(read(write_report(demo_dir))))


def test_a_repeated_step_counts_once(demo_dir, finished_page):
    """A resumed run logs the steps after its last checkpoint again."""
    metrics = demo_dir / "sft" / "metrics.jsonl"
    lines = read(metrics).splitlines()
    metrics.write_text("\n".join(lines + lines[-20:]))
    assert read(write_report(demo_dir)) == finished_page


def test_non_finite_values_are_gaps(demo_dir):
    metrics = demo_dir / "sft" / "metrics.jsonl"
    rows = [json.loads(line) for line in read(metrics).splitlines()]
    rows[50]["loss"] = float("nan")
    metrics.write_text("\n".join(map(json.dumps, rows)))
    assert "SFT loss" in read(write_report(demo_dir))


def test_a_broken_line_is_named(demo_dir):
    metrics = demo_dir / "grpo_stage1" / "metrics.jsonl"
    lines = read(metrics).splitlines()
    lines[6] = lines[6][:25]
    metrics.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"grpo_stage1/metrics\.jsonl:7: broken JSON"):
        write_report(demo_dir)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("sft/eval.json", '{"accuracy": 0.5, "n": 10}', r'sft/eval\.json: the field "ci95" is missing'),
        ("sft/eval.json", "[]", r"sft/eval\.json: expected a JSON object, found list"),
        ("sft/metrics.jsonl", '{"loss": 1.0}\n', r'sft/metrics\.jsonl:1: the field "step" is missing'),
        ("base/eval_samples.jsonl", '\n{"item_id": "q"}\n', r'eval_samples\.jsonl:2: the field "question" is missing'),
        ("data/funnel.json", '{"accepted": "many"}', r'funnel\.json: "accepted" is no count'),
    ],
)
def test_broken_files_are_user_errors(demo_dir, file, content, message):
    (demo_dir / file).write_text(content)
    with pytest.raises(UserError, match=message):
        write_report(demo_dir)


def test_other_directories_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="not a directory"):
        write_report(tmp_path / "nowhere")
