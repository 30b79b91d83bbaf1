"""A file of sampled traces that grows row by row: every finished row is on the disk at once, and a later command resumes."""

import errno
import fcntl
import json
import os
from pathlib import Path

from .errors import ForesightError, one_line
from .staged_file import staged_text, sync_folder

UNFINISHED = ".unfinished"  # behind the file's name, while rows are missing
COLUMN = "sampling"  # of a row: how it was sampled
REQUEST = "request"  # in that column: the digest of all that decides what a row may hold
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class TraceFile:
    """The rows of one command. They are kept in FILE.unfinished in the order in which they come, and stand in FILE, in the
    order of the requests, once all are there. A context manager: no other command can work on the file meanwhile.

    requests: {digest: the settings of the row, as its column `sampling` has them}, in order. done: digests of the rows that
    are there. Entering raises ForesightError, and changes nothing, where either file holds rows of other requests, is no
    file of this kind, is in use, or cannot be written.
    """

    def __init__(self, path, requests, warn=print):
        self._path, self._requests, self._warn = Path(path), requests, warn
        self._unfinished = self._path.with_name(self._path.name + UNFINISHED)
        self._places, self._journal = {}, None  # digest -> (file, offset, bytes of the line)
        self._whole = False

    @property
    def done(self):
        """The digests of the rows that are there."""
        return self._places.keys()

    def __enter__(self):
        was_there = self._unfinished.exists()
        try:
            self._lock()
            self._read(self._path)
            self._whole = list(self._places) == list(self._requests)
            end = self._read(self._unfinished)
            if os.fstat(self._journal).st_size > end:
                self._warn(f"{self._unfinished}: its last row is torn and is sampled again")
                os.ftruncate(self._journal, end)
        except BaseException as fault:
            if not was_there and self._journal is not None:
                self._unfinished.unlink(missing_ok=True)
            self._close()
            if isinstance(fault, OSError):
                raise ForesightError(f"{self._unfinished}: cannot be written: {fault.strerror}; choose another --out") from fault
            raise
        return self

    def __exit__(self, kind, fault, trace):
        if self._journal is not None and os.fstat(self._journal).st_size == 0:
            self._unfinished.unlink(missing_ok=True)
        self._close()

    def keep(self, digest, row):
        """Puts a row on the disk. row: a dict whose column `sampling` has the digest. Raises ForesightError on a full disk."""
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8")
        try:
            offset = os.lseek(self._journal, 0, os.SEEK_END)
            left = line
            while left:
                left = left[os.write(self._journal, left) :]
            os.fsync(self._journal)
        except OSError as fault:
            raise ForesightError(
                f"{self._unfinished}: cannot be written: {fault.strerror}; finished rows are kept: fix that and run the same "
                "command again"
            ) from fault
        self._places[digest] = (self._unfinished, offset, len(line))

    def finish(self):
        """Writes the file, all rows in order, and removes FILE.unfinished."""
        if not self._whole:
            with staged_text(self._path) as out:
                for digest in self._requests:
                    file, offset, size = self._places[digest]
                    out.write(_read_part(file, offset, size).decode("utf-8"))
        self._unfinished.unlink(missing_ok=True)
        self._whole = True

    def _lock(self):
        """Opens and locks FILE.unfinished; the file that is locked is the one that has the name."""
        while True:
            self._journal = os.open(self._unfinished, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as fault:
                self._close()
                raise ForesightError(
                    f"{self._path}: another command is writing it; wait for it to end or choose another --out"
                ) from fault
            except OSError as fault:
                if fault.errno not in NO_LOCKS:
                    raise
                self._warn(f"{self._path}: this file system has no locks; do not let two commands write it at once")
            if self._unfinished.exists() and os.path.samestat(os.fstat(self._journal), os.stat(self._unfinished)):
                sync_folder(self._path.parent)
                return
            self._close()  # the command that held it has finished and removed it

    def _close(self):
        if self._journal is not None:
            os.close(self._journal)
        self._journal = None

    def _read(self, file):
        """Notes the rows of a file. Returns where its last whole row ends."""
        offset = 0
        try:
            opened = open(file, "rb")
        except FileNotFoundError:
            return 0
        with opened:
            for number, line in enumerate(opened, 1):
                row = _row_of(line)
                if row is None:
                    if opened.readline():
                        raise ForesightError(
                            f"{file}:{number}: not a row that foresight-traces wrote; move the file away or choose another --out"
                        )
                    return offset
                self._note(row, f"{file}:{number}", (file, offset, len(line)))
                offset += len(line)
        return offset

    def _note(self, row, where, place):
        made = row.get(COLUMN)
        digest = made.get(REQUEST) if isinstance(made, dict) else None
        if digest not in self._requests:
            raise ForesightError(f"{where}: {self._difference(made)}; choose another --out, or move the file away")
        self._places.setdefault(digest, place)

    def _difference(self, made):
        """What a row of another command has that this one's have not."""
        if not isinstance(made, dict) or REQUEST not in made:
            return "not a row that foresight-traces wrote"
        for settings in self._requests.values():
            for name, now in settings.items():
                if name in ("sample", REQUEST) or made.get(name) == now:
                    continue
                return f"the row was sampled with {name} {one_line(made.get(name))}, and this command has {one_line(now)}"
            break
        return "the row belongs to a prompt or a sample that this command does not have"


def _row_of(line):
    """A whole line as a dict; None for a torn one."""
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _read_part(file, offset, size):
    with open(file, "rb") as opened:
        opened.seek(offset)
        return opened.read(size)
