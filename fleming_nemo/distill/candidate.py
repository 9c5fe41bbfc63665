"""A response under examination: what the teacher wrote, taken apart once for all filters."""

import re
from dataclasses import dataclass, field
from functools import cached_property

from fleming_nemo.data.items import QAItem
from fleming_nemo.distill.reading.entities import Entities, entities_of
from fleming_nemo.distill.reading.text import sentences
from fleming_nemo.reward.verify import Verdict, verify


@dataclass(frozen=True)
class Candidate:
    """`text` is the assistant's turn; `finished` says that the teacher ended it by itself."""

    item: QAItem
    text: str
    finished: bool = True
    known: Entities | None = field(default=None, compare=False)
    """Entities of the item where they are at hand already; several candidates of one item share them."""

    @cached_property
    def verdict(self) -> Verdict:
        return verify(self.text, len(self.item.options), int(self.item.answer), self.finished)

    @cached_property
    def reasoning(self) -> str:
        """What stands between the think tags, or all of a text without them."""
        found = re.search(r"<think>(.*?)(?:</think>|$)", self.text, re.DOTALL)
        return (found.group(1) if found else self.text).strip()

    @cached_property
    def entities(self) -> Entities:
        return self.known or entities_of(self.item)

    @cached_property
    def sentences(self) -> list[str]:
        return sentences(self.reasoning)
