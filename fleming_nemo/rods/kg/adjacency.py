"""Neighbours over one relation in compressed rows."""

import numpy as np


class Adjacency:
    """Neighbours over one relation as compressed rows; the rows of a node are in the order of the edge numbers."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, edges: np.ndarray, num_nodes: int) -> None:
        order = np.argsort(rows, kind="stable")
        self.columns, self.numbers = columns[order], edges[order]
        self.starts = np.zeros(num_nodes + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=num_nodes), out=self.starts[1:])

    def neighbours(self, node: int) -> np.ndarray:
        """Node numbers; one that two sources state occurs twice."""
        return self.columns[self.starts[node] : self.starts[node + 1]]

    def edges(self, node: int) -> np.ndarray:
        """Edge numbers, aligned with `neighbours`."""
        return self.numbers[self.starts[node] : self.starts[node + 1]]

    def degrees(self) -> np.ndarray:
        """Number of edges by node."""
        return np.diff(self.starts)

    def closure(self, node: int) -> set[int]:
        """The node itself and all that can be reached from it."""
        seen, waiting = {node}, [node]
        while waiting:
            fresh = set(self.neighbours(waiting.pop()).tolist()) - seen
            seen |= fresh
            waiting.extend(fresh)
        return seen
