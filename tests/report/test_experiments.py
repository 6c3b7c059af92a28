"""Which experiment is recommended, and whether to take it."""

from potstill.report.experiments import recommend


def row(name, size, decision="ship", best=True):
    return {"name": name, "bytes": size, "accuracy": 0.9, "decision": decision, "best": best}


def test_the_smallest_that_ships_is_recommended():
    rows = [row("a", 300), row("b", 200), row("c", 100, "cannot tell yet"), row("d", 50, best=False)]
    assert recommend(rows) == (
        "b",
        True,
        "its student has 200 bytes and a test accuracy of 90.00%. It is the smallest of the 2 experiments that are not "
        "significantly worse than the most accurate and have the verdict to ship.",
    )
    assert "It is the only one of those that are not significantly worse" in recommend(rows[1:])[2]


def test_an_experiment_that_does_not_ship_is_not_to_be_taken():
    name, take, why = recommend(
        [row("a", 300, "cannot tell yet"), row("b", 200, "do not ship"), row("c", 9, best=False)]
    )
    assert (name, take) == ("b", False)
    assert why.endswith(
        "It is the smallest of the 2 experiments that are not significantly worse than the most accurate. Its verdict "
        'is "do not ship"; its own report says what to do next.'
    )
    assert recommend([row("a", 300, "do not ship"), row("b", 9, best=False)])[:2] == ("a", False)
