"""Texts that are longer than what is read of them."""

from collections.abc import Mapping

NOTED = 0.01  # the share of texts cut off above which somebody should know


def note(key: str, shares: Mapping[str, float]) -> None:
    """Print where many texts are cut off.

    Args:
        key: of params.yaml, what to raise.
        shares: by name of the texts, the share that is cut off.
    """
    many = [f"{share:.1%} of the {name} texts" for name, share in shares.items() if share > NOTED]
    if many:
        print(f"longer than `{key}`, and cut off there: {', '.join(many)}; raise it to have more of them read")
