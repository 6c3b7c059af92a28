"""Results of a search that tests share."""

from potstill.search.results import Result


def result(parameters, accuracy, size=None):
    return Result({"architecture": "mlp", "hidden": parameters}, parameters, size or parameters, accuracy)
