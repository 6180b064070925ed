"""What every room uses: errors, files, hashes of code, strict configuration blocks, progress. Imports nothing of semiseg."""
