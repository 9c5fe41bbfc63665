"""Pages: wiki markup, dumps, and files that are none."""

import bz2

import pytest

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.records import node
from fleming_nemo.rods.kg.rejects import Rejects
from fleming_nemo.rods.kg.text.linker import Linker
from fleming_nemo.rods.kg.text.pages import Page, files_of, passages, plain, read_pages

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">
<page><title>Wolfram</title><ns>0</ns><revision>
<text>'''Wolfram''' {{a|{{b}}}} has [[Eye|eyes]].</text></revision></page>
<page><title>Talk:X</title><ns>1</ns><revision><text>chat</text></revision></page>
<page><title>W</title><ns>0</ns><revision><text>#REDIRECT [[Wolfram]]</text></revision></page>
<page><title>Nothing</title><ns>0</ns><revision><text>{{stub}}</text></revision></page>
"""


def test_markup_is_removed():
    text = "== Signs ==\n'''A''' is<ref name=x>no</ref> [[File:x.png]]a [[b|c]] &\n\n\n\n{{Infobox|x={{y}}}}d <br/>e"
    assert plain(text) == "Signs\nA is a c &\n\nd e"


def test_a_dump_and_its_rest_when_cut_off(tmp_path):
    (tmp_path / "dump.xml").write_text(DUMP + "<page><title>Half")
    (tmp_path / "whole.xml.bz2").write_bytes(bz2.compress((DUMP + "</mediawiki>").encode()))
    rejects = Rejects()
    pages = list(read_pages(tmp_path, rejects))
    assert [(p.file, p.title, p.text) for p in pages] == [
        (name, "Wolfram", "Wolfram has eyes.") for name in ("dump.xml", "whole.xml.bz2")
    ]
    assert [(r.file, r.row, r.reason.split(":")[0]) for r in rejects.rows] == [
        ("dump.xml", 4, "empty page"),
        ("dump.xml", 5, "the dump cannot be read further"),
        ("whole.xml.bz2", 4, "empty page"),
    ]


def test_files_that_are_no_pages(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"Fi\xe8vre")
    (tmp_path / "empty.md").write_text(" \n")
    with open(tmp_path / "huge.txt", "wb") as file:
        file.truncate((10 << 20) + 1)
    rejects = Rejects()
    assert list(read_pages(tmp_path, rejects)) == []
    assert [r.file for r in rejects.rows] == ["empty.md", "huge.txt", "latin.txt"]


def test_no_folder_and_no_page(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        files_of(tmp_path / "none")
    with pytest.raises(UserError, match="holds no .txt"):
        files_of(tmp_path)


def test_passages_keep_all_the_text():
    page = Page("f", "t", "\n\n".join(["a" * 30, "b" * 30, "c" * 150]))
    found = list(passages(page, 70))
    assert found[0] == "a" * 30 + "\n\n" + "b" * 30 and max(map(len, found)) <= 72
    assert "".join(found).count("c") == 150


def test_links_prefer_the_longest_name_and_skip_shared_ones():
    linker = Linker(
        [
            node("A:1", "disease", "Diabetes"), node("A:2", "disease", "Diabetes mellitus", ("DM", "sugar")),
            node("A:3", "disease", "X-linked disease", ("sugar",), (), "甲病"),
        ]
    )  # fmt: skip
    text = "Diabetes Mellitus (DM), X linked disease, sugar; 患甲病。diabetes"
    assert [(m.text, m.id) for m in linker.mentions(text)] == [
        ("Diabetes Mellitus", "A:2"), ("X linked disease", "A:3"), ("diabetes", "A:1"), ("甲病", "A:3")
    ]  # fmt: skip
    assert linker.named("dm") == "A:2" and linker.named("sugar") == ""
