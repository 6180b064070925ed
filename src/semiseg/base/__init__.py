"""Used by all packages: errors, files, hashes of code, strict blocks, progress. It imports no other part of semiseg."""
