"""Overlap between questions: exact and near duplicates inside a corpus, contamination by evaluation sets."""
