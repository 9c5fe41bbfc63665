"""A solver that reads a question and answers it from the graph: the label check of a machine without an endpoint."""
