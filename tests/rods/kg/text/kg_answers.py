"""What the endpoint of these tests says, by the first word of the passage: right answers and wrong ones."""

import json
from collections import Counter

from endpoint.server import Garbage, Hang, Status, asked, completion

SENTENCE = "Painful eyes often occur in First disease."
RIGHT = {
    "subject": "First disease", "subject_type": "disease", "relation": "has_phenotype",
    "object": "Painful eyes", "object_type": "phenotype", "sentence": SENTENCE,
}  # fmt: skip


def relations(*rows):
    return json.dumps({"relations": list(rows)})


# word in the passage -> content of the answer
ANSWERS = {
    "RIGHT": relations(RIGHT),
    "FENCED": f"Here it is:\n```json\n{relations(RIGHT)}\n```",
    "DENIED": relations({**RIGHT, "negated": True}),
    "EMPTY": relations(),
    "MALFORMED": '{"relations": [',
    "NOLIST": '{"relations": "none"}',
    "SPAN": relations({**RIGHT, "object": "Toothache"}),
    "SENTENCE": relations({**RIGHT, "sentence": "First disease brings Painful eyes."}),
    "RELATION": relations({**RIGHT, "relation": "cures"}),
    "TYPE": relations({**RIGHT, "object_type": "gene"}),
    "ROW": relations("First disease hurts", {**RIGHT, "subject": 7}, RIGHT),
}


def word_of(body):
    return asked(body).split("Passage:\n")[1].split()[0]


def calls(server):
    return Counter(map(word_of, server.bodies))


def behave(body, nth):
    word = word_of(body)
    content = ANSWERS.get(word, ANSWERS["RIGHT"])
    if word == "DEAD":
        return Status(503, {"error": "down"})
    if word == "REFUSED":
        return Status(404, {"error": "no such model"})
    if nth == 1:
        once = {
            "BUSY": Status(429, {"error": "busy"}, {"Retry-After": "0"}),
            "BROKEN": Garbage(b'{"choices": []}'),
            "SLOW": Hang(1.5),
        }
        if word in once:
            return once[word]
    if word == "FILTER":
        return completion("", finish="content_filter")
    return completion(content, finish="length" if word == "LENGTH" else "stop")
