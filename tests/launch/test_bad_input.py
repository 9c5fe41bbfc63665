"""What a user can get wrong before and at the start of a run: one sentence, exit code 2, and nothing is lost.

A second run into a directory in use, and a directory of another run, are in test_local.py.
"""

import shutil

import pytest
from recipe_process import run

from fleming_nemo.data import corpus

CHAT = "<|im_start|>user\nWhich?\nA) one\nB) two<|im_end|>\n<|im_start|>assistant\n<think>\nOne.\n</think>\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory, chat):
    """A whole small corpus, and a folder with the tokenizer it was made with."""
    root = tmp_path_factory.mktemp("corpus")
    ids = chat.encode(CHAT)
    corpus.write(root / "data", [(ids, [1] * len(ids))] * 16, chat, sources={}, config={})
    shutil.copytree(chat.folder, root / "tokenizer")
    return root


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--tiny", "trian.steps=3"], "there is no option 'trian.steps'; did you mean train.steps"),
        (["--tiny", "train.steps=many"], "train.steps takes an integer, not 'many'"),
        (
            ["--tiny", "parallel.tp=3"],
            "parallel.tp is 3, which does not divide the 4 attention heads of qwen2.5-tiny; ",
        ),
        (
            ["--tiny", "train.pack_tokens=0", "train.global_batch=7"],
            "train.global_batch is 7, which is not a multiple of train.micro_batch",
        ),
        ([], "this machine has no GPU that torch can use, and qwen2.5-7b needs them; try the same recipe in small "),
        (["--tiny", "data.synthesis=none", "data.dir=missing"], "missing holds no finished data (manifest.json is "),
    ],
    ids=["unknown", "type", "heads", "batch", "no GPU", "no corpus"],
)
def test_seen_before_any_process_is_started(tmp_path, arguments, sentence):
    done = run("sft_7b", f"run_dir={tmp_path}/run", *arguments, CUDA_VISIBLE_DEVICES="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run" / "logs").exists()


def test_the_sentence_comes_fast(tmp_path):
    """Without torch, which takes seconds to import."""
    done = run("sft_7b", "trian.steps=3", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 2
    assert not [line for line in done.stderr.splitlines() if line.endswith("| torch")]


@pytest.mark.parametrize("place", ["file/run", "/proc/run"])
def test_a_run_directory_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / place  # an absolute place stays as it is
    for mode in ([], ["--dry-run"]):
        done = run("sft_7b", "--tiny", f"run_dir={folder}", *mode)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: cannot write to the run directory {folder}: ")
        assert done.stderr.endswith("; choose another with run_dir=...\n")
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.parametrize("mode", ["--dry-run", "run"])
def test_a_corpus_that_is_truncated_or_of_another_tokenizer(tmp_path, data, mode):
    """By a dry run in this process's place, and by the workers of a real one."""
    dry = [mode] * (mode == "--dry-run")
    broken = tmp_path / "broken"
    shutil.copytree(data / "data", broken)
    with open(broken / "tokens.bin", "r+b") as file:
        file.truncate(100)
    other = tmp_path / "other"
    shutil.copytree(data / "tokenizer", other)
    with open(other / "tokenizer.json", "a") as file:
        file.write("\n")

    for folder, tokenizer, sentence in (
        (broken, data / "tokenizer", f"{broken}/tokens.bin has 100 bytes where the manifest says"),
        (data / "data", other, f"the corpus in {data}/data was made with another tokenizer than {other}; set data."),
    ):
        before = snapshot(folder)
        done = run(
            "sft_7b",
            "--tiny",
            *dry,
            f"run_dir={tmp_path}/run",
            "data.synthesis=none",
            f"data.dir={folder}",
            f"data.tokenizer={tokenizer}",
        )
        assert done.returncode == 2, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"error: {sentence}")
        assert snapshot(folder) == before
        assert not (tmp_path / "run" / "checkpoints").exists()
