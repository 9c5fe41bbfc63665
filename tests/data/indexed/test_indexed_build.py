"""Items and chains to a corpus: text and mask are right, and the bytes do not depend on how it was built."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lessons_fixture
import numpy as np
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.chat import render_prompt, render_response
from fleming_nemo.data.corpus import Corpus
from fleming_nemo.data.indexed import build as build_module
from fleming_nemo.data.indexed import join, lesson
from fleming_nemo.data.indexed.build import Recipe, build
from fleming_nemo.data.tokenizer import ChatTokenizer

SCRIPT = Path(__file__).parents[3] / "data_prep" / "build_indexed.py"
Lessons = tuple[Path, Path]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def script(lessons: Lessons, chat: ChatTokenizer, out: Path, *more: str) -> list[str]:
    items, chains = map(str, lessons)
    command = [sys.executable, str(SCRIPT), "--items", items, "--chains", chains, "--out", str(out)]
    return [*command, "--tokenizer", str(chat.folder), *more]


@pytest.mark.parametrize("name", ["qwen", "chat"])
def test_documents_are_the_rendered_chats_and_the_mask_is_the_assistants(
    lessons: Lessons, tmp_path: Path, request: pytest.FixtureRequest, name: str
) -> None:
    tokenizer: ChatTokenizer = request.getfixturevalue(name)
    made = build(Recipe(*lessons, tokenizer, "Think, then  answer."), tmp_path / "corpus", workers=1)
    corpus = Corpus(tmp_path / "corpus", tokenizer)
    items = lessons_fixture.items(50)
    assert len(corpus) == made["documents"] == 50
    for n, item in enumerate(items):
        tokens, mask = corpus[n]
        response = render_response(str(lessons_fixture.chain(item)["reasoning"]), item.letter)
        assert tokenizer.decode(tokens[mask == 0].tolist()) == render_prompt(item, "Think, then  answer.")
        assert tokenizer.decode(tokens[mask == 1].tolist()) == response
        assert (np.diff(mask.astype(int)) >= 0).all()
    assert made["teachers"] == {"graph-offline": 50} and made["rejected"] == {}
    assert made["sources"]["kg"] == {"items": 33, "licence": "CC0"}
    assert made["sources"]["curated"] == {"items": 17, "licence": "not stated"}


def test_any_number_of_workers_makes_the_same_bytes(
    lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "LINES", 7)
    recipe = Recipe(*lessons, qwen, pack=300)
    for workers in (1, 2, 3):
        build(recipe, tmp_path / str(workers), workers)
    assert content(tmp_path / "1") == content(tmp_path / "2") == content(tmp_path / "3")
    monkeypatch.setattr(join, "LINES", 100)
    build(recipe, tmp_path / "one part", workers=1)
    assert content(tmp_path / "one part") == content(tmp_path / "1")


def test_a_build_that_is_killed_goes_on(
    lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each part, and between the moves at the end; nothing finished is made twice."""
    monkeypatch.setattr(join, "LINES", 9)
    recipe = Recipe(*lessons, qwen, pack=300)
    build(recipe, tmp_path / "whole", workers=1)
    folder = tmp_path / "killed"
    made: list[int] = []
    make = lesson._make

    def make_one(*args: object) -> int:
        """One part a run; those that are there already cost nothing."""
        stretch = args[-1]
        if not (folder / ".building" / f"{stretch.number:06}.json").exists():
            if made and made[-1] == "run":
                raise KeyboardInterrupt
            made.append("run")
        return make(*args)

    monkeypatch.setattr(lesson, "_make", make_one)
    for _ in range(5):
        made.append("start")
        with pytest.raises(KeyboardInterrupt):
            build(recipe, folder, workers=1)
        assert not (folder / "manifest.json").exists()
    replace = os.replace
    moves = 0

    def stop_at_the_third(source: Path, target: Path) -> None:
        nonlocal moves
        moves += Path(target).parent == folder
        if moves == 3:
            moves += 1
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_at_the_third)
    made.append("start")
    with pytest.raises(KeyboardInterrupt):
        build(recipe, folder, workers=1)
    assert moves == 4 and not (folder / "manifest.json").exists()
    build(recipe, folder, workers=1)
    assert made.count("run") == 6
    assert content(folder) == content(tmp_path / "whole")


def test_kill_9_and_the_same_command_again(tmp_path: Path, qwen: ChatTokenizer) -> None:
    items = lessons_fixture.items(12_000)
    lessons = lessons_fixture.write(tmp_path, items, [lessons_fixture.chain(item) for item in items])
    subprocess.run(script(lessons, qwen, tmp_path / "whole", "--pack", "512", "--workers", "1"), check=True)
    out = tmp_path / "killed"
    command = script(lessons, qwen, out, "--pack", "512", "--workers", "2")
    with subprocess.Popen(command, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while len(list(out.glob(".building/0*.json"))) < 2 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)  # this one alone: its workers have to notice
    assert not (out / "manifest.json").exists()
    subprocess.run(command, check=True)
    assert content(out) == content(tmp_path / "whole")


def test_workers_end_with_the_build(lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer) -> None:
    marker = tmp_path / "marker"
    code = f"""
import os, time
from pathlib import Path
from fleming_nemo.data.indexed.workers import Workers
import test_build
for _ in Workers(2, test_build.pids).results(range(2)): Path({str(marker)!r}).open("a").write(f"{{_}}\\n")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    pids = [int(pid) for pid in marker.read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any(
        Path(f"/proc/{pid}/cmdline").exists() and b"spawn" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pids() -> object:
    return lambda _: os.getpid()


def test_finished_is_left_alone_and_other_inputs_are_refused(
    lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer
) -> None:
    first = build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1)
    before = (tmp_path / "corpus" / "tokens.bin").stat().st_mtime_ns
    assert build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1) == first
    assert (tmp_path / "corpus" / "tokens.bin").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="holds a corpus made of other inputs"):
        build(Recipe(*lessons, qwen, pack=400), tmp_path / "corpus", workers=1)
    lessons[1].write_text("\n".join(lessons[1].read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(UserError, match="holds a corpus made of other inputs"):
        build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1)


def test_parts_of_other_inputs_are_not_used(
    lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build_module.Assembly, "finish", interrupted)
        build(Recipe(*lessons, qwen, "Be brief."), tmp_path / "corpus", workers=1)
    assert (tmp_path / "corpus" / ".building" / "000000.json").exists()
    build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1)
    build(Recipe(*lessons, qwen), tmp_path / "fresh", workers=1)
    assert content(tmp_path / "corpus") == content(tmp_path / "fresh")


def test_two_builds_in_one_directory(lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer) -> None:
    with build_module._alone(tmp_path / ".building"), pytest.raises(UserError, match="another build is at work"):
        build(Recipe(*lessons, qwen), tmp_path, workers=1)


def test_a_part_that_changed_on_disk_is_told_and_made_again(
    lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = build_module.load

    def damaged(file: Path) -> object:
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        return load(file)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="000000.part changed after it was written"):
        patch.setattr(build_module, "load", damaged)
        build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1)
    assert build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1)["documents"] == 50


def test_a_worker_that_is_killed(lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer) -> None:
    from fleming_nemo.data.indexed.workers import Workers

    with pytest.raises(UserError, match="a worker process was killed, probably for want of memory"):
        list(Workers(2, suicides).results(range(3)))


def suicides() -> object:
    return lambda _: os.kill(os.getpid(), signal.SIGKILL)


def test_what_is_left_out_is_counted(tmp_path: Path, qwen: ChatTokenizer) -> None:
    items = lessons_fixture.items(6)
    items[1] = lessons_fixture.open_ended(items[1])
    chains = [lessons_fixture.chain(item) for item in [items[0], *items[2:]]]
    chains.insert(1, {"item_id": items[1].id, "reasoning": "So."})
    chains[2]["verified"] = False
    chains[3]["reasoning"] = " \n"
    chains[4]["reasoning"] = "long " * 500
    lessons = lessons_fixture.write(tmp_path, items, chains)
    made = build(Recipe(*lessons, qwen, pack=600), tmp_path / "corpus", workers=1)
    assert made["documents"] == 2
    assert made["rejected"] == {
        "an open-ended question, whose answer has no letter": 1,
        "not verified": 1,
        "no reasoning": 1,
        "longer than 600 tokens": 1,
    }


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "cot.jsonl, line 3: no JSON object with an id"),
        ("", "cot.jsonl, line 3: no JSON object with an id"),
        ('{"item_id": "id2é", "reasoning": "a', "cot.jsonl, line 3: not JSON"),
        ('{"item_id": "id2é"}', "cot.jsonl, line 3: not a chain .no text under reasoning"),
        ('{"item_id": 7, "reasoning": "So."}', "cot.jsonl, line 3: no JSON object with an id .an id is a string"),
        (
            '{"item_id": "id99", "reasoning": "So."}',
            "cot.jsonl, line 3: a chain for id99, which is not in .*items.jsonl",
        ),
        ('{"item_id": "id2é", "reasoning": "So.", "letter": "Z"}', "line 3: its answer is Z and that of item id2é is"),
    ],
)
def test_bad_chains(
    lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer, line: str, problem: str, workers: int
) -> None:
    lines = lessons[1].read_text().splitlines()
    lessons[1].write_text("\n".join([*lines[:2], line, *lines[3:]]) + "\n")
    with pytest.raises(UserError, match=problem):
        build(Recipe(*lessons, qwen), tmp_path / "corpus", workers)
    assert not (tmp_path / "corpus" / "manifest.json").exists()


def test_bad_item(lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer) -> None:
    text = lessons[0].read_text()
    lessons[0].write_text(text.replace('"answer": ', '"answer": -', 1))
    with pytest.raises(UserError, match="items.jsonl, line 1, field answer"):
        build(Recipe(*lessons, qwen), tmp_path / "corpus", workers=1)


def test_nothing_is_left(lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer) -> None:
    with pytest.raises(UserError, match="no document is left"):
        build(Recipe(*lessons, qwen, pack=5), tmp_path / "corpus", workers=1)


def test_script(lessons: Lessons, tmp_path: Path, qwen: ChatTokenizer) -> None:
    done = subprocess.run(
        script(lessons, qwen, tmp_path / "corpus", "--pack", "300"), capture_output=True, text=True, check=True
    )
    assert "50 documents" in done.stdout and "packs of 300 tokens" in done.stdout
    verify = subprocess.run([sys.executable, str(SCRIPT), "--verify", str(tmp_path / "corpus")], check=False)
    assert verify.returncode == 0
    wrong = subprocess.run([sys.executable, str(SCRIPT), "--blend", "x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "--out" in wrong.stderr


def test_building_needs_no_torch() -> None:
    code = (
        "import sys; import fleming_nemo.data.corpus, fleming_nemo.data.indexed.build; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
