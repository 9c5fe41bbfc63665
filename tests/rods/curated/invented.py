"""Invented rows in the shapes in which the known data sets are published: (mapping, row, right option, options)."""

LABELS = {"A": "iron", "B": "zinc", "C": "tin", "D": "lead"}
FOUR = list(LABELS.values())
TEN = {letter: f"metal {letter}" for letter in "ABCDEFGHIJ"}
ZH = ["甲药", "乙药", "丙药", "丁药", "戊药"]
LETTERS = "ABCDE"

CASES = [
    (
        "medqa",
        {
            "question": "Which metal is in blood?",
            "answer": "tin",
            "options": LABELS,
            "meta_info": "step1",
            "answer_idx": "C",
        },
        2,
        FOUR,
    ),
    (
        "medqa_pairs",
        {
            "question": "Which metal is in blood?",
            "answer": "zinc",
            "options": [{"key": k, "value": v} for k, v in LABELS.items()],
            "meta_info": "step1",
            "answer_idx": "B",
        },
        1,
        FOUR,
    ),
    (
        "medmcqa",
        {
            "id": "a-1",
            "question": "Which metal is it?",
            "opa": "iron",
            "opb": "zinc",
            "opc": "tin",
            "opd": "lead",
            "cop": 0,
        }
        | {"choice_type": "single", "exp": None, "subject_name": "Metals", "topic_name": None},
        0,
        FOUR,
    ),
    (
        "medmcqa_json",
        {
            "id": "a-1",
            "question": "Which metal is it?",
            "opa": "iron",
            "opb": "zinc",
            "opc": "tin",
            "opd": "lead",
            "cop": 4,
        }
        | {"choice_type": "multi", "exp": None, "subject_name": "Metals", "topic_name": None},
        3,
        FOUR,
    ),
    (
        "pubmedqa",
        {
            "pubid": 1,
            "question": "Does tin help?",
            "context": {"contexts": ["We asked.", "We saw."], "labels": ["AIM", "RESULTS"], "meshes": []},
            "long_answer": "It does.",
            "final_decision": "maybe",
        },
        2,
        ["yes", "no", "maybe"],
    ),
    (
        "pubmedqa_json",
        {"_key": "2", "QUESTION": "Does tin help?", "CONTEXTS": ["We saw."], "LABELS": ["AIM"], "final_decision": "no"},
        1,
        ["yes", "no", "maybe"],
    ),
    (
        "cmexam",
        {
            "Question": "哪种药物有效？",
            "Options": [{"key": k, "value": v} for k, v in zip(LETTERS, ZH, strict=True)],
            "Answer": "E",
            "Explanation": None,
        },
        4,
        ZH,
    ),
    (
        "cmexam_csv",
        {
            "Question": "哪种药物有效？",
            "Options": "A 甲药\nB 乙药\nC 丙药\nD 丁药\nE 戊药",
            "Answer": "D",
            "Explanation": "",
        },
        3,
        ZH,
    ),
    (
        "headqa",
        {
            "name": "exam 1",
            "year": "2017",
            "category": "chemistry",
            "qid": 7,
            "qtext": "Which metal is it?",
            "ra": 2,
            "image": None,
            "answers": [{"aid": n, "atext": text} for n, text in enumerate(FOUR, 1)],
        },
        1,
        FOUR,
    ),
    (
        "headqa_json",
        {
            "_key": "exam 1",
            "qid": "7",
            "qtext": "Which metal is it?",
            "ra": "4",
            "image": "",
            "answers": [{"aid": n, "atext": text} for n, text in enumerate(FOUR, 1)],
        },
        3,
        FOUR,
    ),
    (
        "careqa",
        {"exam_id": 1, "question": "Which metal is it?", "op1": "iron", "op2": "zinc", "op3": "tin", "op4": "lead"}
        | {"cop": 1, "year": 2024, "category": "Nursing", "unique_id": "u-1"},
        0,
        FOUR,
    ),
    (
        "medbullets",
        {
            "question": "Which metal is it?",
            "opa": "iron",
            "opb": "zinc",
            "opc": "tin",
            "opd": "lead",
            "ope": float("nan"),
        }
        | {"answer": "lead", "answer_idx": "D", "explanation": "x", "link": "y"},
        3,
        FOUR,
    ),
    ("mmlu", {"question": "Which metal is it?", "subject": "metals", "choices": FOUR, "answer": 3}, 3, FOUR),
    (
        "mmlu_csv",
        {"question": "Which metal is it?", "A": "iron", "B": "zinc", "C": "tin", "D": "lead", "answer": "B"},
        1,
        FOUR,
    ),
    (
        "mmlu_pro",
        {"question_id": 9, "question": "Which metal is it?", "options": list(TEN.values()), "answer": "J"}
        | {"answer_index": 9, "cot_content": "", "category": "health", "src": "ori_mmlu-metals"},
        9,
        list(TEN.values()),
    ),
    (
        "medxpertqa",
        {"id": "Text-1", "question": "Which metal is it?\nAnswer Choices: (A) metal A (B) metal B", "options": TEN}
        | {"label": "G", "medical_task": "t", "body_system": "b", "question_type": "q"},
        6,
        list(TEN.values()),
    ),
    (
        "medxpertqa_json",
        {
            "id": "Text-1",
            "question": "Which metal is it?",
            "options": [{"letter": k, "content": v} for k, v in TEN.items()],
            "label": ["B"],
        },
        1,
        list(TEN.values()),
    ),
    (
        "jmed",
        {
            "question": "诊断是什么？",
            "options": {**dict(zip(LETTERS, ZH, strict=True)), "F": None},
            "answer": "C. 丙药",
        },
        2,
        ZH,
    ),
]


def medmcqa_rows(n, first=0):
    """Rows in the hub's form whose questions and options all differ."""
    return [
        {"id": f"m-{i}", "question": f"Which metal has the number {i} in list {i * 7 + 3}?", "cop": i % 4}
        | {f"op{letter}": f"metal {letter} number {i}" for letter in "abcd"}
        | {"choice_type": "single", "subject_name": "Metals", "topic_name": None}
        for i in range(first, first + n)
    ]
