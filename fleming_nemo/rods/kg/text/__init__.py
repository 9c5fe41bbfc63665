"""Knowledge from text: pages are read, entities linked, relations extracted by a language model and checked."""
