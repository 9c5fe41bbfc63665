"""One job in shards: what three processes make of it, joined, has the bytes of a run that was never cut."""

import sys
from dataclasses import asdict, replace
from pathlib import Path

import distill_cot
import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.data.files import write_jsonl
from fleming_nemo.data.items import read_items
from fleming_nemo.distill.loop import Plan
from fleming_nemo.distill.run import Job, run
from fleming_nemo.distill.shards import Shard, join, run_shard

FILES = ("cot.jsonl", "rejected.jsonl", "attempts.jsonl", "funnel.json", "card.json")


@pytest.fixture
def job(corpus, tmp_path):
    """22 questions with the graph teacher."""
    write_jsonl(tmp_path / "items.jsonl", [asdict(item) for item in read_items(corpus)[:22]])
    return Job(tmp_path / "items.jsonl", tmp_path / "cot", Plan())


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def test_joined_shards_have_the_bytes_of_a_whole_run(job, tmp_path):
    for number in (2, 3, 1):  # in any order
        run_shard(job, Shard(number, 3))
    card = join(job, 3)
    whole = replace(job, out=tmp_path / "whole")
    assert card == run(whole) and card["items"] == 22
    assert contents(job.out) == contents(whole.out)
    assert join(job, 3) == card  # a second time too


def test_every_item_is_in_one_shard():
    for of in (1, 3, 7, 22):
        parts = [Shard(number, of).of_items(range(22)) for number in range(1, of + 1)]
        assert [item for part in parts for item in part] == list(range(22))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_that_was_stopped_is_named(job):
    run_shard(job, Shard(1, 2))
    with pytest.raises(UserError, match=r"shard 2 of 2 is not finished in .*; run it with --shard 2/2\.$"):
        join(job, 2)
    assert not (job.out / "cot.jsonl").exists()


def test_shards_of_other_settings_or_items_are_refused(job, corpus):
    for number in (1, 2):
        run_shard(job, Shard(number, 2))
    with pytest.raises(UserError, match=r"was begun with other settings \(seed\)"):
        join(replace(job, plan=Plan(seed=2)), 2)
    attempts = job.out / "shards" / "2-of-2" / "attempts.jsonl"
    attempts.write_text("".join(attempts.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(UserError, match="holds other items than .*; remove it and run it with --shard 2/2"):
        join(job, 2)


def test_more_shards_than_items_are_refused(job):
    with pytest.raises(UserError, match="fewer items than 23 shards"):
        run_shard(job, Shard(1, 23))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/", "a/b", "-1/3"])
def test_what_is_no_shard(text):
    with pytest.raises(UserError, match="expected K/N with K from 1 to N"):
        Shard.parse(text)


def test_the_script(job, monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["x", "--items", str(job.items), "--out", str(job.out), *arguments])
        distill_cot.main()
        return capsys.readouterr().out

    assert f"chains of 11 items in {Path(job.out, 'shards', '1-of-2')}" in call("--shard", "1/2")
    call("--shard", "2/2")
    assert f"chains of 22 items in {job.out}" in call("--join", "2")
    with pytest.raises(SystemExit, match="2"):
        call("--shard", "1/2", "--join", "2")
