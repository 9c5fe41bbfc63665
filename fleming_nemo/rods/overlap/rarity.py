"""How much a shared word says: much when few benchmark questions have it, little when every exam has it."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fleming_nemo.rods.overlap.hashing import U64, Ints, unique_pairs
from fleming_nemo.rods.overlap.tables import KeyTable
from fleming_nemo.rods.overlap.tokens import NUMBER, tokenise

# A small benchmark alone cannot tell that 'diagnosis' is an everyday word: pretend to have seen this many questions.
_BACKGROUND = 4000
# Share of exam questions with such a word: function words, the stock phrases of exams, the stock words of vignettes.
_COMMON = {
    0.5: (
        "a about after all also an and any are as at be been before being both but by can could did do does due during "
        "each either else except false following for from had has have he her him his how i if in incorrect into is it "
        "its least likely may me more most my next no none not of on only option options or other our she should so "
        "some statement statements step such than that the their them then there these they this those through to true "
        "under was we were what when where which while who whom whose why will with within would you your best correct "
        "answer choose select question regarding given seen used among one two"
    ),
    0.1: (
        "day days "
        "abnormal above acute age aged ago appropriate associated begins below best blood boy brought cases cause "
        "caused causes characteristic chronic clinical common commonly complains condition considered contains "
        "department diagnosed diagnosis disease disorder doctor drug effect emergency evaluation examination explains "
        "feature features female finding findings found girl had health history hospital hours increased infection "
        "investigation involved known male man management medical months mother normal occur occurs old pain part past "
        "patient patients physical physician pregnant present presented presenting presents primary produced reports "
        "result reveals risk seen shows sign signs statement symptom symptoms syndrome test therapy treated treatment "
        "type underlying useful usually week weeks woman year years study medicine choice important initial "
        "bp mm hg pulse rate blood pressure respiratory respirations temperature min per cm kg mg ml dl minutes hour "
        "beats breaths office comes vital taking takes medications"
    ),
}
_COMMON_CHINESE = {
    0.5: (
        "下列 关于 的是 哪项 哪个 以下 不正 正确 确的 错误 误的 最可 可能 能的 应该 首先 首选 属于 不属 叙述 述正 述错 "
        "是哪 项是"
    ),
    0.1: (
        "患者 男性 女性 年龄 诊断 治疗 该患 检查 表现 临床 主要 最常 常见 见的 原因 疾病 病人 出现 入院 体检 查体 药物 "
        "引起"
    ),
}


@cache
def _prior() -> tuple[U64, NDArray[np.float64]]:
    share: dict[int, float] = {int(NUMBER): 0.5}
    for table in (_COMMON, _COMMON_CHINESE):
        for part, words in table.items():
            for word in tokenise([words]).words.tolist() if table is _COMMON else _pairs(words):
                share.setdefault(word, part)
    keys = np.array(sorted(share), np.uint64)
    return keys, np.array([share[int(key)] for key in keys])


def _pairs(words: str) -> list[int]:
    return [int(word) for text in words.split() for word in tokenise([text]).words]


class Rarity:
    """Weight of a word in nats: the logarithm of one over the share of questions that have it."""

    def __init__(self, words: U64, questions: Ints) -> None:
        """From parallel arrays: a word and the number of the benchmark question that it stands in."""
        asked, counts = np.unique(words[unique_pairs(questions, words)], return_counts=True)
        self.questions = int(questions.max(initial=-1)) + 1
        prior, share = _prior()
        known = np.union1d(asked, prior)
        expected = np.ones(len(known))
        expected[np.searchsorted(known, prior)] = share * _BACKGROUND
        self._table = KeyTable(known)
        self.keys = known
        self.counts = np.zeros(len(known) + 1, np.int64)
        """Per known word the number of benchmark questions that have it; the last row stands for all other words."""
        self.counts[np.searchsorted(known, asked)] = counts
        total = _BACKGROUND + self.questions
        self.weights = np.log(total / np.maximum(1, self.counts + np.append(expected, 0))).astype(np.float32)
        """Per known word its weight; a word that no benchmark has weighs most, unless it is an everyday word."""
        unseen = np.searchsorted(known, np.setdiff1d(prior, asked))
        self.weights[unseen] = np.log(_BACKGROUND / expected[unseen]).astype(np.float32)
        self.unknown = len(known)

    def ids(self, words: U64) -> Ints:
        """Row of every word in `weights` and `counts`; `unknown` for a word of no benchmark."""
        rows = self._table.find(words)
        return np.where(rows < 0, self.unknown, rows)
