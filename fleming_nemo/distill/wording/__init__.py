"""What the offline teacher's sentences are made of, by language: a key, and several ways to say it.

Both tables have the same keys and slots (tests/distill/test_wording.py holds them together).
"""

from fleming_nemo.distill.wording import en, zh

PHRASES = {"en": en.PHRASES, "zh": zh.PHRASES}
GLUE = {"en": en.GLUE, "zh": zh.GLUE}
