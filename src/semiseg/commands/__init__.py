"""One module per command: `define(parser)` adds its options and names the function that runs it."""
