"""Closed vocabularies and Parquet schemas of the graph on disk."""

import pyarrow as pa

NODE_TYPES = (
    "disease", "phenotype", "gene", "drug", "mechanism", "drug_class", "variant", "inheritance", "category",
    "anatomy", "procedure", "other",
)  # fmt: skip

# relation -> what subject and object stand for
RELATIONS = {
    "has_phenotype": "disease -> finding",
    "caused_by": "disease -> gene",
    "inherited_as": "disease -> mode of inheritance",
    "has_variant": "gene or disease -> variant",
    "has_course": "disease -> onset, course, modifier or history",
    "subtype_of": "disease -> wider disease",
    "has_mechanism": "drug -> mechanism of action",
    "in_class": "drug -> class",
    "interacts_with": "drug -> drug; stored once, in the order of the ids",
    "has_gene_drug_guideline": "gene -> drug",
    "indicated_for": "drug -> disease",
    "contraindicated_in": "drug -> disease or state",
    "in_category": "drug or disease -> category",
    "is_a": "term -> wider term of the same ontology",
    "targets": "drug -> gene",
    "associated_with": "a link whose meaning the source does not state",
    "part_of": "anatomy -> anatomy",
    "expressed_in": "gene -> anatomy",
    "diagnosed_by": "disease -> procedure",
    "side_effect": "drug -> finding",
}
# Chains of these must end: a cycle is an error of the source and is broken and reported.
HIERARCHIES = ("is_a", "subtype_of", "part_of")
# Symmetric relations are stored once, smaller id first.
SYMMETRIC = ("interacts_with", "associated_with")

NODES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("synonyms", pa.list_(pa.string()), nullable=False),
        pa.field("identifiers", pa.list_(pa.string()), nullable=False),
        pa.field("name_zh", pa.string()),
    ]
)
EDGES = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("object", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("evidence", pa.list_(pa.string()), nullable=False),
        pa.field("low", pa.float32()),
        pa.field("high", pa.float32()),
        pa.field("negated", pa.bool_(), nullable=False),
    ]
)
TEXTS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "kind", "source", "text")])
