"""A made-up release in the three file formats, small enough to reason about by hand."""

OBO = """format-version: 1.2

[Term]
id: HP:0000001
name: All

[Term]
id: HP:0000005
name: Mode of inheritance
is_a: HP:0000001 ! All

[Term]
id: HP:0034345
name: Mendelian inheritance
is_a: HP:0000005 ! Mode of inheritance

[Term]
id: HP:0000007
name: Autosomal recessive inheritance
is_a: HP:0034345 ! Mendelian inheritance

[Term]
id: HP:0034335
name: Inheritance qualifier
is_a: HP:0000005 ! Mode of inheritance

[Term]
id: HP:0025352
name: Typically de novo
is_a: HP:0034335 ! Inheritance qualifier

[Term]
id: HP:0004398
name: Peptic ulcer
alt_id: HP:0004399
is_a: HP:0000001 ! All

[Term]
id: HP:0002592
name: Gastric ulcer
is_a: HP:0004398 ! Peptic ulcer

[Term]
id: HP:0000648
name: Optic atrophy
is_a: HP:0000001 ! All

[Term]
id: HP:0000873
name: Diabetes insipidus
is_a: HP:0000001 ! All

[Term]
id: HP:0009999
name: obsolete Something
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""

HPOA_HEADER = """#version: 2025-01-16
database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\tbiocuration
"""
# disease, name, qualifier, term, frequency, aspect
ROWS = [
    ("OMIM:1", "First", "", "HP:0004399", "1/4", "P"),
    ("OMIM:1", "First", "", "HP:0004398", "5/6", "P"),
    ("OMIM:1", "First", "", "HP:0000648", "HP:0040281", "P"),
    ("OMIM:1", "First", "", "HP:0000873", "0/16", "P"),
    ("OMIM:1", "First", "", "HP:0000007", "", "I"),
    ("OMIM:1", "First", "", "HP:0025352", "", "I"),
    ("ORPHA:2", "Group", "", "HP:0002592", "", "P"),
    ("ORPHA:2", "Group", "", "HP:0000648", "45%", "P"),
    ("ORPHA:2", "Group", "", "HP:0000873", "HP:0040282", "P"),
    ("OMIM:3", "Third", "NOT", "HP:0000648", "", "P"),
]
HPOA = HPOA_HEADER + "".join(
    f"{disease}\t{name}\t{qualifier}\t{term}\tPMID:1\tPCS\t\t{frequency}\t\t\t{aspect}\tX\n"
    for disease, name, qualifier, term, frequency, aspect in ROWS
)
GENES = """ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tfrequency\tdisease_id
1\tCISD2\tHP:0000648\tOptic atrophy\t-\tOMIM:1
1\tCISD2\tHP:0000648\tOptic atrophy\t-\tORPHA:2
2\tWFS1\tHP:0000648\tOptic atrophy\t-\tORPHA:2
-\t-\tHP:0000648\tOptic atrophy\t-\tOMIM:3
"""
