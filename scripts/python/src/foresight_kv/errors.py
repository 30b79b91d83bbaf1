"""The error that this package raises for what a user or a file can cause."""


class ForesightError(ValueError):
    """What is wrong, where (file, key, tensor), what was expected and found, and what to do, on one line."""


def one_line(text, most=120):
    """`text` as a message may show it: control characters escaped, at most `most` characters."""
    shown = str(text).encode("unicode_escape").decode("ascii")
    return shown if len(shown) <= most else shown[: most - 3] + "..."
