"""The data card: one form for curated and for synthetic corpora."""
