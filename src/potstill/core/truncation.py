"""Notes on texts that are longer than `max_length`."""

from collections.abc import Mapping

NOTED = 0.01  # the fraction of truncated texts above which a note is printed


def note(key: str, shares: Mapping[str, float]) -> None:
    """Print a note to raise the parameter `key` if many texts are truncated; `shares` are by the texts' name."""
    many = [f"{share:.1%} of the {name} texts" for name, share in shares.items() if share > NOTED]
    if many:
        print(f"note: `{key}` truncates {', '.join(many)}. Raise it to use more of their words")


def note_windows(max_windows: int, share: float) -> None:
    """Print that a share of the train texts is read in several windows."""
    print(
        f"note: {share:.1%} of the train texts are longer than `teacher.max_length`, and are read in up to "
        f"{max_windows} windows. Set `teacher.max_windows` to 1 to read only their beginning, which is faster"
    )
