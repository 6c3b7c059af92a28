"""Search for the best student within a budget: `space` draws students, `run` tries them, `results` picks one.

`storage` keeps the results, where several machines may share them, and `heartbeat` detects machines that have died.
"""
