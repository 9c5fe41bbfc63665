"""English sentences of the offline teacher."""

from fleming_nemo.distill.wording.en_rivals import RIVALS

GLUE = {"list": ", ", "wide list": "; ", "and": " and ", "or": " or ", "more": "{n} more", "space": " "}

PHRASES: dict[str, tuple[str, ...]] = {
    "open": (
        "The findings to be explained are {present}.",
        "What needs an explanation: {present}.",
        "The picture consists of {present}.",
    ),
    "open bands": (
        "These frequencies are known: {bands}.",
        "The profile to match reads: {bands}.",
        "What has to agree is this: {bands}.",
    ),
    "often": ("{finding} in at least 80 % of patients",),
    "seldom": ("{finding} in fewer than 30 % of patients",),
    "absent": (
        "{absent} was looked for and is not present.",
        "It also counts that {absent} is absent.",
    ),
    "open named": ("The starting point is {start}.", "The question starts from {start}.", "We begin at {start}."),
    "fits": (
        "Every one of these findings is on record for {disease}.",
        "{disease} has all of them on record.",
        "Taken together they are recorded for {disease}.",
    ),
    "fits bands": (
        "The frequencies on record for {disease} agree with each of these figures.",
        "{disease} is recorded with just these frequencies.",
    ),
    "fits absent": (
        "For {disease}, {absent} is recorded as absent, which agrees.",
        "The record of {disease} gives {absent} as absent, as seen here.",
    ),
    "covers": (
        "Its record names {own}, and {shown} covers that.",
        "{shown} is the broader term for {own}, which its record lists.",
        "Here {shown} stands for {own} in the record.",
    ),
    "share": (
        "{finding} is recorded in at least {low} % of its patients.",
        "At least {low} % of its patients are recorded with {finding}.",
    ),
    "caused_by": (
        "{subject} is caused by variants in {object}.",
        "The gene on record for {subject} is {object}.",
        "Behind {subject} stands the gene {object}.",
    ),
    "caused_by back": (
        "{object} is a recorded cause of {subject}.",
        "Variants in {object} are on record as a cause of {subject}.",
    ),
    "caused_by other": (
        "{object} is also a recorded cause of {subject}.",
        "Variants in {object} cause {subject} as well.",
        "The same gene, {object}, also causes {subject}.",
    ),
    "inherited_as": (
        "The mode recorded for {subject} is: {object}.",
        "For {subject} the record says: {object}.",
        "{subject} is recorded with this mode: {object}.",
    ),
    "has_gene_drug_guideline": (
        "A pharmacogenetic guideline on {subject} covers {object}.",
        "For {subject} there is a pharmacogenetic guideline on {object}.",
    ),
    "has_mechanism": (
        "The mechanism recorded for {subject} is {object}.",
        "{subject} is on record with this mechanism: {object}.",
    ),
    "has_mechanism back": (
        "{subject} is recorded with the same mechanism, {object}.",
        "{object} is also the mechanism recorded for {subject}.",
    ),
    "interacts_with": (
        "An interaction between {subject} and {object} is on record.",
        "{subject} and {object} are recorded as interacting.",
    ),
    "has_variant": (
        "The variant {object} is on record for {subject}.",
        "{object} is listed among the variants of {subject}.",
    ),
    "in turn": (
        "Now the options one by one.",
        "Going through the options one at a time.",
        "Let the options be struck out one after another.",
    ),
    "keeps": (
        "{option} stays: nothing on record speaks against it.",
        "{option} cannot be struck out.",
        "{option} survives this comparison.",
    ),
    "backwards": (
        "Read from the far end, the chain must close.",
        "To check this, take the options as starting points and ask what each leads back to.",
        "The check runs backwards, from the options to what is shown.",
    ),
    "closes": (
        "From {answer} the way back is complete.",
        "Starting at {answer}, the chain closes.",
        "With {answer} the way back holds.",
    ),
    "idea": (
        "A first idea would be {option}.",
        "One might think of {option} first.",
        "Suppose for a moment it were {option}.",
    ),
    "idea fails": ("That idea has to be dropped.", "So this supposition fails.", "The idea does not hold."),
    "next idea": (
        "A better hypothesis is {node}.",
        "The next hypothesis is {node}.",
        "So take {node} as the hypothesis instead.",
    ),
    "idea holds": ("The hypothesis holds.", "This hypothesis stands up to the check.", "Nothing contradicts it."),
    "table": ("Side by side it looks like this.", "The differential at a glance.", "A table of the options helps."),
    "row some": ("{option} | agrees: {shared} | no record: {missing}.",),
    "row none": ("{option} | agrees: none | no record: {missing}.",),
    "row positive": ("{option} | recorded although absent here: {finding}.",),
    "row bands": ("{option} | frequency contradicts: {missing}.",),
    "row named": ("{option} | no such record.",),
    "row answer": ("{option} | agrees: everything.",),
    "row answer named": ("{option} | on record.",),
    "read off": (
        "Only {option} is complete.",
        "The one row without a gap is {option}.",
        "A single row holds throughout: {option}.",
    ),
    "conclusion": (
        "So the answer is {letter}) {answer}.",
        "This leaves {letter}) {answer}.",
        "Therefore {letter}) {answer}.",
        "The option to choose is {letter}) {answer}.",
    ),
} | RIVALS
