"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        about: what was looked at, in a word or two.
        told: what was found; where something is wrong, also what to do.
        wrong: no run that needs it should be started here.
        missing: it is not there, which is wrong only for a run that needs it.
    """

    about: str
    told: str
    wrong: bool = False
    missing: bool = False

    def line(self) -> str:
        mark = "WRONG" if self.wrong else "none" if self.missing else "ok"
        return f"{self.about:20} {mark:6} {self.told}"
