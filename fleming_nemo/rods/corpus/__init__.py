"""From synthesised questions to a corpus: duplicates, decontamination, label check, difficulty, data card."""
