"""Reading a rationale without a model: sentences, named entities, what a clause affirms or denies, what it concludes."""
