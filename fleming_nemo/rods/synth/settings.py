"""What the bytes of a corpus depend on."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleming_nemo.config.errors import UserError
from fleming_nemo.rods.kg.table import MANIFEST

ITEM_SHARES = {"sft": 0.8, "rl": 0.1, "heldout": 0.1}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the bytes of a corpus depend on."""

    graph: str
    items: int
    seed: int = 1
    sampler: str = "rare-first"
    mentions: str | None = None
    chinese: float = 0.1
    shard_size: int = 1000

    def record(self) -> dict[str, Any]:
        """With hashes in place of the paths: the same inputs elsewhere give the same corpus."""
        table = digest(Path(self.mentions)) if self.mentions else None
        return asdict(self) | {"graph": digest(Path(self.graph) / MANIFEST), "mentions": table}

    def sizes(self) -> dict[str, int]:
        """Number of items by split."""
        sizes = {split: int(self.items * share) for split, share in ITEM_SHARES.items()}
        sizes["sft"] += self.items - sum(sizes.values())
        return sizes


def digest(path: Path) -> str:
    """sha256 of a file of the graph, or of the table of mentions."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); build the graph with data_prep/build_kg.py.") from error
