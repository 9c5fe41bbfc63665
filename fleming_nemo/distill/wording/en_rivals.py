"""English sentences of the offline teacher about wrong options."""

RIVALS: dict[str, tuple[str, ...]] = {
    "rival some": (
        "{option} shares {shared} but has no record of {missing}.",
        "{option} would agree with {shared}, yet {missing} is not recorded for it.",
        "With {option}, {shared} would fit; there is no record of {missing}, though.",
        "{option} covers {shared}, but its record does not include {missing}.",
    ),
    "rival none": (
        "{option} has none of these findings on record.",
        "For {option} not one of the findings is recorded.",
        "Nothing of this picture is recorded for {option}.",
    ),
    "rival via some": (
        "{option} leads back, at best, to a disease with {shared} but without a record of {missing}.",
        "The closest disease behind {option} shares {shared} and has no record of {missing}.",
        "What {option} leads back to agrees on {shared}, not on {missing}.",
    ),
    "rival via none": (
        "{option} leads back to no disease with any of these findings on record.",
        "No disease behind {option} has a single one of the findings on record.",
    ),
    "rival positive": (
        "{option} is recorded with {finding}, which is absent here.",
        "Against {option} speaks that {finding}, absent here, is recorded for it.",
    ),
    "rival via positive": (
        "The disease behind {option} is recorded with {finding}, which is absent here.",
        "Against {option} speaks that {finding}, absent here, is recorded for the disease it leads back to.",
    ),
    "rival bands": (
        "For {option} the recorded frequency of {missing} contradicts the figure.",
        "{option} does not agree: its record gives another frequency of {missing}.",
        "{option} is excluded by the frequency recorded for {missing}.",
    ),
    "rival disease-gene": (
        "{option} is not on record as a cause of {start}.",
        "For {option} there is no record that ties it to {start}.",
        "Nothing recorded makes {option} a cause of {start}.",
    ),
    "rival disease-gene-drug": (
        "No guideline on a gene of {start} covers {option}.",
        "{option} is covered by no guideline on a gene that causes {start}.",
    ),
    "rival gene-drug": (
        "No guideline on {start} covers {option}.",
        "{option} is not the subject of a guideline on {start}.",
        "Guidelines on {start} do not mention {option}.",
    ),
    "rival drug-mechanism": (
        "{option} is not a mechanism recorded for {start}.",
        "{start} is not recorded with the mechanism {option}.",
        "The record of {start} does not give {option}.",
    ),
    "rival drug-mechanism-drug": (
        "{option} shares no recorded mechanism with {start}.",
        "The mechanism is not recorded for {option}.",
        "{option} is not recorded to act in this way.",
    ),
    "rival drug-interaction": (
        "No interaction between {option} and {start} is on record.",
        "{option} is not recorded as interacting with {start}.",
        "The lists give no interaction of {start} with {option}.",
    ),
    "rival variant-disease": (
        "{start} is not recorded for {option}.",
        "{option} has no record of this variant.",
        "Among the variants of {option}, {start} is not listed.",
    ),
    "rival mode": ("{option} is not what the record gives.", "The record does not give {option}."),
    "rest": ("The others ({letters}) match fewer findings.", "The remaining options ({letters}) agree even less."),
    "rest plain": (
        "The same goes for the other options ({letters}).",
        "The other options ({letters}) are excluded likewise.",
    ),
}
