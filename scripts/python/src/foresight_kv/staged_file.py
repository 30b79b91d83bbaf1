"""A file that appears under its name once it is whole."""

import os
from contextlib import contextmanager
from pathlib import Path

from .errors import ForesightError

SUFFIX = ".foresight.partial"


@contextmanager
def staged_text(target):
    """Yields a file to write UTF-8 text to, which becomes `target` when the block ends well, and is removed otherwise.

    Raises ForesightError where the file cannot be written (a folder that is not there, a full disk).
    """
    target = Path(target)
    partial = target.with_name(target.name + SUFFIX)
    try:
        with open(partial, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
        sync_folder(target.parent)
    except OSError as fault:
        partial.unlink(missing_ok=True)
        raise ForesightError(f"{target}: cannot be written: {fault.strerror}") from fault
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync_folder(folder):
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
