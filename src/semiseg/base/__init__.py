"""What every room uses: errors, files, hashes of code, strict blocks, progress. Imports nothing else of semiseg."""
