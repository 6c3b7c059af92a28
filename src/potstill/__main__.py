"""`python -m potstill`: the command line, where the script `potstill` is not on the path."""

from potstill.cli import main

main()
