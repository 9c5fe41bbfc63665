"""Questions that are answered in a second."""

from pathlib import Path

from fleming_nemo.data.items import QAItem, write_items


def write(folder: Path, story: str = "") -> list[QAItem]:
    """Eight to train on and four that are held out, returned in this order; `story` stands before each."""
    items = [
        QAItem(f"q{n}", f"{story}What has v{n}?", ("lupus", "marfan"), n % 2, None, "kg", "en", "train", tier, {})
        for n in range(12)
        for tier in [("easy", "moderate", "difficult")[n % 3]]
    ]
    write_items(folder / "items_rl.jsonl", items[:8])
    write_items(folder / "items_heldout.jsonl", items[8:])
    return items
