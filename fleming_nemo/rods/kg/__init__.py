"""The typed medical graph: read from pinned wheels, tables or text, kept as Parquet, used through `KnowledgeGraph`."""
