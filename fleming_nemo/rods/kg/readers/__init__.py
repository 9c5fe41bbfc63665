"""One reader per source; `REGISTRY` lists them in the order in which they are joined."""
