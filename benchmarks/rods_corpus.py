"""Invented exam questions for benchmarks/rods.py: Zipfian words, stock phrases, vignettes and one-liners."""

import random
import re

import numpy as np

from fleming_nemo.rods.overlap.entries import Entry

_SYLLABLES = re.split(
    " ",
    "ba ce di fo gu ha ky li mo ne pho ri sa te thy ul ve xa zo ple gly cra neu cor hep ren der oste myo",
)
_STEMS = (
    "Which of the following is the most likely diagnosis in {}?",
    "The most common cause of {} is:",
    "All of the following are true about {} except:",
    "Drug of choice for {}",
    "{} is associated with which of the following?",
    "Which of the following is not a feature of {}?",
    "Which enzyme is deficient in {}?",
)
_VIGNETTES = (
    "A {age}-year-old man comes to the physician because of {}. "
    "His temperature is {t}°C and blood pressure is "
    "{bp} mm Hg. Physical examination shows {}. Laboratory studies show {}. "
    "Which of the following is the most likely diagnosis?",
    "A {age}-year-old woman with {} is brought to the emergency department because of {}. She takes {}. "
    "Her pulse is {p}/min. Which of the following is the most appropriate next step in management?",
)


class Exam:
    """Draws questions from one invented vocabulary; the same seed gives the same questions."""

    def __init__(self, seed: int, words: int = 40_000) -> None:
        self._rng = random.Random(seed)
        made: dict[str, None] = {}
        while len(made) < words:
            made["".join(self._rng.choices(_SYLLABLES, k=self._rng.choice((2, 3, 3, 4))))] = None
        self._words = np.array(list(made))
        weights = 1 / (np.arange(words) + 20.0)
        self._cumulative = np.cumsum(weights / weights.sum())

    def _phrase(self, low: int, high: int) -> str:
        draws = [self._rng.random() for _ in range(self._rng.randint(low, high))]
        places = np.searchsorted(self._cumulative, draws).clip(max=len(self._words) - 1)
        return " ".join(self._words[places])

    def question(self, name: str) -> Entry:
        """A question with four options: three of four are one-liners, the others vignettes."""
        rng = self._rng
        if rng.random() < 0.75:
            text = rng.choice(_STEMS).format(self._phrase(2, 6))
        else:
            shape = rng.choice(_VIGNETTES)
            holes = [self._phrase(4, 14) for _ in range(shape.count("{}"))]
            numbers = {"age": rng.randint(2, 90), "t": rng.randint(36, 40), "p": rng.randint(50, 140)}
            text = shape.format(*holes, bp=f"{rng.randint(90, 190)}/{rng.randint(50, 110)}", **numbers)
        return Entry(name, text, tuple(self._phrase(1, 5).capitalize() for _ in range(4)))

    def questions(self, count: int, prefix: str) -> list[Entry]:
        """`count` questions with ids made of `prefix`."""
        return [self.question(f"{prefix}-{number}") for number in range(count)]


_SIGNS = (
    "fever cough headache rash jaundice haematuria ataxia polyuria dyspnoea syncope diplopia dysphagia melena oedema "
    "palpitations tinnitus vertigo alopecia pruritus photophobia hoarseness amenorrhoea galactorrhoea nystagmus ptosis "
    "tremor haemoptysis chorea trismus xerostomia"
)
_DISEASES = (
    "sarcoidosis tuberculosis lymphoma gout malaria pneumonia asthma migraine meningitis cirrhosis acromegaly "
    "psoriasis pemphigus scleroderma dermatomyositis haemochromatosis amyloidosis porphyria listeriosis brucellosis "
    "botulism leprosy syphilis tetanus measles rubella scurvy pellagra rickets silicosis"
)


class Wards:
    """Vignettes of one template from few words: every question resembles every other, and none is a copy."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def question(self, name: str) -> Entry:
        """Three of thirty signs, four of thirty diseases."""
        rng = self._rng
        first, second, third = rng.sample(_SIGNS.split(), 3)
        text = (
            f"A {rng.randint(18, 80)}-year-old {rng.choice(('man', 'woman'))} presents with {first}, {second} and "
            f"{third} for {rng.randint(2, 9)} days. What is the most likely diagnosis?"
        )
        return Entry(name, text, tuple(disease.capitalize() for disease in rng.sample(_DISEASES.split(), 4)))

    def questions(self, count: int, prefix: str) -> list[Entry]:
        """`count` questions with ids made of `prefix`."""
        return [self.question(f"{prefix}-{number}") for number in range(count)]
