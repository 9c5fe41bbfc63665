"""Path families: what is shown, which relations are walked, what is asked. Adding one means adding a row here.

A question starts at a node that is either named ("named") or described by its findings ("findings", "bands"), walks the
hops, and asks for the node at the end. With "findings" and "bands" the start is itself hidden: a disease that the
findings single out of the whole graph, or one that the stated frequencies single out among the options.
"""

from dataclasses import dataclass

from fleming_nemo.config.errors import UserError


@dataclass(frozen=True, slots=True)
class Hop:
    """One relation, walked from subject to object, back, or (for symmetric relations) either way; ends at `to`."""

    relation: str
    direction: str
    to: str


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    start: str
    """findings, bands or named."""
    start_type: str
    hops: tuple[Hop, ...]
    share: float
    """Weight among the families; one that runs out gives its share to the others."""
    functional: bool = False
    """Whether the last node must be the only one there is (a disease with one mode of inheritance)."""

    @property
    def target_type(self) -> str:
        return self.hops[-1].to if self.hops else self.start_type

    @property
    def num_hops(self) -> int:
        """Relations between what is shown and what is asked."""
        return len(self.hops) + (self.start != "named")


GENE = Hop("caused_by", "out", "gene")
DISEASE_OF_GENE = Hop("caused_by", "in", "disease")
MODE = Hop("inherited_as", "out", "inheritance")
GUIDELINE = Hop("has_gene_drug_guideline", "out", "drug")
MECHANISM = Hop("has_mechanism", "out", "mechanism")
DRUG_OF_MECHANISM = Hop("has_mechanism", "in", "drug")
INTERACTION = Hop("interacts_with", "either", "drug")
GENE_OF_VARIANT = Hop("has_variant", "in", "gene")
DISEASE_OF_VARIANT = Hop("has_variant", "in", "disease")

FAMILIES = (
    Family("findings-disease", "findings", "disease", (), 0.18),
    Family("frequencies-disease", "bands", "disease", (), 0.08),
    Family("findings-disease-gene", "findings", "disease", (GENE,), 0.16),
    Family("findings-disease-inheritance", "findings", "disease", (MODE,), 0.08, functional=True),
    Family("findings-disease-gene-disease", "findings", "disease", (GENE, DISEASE_OF_GENE), 0.12),
    Family("findings-disease-gene-drug", "findings", "disease", (GENE, GUIDELINE), 0.03),
    Family("findings-disease-gene-drug-mechanism", "findings", "disease", (GENE, GUIDELINE, MECHANISM), 0.02),
    Family(
        "findings-disease-gene-drug-mechanism-drug",
        "findings",
        "disease",
        (GENE, GUIDELINE, MECHANISM, DRUG_OF_MECHANISM),
        0.02,
    ),
    Family("disease-gene", "named", "disease", (GENE,), 0.07),
    Family("disease-gene-drug", "named", "disease", (GENE, GUIDELINE), 0.02),
    Family("gene-drug", "named", "gene", (GUIDELINE,), 0.01),
    Family("drug-mechanism", "named", "drug", (MECHANISM,), 0.03),
    Family("drug-mechanism-drug", "named", "drug", (MECHANISM, DRUG_OF_MECHANISM), 0.04),
    Family("drug-interaction", "named", "drug", (INTERACTION,), 0.06),
    Family("variant-disease", "named", "variant", (DISEASE_OF_VARIANT,), 0.04),
    Family(
        "variant-gene-disease-inheritance",
        "named",
        "variant",
        (GENE_OF_VARIANT, DISEASE_OF_GENE, MODE),
        0.04,
        functional=True,
    ),
)


FINDINGS = FAMILIES[0]
"""The plainest family: findings, and the disease that they single out."""


def family(name: str) -> Family:
    """Raises UserError for a name that is not in the table."""
    for one in FAMILIES:
        if one.name == name:
            return one
    raise UserError(f"no path family {name}; there are {', '.join(f.name for f in FAMILIES)}.")
