"""Made-up HPO files with the traps of the real ones."""

HPOA = """#version: 2025-01-16
database_id\tdisease_name\tqualifier\thpo_id\treference\tevidence\tonset\tfrequency\tsex\tmodifier\taspect\tbiocuration
OMIM:1\tFirst\t\tHP:0000002\tPMID:1\tPCS\t\t14/16\t\t\tP\tX
OMIM:1\tFirst\t\tHP:0000009\tPMID:2\tPCS\t\t2/4\t\t\tP\tX
OMIM:1\tFirst\t\tHP:0000003\tPMID:1\tPCS\t\t0/16\t\t\tP\tX
OMIM:1\tFirst\tNOT\tHP:0000004\tPMID:1\tPCS\t\t\t\t\tP\tX
OMIM:1\tFirst\t\tHP:0000007\tPMID:1\tPCS\t\t\t\t\tI\tX
ORPHA:2\tFirst disease\t\tHP:0000003\tORPHA:2\tTAS\t\tHP:0040281\t\t\tP\tX
ORPHA:2\tFirst disease\t\tHP:0000003\tORPHA:2\tTAS\t\t17/16\t\t\tP\tX
ORPHA:2\tFirst disease\t\tHP:0000003
OMIM:3\tThird\t\tHP:0000002\tPMID:1\tIEA\t\t\t\t\tP\tX
OMIM:3\tThird\t\tHP:0000099\tPMID:1\tIEA\t\t\t\t\tP\tX
"""
OBO = """format-version: 1.2

[Term]
id: HP:0000118
name: Phenotypic abnormality

[Term]
id: HP:0000002
name: Optic atrophy
def: "Wasting of the \\"optic\\" nerve." [X]
alt_id: HP:0000009
synonym: "Pale disc" EXACT []
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:0000003
name: Diabetes insipidus
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:0000004
name: Fever
is_a: HP:0000118 ! Phenotypic abnormality

[Term]
id: HP:0000005
name: Mode of inheritance

[Term]
id: HP:0000007
name: Autosomal recessive inheritance
is_a: HP:0000005 ! Mode of inheritance

[Term]
name: without an id

[Term]
id: HP:0000008
name: obsolete Old
is_obsolete: true
"""
GENES = """ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tfrequency\tdisease_id
11\tAAA1\tHP:0000002\tOptic atrophy\t-\tOMIM:1
-\t-\tHP:0000002\tOptic atrophy\t-\tOMIM:3
"""
