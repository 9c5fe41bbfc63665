"""Invented questions for the overlap tests."""

from fleming_nemo.rods.overlap.entries import Entry

VIGNETTE = Entry(
    "vignette",
    "A 34-year-old potter comes to the clinic because of tingling fingers for three weeks. He glazes bowls with red "
    "lead. Examination shows wrist drop and a blue line on the gums. Which chelating agent should be given first?",
    ("Succimer", "Deferoxamine", "Penicillamine with pyridoxine", "Prussian blue"),
)
SHORT = Entry(
    "short", "Drug of choice for absence seizures is:", ("Ethosuximide", "Phenytoin", "Carbamazepine", "Vigabatrin")
)
STOCK = Entry(
    "stock",
    "Which of the following is the most likely diagnosis in this patient?",
    ("Sarcoidosis", "Silicosis", "Asbestosis", "Berylliosis"),
)
CHINESE = Entry(
    "chinese",
    "患者男性，45岁，长期接触铅尘，出现腹绞痛及贫血，牙龈可见蓝线。首选的驱铅药物是",
    ("依地酸钙钠", "二巯丙醇", "青霉胺", "普鲁士蓝"),
)
ABSTRACT = Entry(
    "abstract",
    "Does pottery glaze raise lead in umbilical blood?",
    ("yes", "no", "maybe"),
    "AIM: To learn whether glaze workers carry more lead. METHODS: Umbilical blood of 212 newborns of glaze workers "
    "and of 198 newborns of weavers was analysed with graphite furnace absorption. RESULTS: Concentrations were 4.1 "
    "and 1.9 micrograms per decilitre, and differed in every district that took part in the survey of the coast.",
)
OTHERS = (
    Entry(
        "o1", "Nerve injured in fracture of the surgical neck of humerus?", ("Axillary", "Radial", "Ulnar", "Median")
    ),
    Entry("o2", "Enzyme deficient in Tay-Sachs disease", ("Hexosaminidase A", "Sphingomyelinase", "Arylsulfatase A")),
    Entry("o3", "Most common site of gastrinoma is", ("Duodenum", "Pancreatic head", "Jejunum", "Antrum")),
    Entry("o4", "下列哪项是甲状腺危象的首选药物", ("丙硫氧嘧啶", "碘剂", "普萘洛尔", "地塞米松")),
)
BENCHMARK = (VIGNETTE, SHORT, STOCK, CHINESE, ABSTRACT, *OTHERS)

# Same stock phrases, same topic or same options as a benchmark question, and yet another question.
NEIGHBOURS = (
    Entry(
        "n1",
        "A 60-year-old miner has a cough. Which of the following is the most likely diagnosis in this patient?",
        ("Silicosis of the lung", "Tuberculosis", "Lung abscess", "Emphysema"),
    ),
    Entry("n2", "Which drug prolongs the QT interval?", ("Ethosuximide", "Phenytoin", "Carbamazepine", "Vigabatrin")),
    Entry("n3", "Drug of choice for trigeminal neuralgia is:", ("Carbamazepine", "Aspirin", "Morphine", "Ketamine")),
    Entry("n4", "Mechanism of action of succimer?", ("Chelation", "Oxidation", "Antagonism", "Diuresis")),
    Entry("n5", "Does yoga lower blood pressure in students?", ("yes", "no", "maybe")),
    Entry("n6", "患者女性，30岁，出现腹痛。最可能的诊断是", ("阑尾炎", "胆囊炎", "胰腺炎", "肠梗阻")),
)
