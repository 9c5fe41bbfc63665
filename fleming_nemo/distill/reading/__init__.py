"""Reading a rationale without a model: sentences, names, what a clause affirms or denies, what it concludes."""
