"""The commands of `potstill`, one module each.

A module's docstring starts with the help line that `potstill.cli` lists. `arguments` adds its options to a parser;
`run` does the work. Only the module of the chosen command is imported.
"""
