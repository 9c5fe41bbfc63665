"""The solver on a hand-made graph: it must find what the text says, miss what it does not, and never guess."""

import pytest

from fleming_nemo.rods.kg.store import in_memory
from fleming_nemo.rods.kg.table import Edge, Node
from fleming_nemo.rods.solver.lexicon import Lexicon
from fleming_nemo.rods.solver.reading import read
from fleming_nemo.rods.solver.solve import ABSTAINED, GraphSolver
from fleming_nemo.rods.solver.view import LOST, kept_edges


def node(identifier, kind, name, *synonyms, zh=None):
    return Node(identifier, kind, name, synonyms, (), zh)


def edge(subject, relation, object_, low=None, high=None, negated=False):
    return Edge(subject, relation, object_, "made up", (), low, high, negated)


NODES = [
    node("D:1", "disease", "Alpha syndrome", zh="甲综合征"),
    node("D:2", "disease", "Beta syndrome", zh="乙综合征"),
    node("D:3", "disease", "Gamma syndrome", "Third disease"),
    node("D:4", "disease", "disease"),
    node("G:1", "gene", "WAS"),
    node("G:2", "gene", "QX2"),
    node("M:1", "inheritance", "Autosomal dominant inheritance"),
    node("M:2", "inheritance", "Autosomal recessive inheritance"),
    node("T:0", "phenotype", "Odd skin", zh="皮肤异常"),
    node("T:1", "phenotype", "Green spots", "Absent colour", zh="绿斑"),
    node("T:2", "phenotype", "Loud cough", zh="咳嗽"),
    node("T:3", "phenotype", "Blue hair", zh="蓝发"),
    node("X:1", "drug", "Tinazol"),
    node("X:2", "drug", "Ironol"),
    node("X:3", "drug", "Zincum"),
    node("A:1", "mechanism", "rust blocker"),
    node("A:2", "mechanism", "metal donor"),
    node("V:1", "variant", "WAS p.Ala1Val"),
]
EDGES = [
    *(edge("D:1", "has_phenotype", t, 0.9, 1.0) for t in ("T:1", "T:2")),
    *(edge("D:2", "has_phenotype", t, 0.9, 1.0) for t in ("T:2", "T:3")),
    edge("D:3", "has_phenotype", "T:3", 0.1, 0.2),
    edge("D:3", "has_phenotype", "T:2", negated=True),
    edge("T:1", "is_a", "T:0"),
    edge("D:1", "caused_by", "G:1"),
    edge("D:3", "caused_by", "G:1"),
    edge("D:2", "caused_by", "G:2"),
    edge("D:1", "inherited_as", "M:1"),
    edge("D:2", "inherited_as", "M:2"),
    edge("X:1", "has_mechanism", "A:1"),
    edge("X:2", "has_mechanism", "A:1"),
    edge("X:3", "has_mechanism", "A:2"),
    edge("X:1", "interacts_with", "X:3"),
    edge("D:1", "has_variant", "V:1"),
    edge("G:1", "has_variant", "V:1"),
]


@pytest.fixture(scope="module")
def kg():
    return in_memory(NODES, EDGES)


@pytest.fixture(scope="module")
def solver(kg):
    """Seven trials: with so few statements a single one may well know too little."""
    return GraphSolver(kg, 7)


DISEASES = ["Beta syndrome", "Alpha syndrome", "Gamma syndrome"]


@pytest.mark.parametrize(
    ("question", "options", "letter"),
    [
        ("A patient has: Green spots; Loud cough. Which diagnosis?", DISEASES, "B"),
        ("Seen on examination: odd skin; loud cough. What is it?", DISEASES, "B"),
        ("A patient has: Loud cough. There is no evidence of: Green spots. What is it?", DISEASES[:2], "A"),
        (
            "Findings: Blue hair in fewer than 30 % of patients; Odd skin. What is it?",
            ["Third disease", DISEASES[0]],
            "A",
        ),
        ("Findings: Blue hair in at least 80 % of patients. Which one?", ["Gamma syndrome", "Beta syndrome"], "B"),
        ("患者有以下表现：绿斑；咳嗽。最可能的诊断是什么？", ["乙综合征", "甲综合征"], "B"),
        ("患者有以下表现：绿斑；咳嗽。该疾病的遗传方式是什么？", ["常染色体隐性遗传", "常染色体显性遗传"], "B"),
        ("A patient has: Green spots; Loud cough. Which gene causes the disease?", ["QX2", "WAS"], "B"),
        ("A patient has: Green spots; Loud cough. Which other disease does its gene cause?", DISEASES[::2], "B"),
        ("Consider Tinazol. By which mechanism does it act?", ["metal donor", "rust blocker"], "B"),
        ("Consider Tinazol. Which drug has the same mechanism?", ["Zincum", "Ironol"], "B"),
        ("Consider Tinazol. With which drug is an interaction known?", ["Zincum", "Ironol"], "A"),
        ("The variant is WAS p.Ala1Val. With which disease is it associated?", DISEASES, "B"),
    ],
)
def test_it_answers_from_the_text(solver, question, options, letter):
    answers = solver.answers(question, options)
    right = answers.count(letter)
    assert right > len(answers) / 2, (answers, read(solver.kg, solver.lexicon, question, options))


def test_it_says_nothing_where_the_text_leads_nowhere(solver):
    for question, options in (
        ("Which metal is it?", ["tin", "zinc"]),
        ("A patient takes Zincum. How is it inherited?", ["Autosomal dominant inheritance", "tin"]),
        ("He was well. Which gene causes it?", ["QX2", "WAS"]),
    ):
        assert set(solver.answers(question, options)) == {ABSTAINED}


def test_it_depends_on_the_evidence_and_not_on_the_options_order(solver):
    question = "A patient has: Green spots; Loud cough. What is it?"
    one, other = solver.answers(question, DISEASES), solver.answers(question, DISEASES[::-1])
    assert [DISEASES["ABC".index(a)] for a in one] == [DISEASES[::-1]["ABC".index(a)] for a in other]
    moved = solver.answers("A patient has: Blue hair; Loud cough. What is it?", DISEASES)
    assert moved.count("A") > moved.count("B")


def test_names_are_the_longest_and_short_ones_are_as_written(kg):
    lexicon = Lexicon(kg)

    def named(text):
        return [tuple(kg.ids[n] for n in mention.nodes) for mention in lexicon.mentions(text)]

    assert named("WAS p.Ala1Val was found; the gene WAS causes ALPHA  syndrome") == [("V:1",), ("G:1",), ("D:1",)]
    assert named("乙综合征患者") == [("D:2",)]
    assert lexicon.whole("third DISEASE") == (kg.index["D:3"],) and lexicon.whole("third") == ()


def test_a_name_that_says_absent_is_no_denial(kg):
    found = read(kg, Lexicon(kg), "The record lists Absent colour; Loud cough. What is it?", DISEASES)
    assert [f.denied for f in found.findings] == [False, False]
    found = read(kg, Lexicon(kg), "Looked for and absent: Absent colour; Loud cough. What is it?", DISEASES)
    assert [f.denied for f in found.findings] == [True, True]
    assert found.entities == [], "the word disease is no mention of a node that is called so"


def test_each_trial_loses_other_statements():
    one, two = kept_edges(10_000, 1, 0), kept_edges(10_000, 1, 1)
    assert abs((~one).mean() - LOST) < 0.01 and (one != two).mean() > LOST
    assert (kept_edges(10_000, 1, 0) == one).all()
