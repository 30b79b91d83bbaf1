"""The calls that fault_shim.cpp counted, and checks of them that disturb none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FAULTS = ("kill", "kill_half", "enospc", "eio", "short")
OF_WRITES = ("kill_half", "short")  # need bytes that can be halved
LOCK = ".lock"  # a note of who holds the run; nothing depends on it
REMOVED = " (deleted)"  # what Linux appends to the path of an open file that was removed


@dataclass(frozen=True)
class Call:
    """One call that changes the run's folder; paths are relative to the folder above it."""

    number: int
    kind: str  # write, create, truncate, fsync, rename, unlink, mkdir
    result: int
    bytes: int  # asked for
    path: PurePosixPath
    second: PurePosixPath | None  # where a rename leads to
    disturbed: bool = False
    nameless: bool = False  # on a file that was removed while it stayed open: `path` is the name that it had

    def stage(self) -> str:
        """The part of the run that makes the call."""
        parts = [part.removesuffix(".foresight.partial") for part in self.path.parts[1:2]]
        name = parts[0] if parts else ""
        names = {"evaluation.json": "evaluate", "exports": "export", "report.csv": "report", "report.html": "report"}
        if name.startswith("traces"):
            return "traces"
        return names.get(name, name if name in ("oracle", "supervised", "grpo") else "start")

    def faults(self) -> list[str]:
        """The faults that this call can meet."""
        return [fault for fault in FAULTS if fault not in OF_WRITES or (self.kind == "write" and self.bytes > 1)]


def read_report(file: Path, above: Path) -> list[Call]:
    """The lines of FORESIGHT_FAULT_REPORT. `above`: the folder that contains the run's folder."""

    def relative(path: str) -> PurePosixPath | None:
        return PurePosixPath(path).relative_to(above) if path else None

    calls = []
    for line in file.read_text().splitlines():
        number, kind, result, size, path, second = line.split("\t")
        place = relative(path.removesuffix(REMOVED))
        assert place is not None
        disturbed, nameless = number.startswith("!"), path.endswith(REMOVED)
        calls.append(Call(int(number.removeprefix("!")), kind, int(result), int(size), place, relative(second), disturbed, nameless))
    return calls


def unseen_bytes(calls: list[Call], sizes: dict[PurePosixPath, int]) -> list[str]:
    """Files that hold more bytes than the counted calls wrote: they were written past the shim."""
    written: dict[PurePosixPath, int] = {}
    resized = set()
    for call in calls:
        if call.nameless:
            continue
        if call.kind == "write":
            written[call.path] = written.get(call.path, 0) + call.result
        elif call.kind == "truncate":
            resized.add(call.path)
        elif call.kind == "rename" and call.second is not None:
            for path in [path for path in written if path.is_relative_to(call.path)]:
                written[call.second / path.relative_to(call.path)] = written.pop(path)
                if path in resized:
                    resized.add(call.second / path.relative_to(call.path))
    return [
        f"{path}: {size} bytes, {written.get(path, 0)} of them by counted calls"
        for path, size in sizes.items()
        if written.get(path, 0) < (1 if path in resized and size > 0 else size)
    ]


class Durability:
    """Follows the calls of an undisturbed run, to find what would be lost if the machine stopped."""

    def __init__(self) -> None:
        self.files: set[PurePosixPath] = set()  # with content that was not synced
        self.entries: dict[PurePosixPath, set[PurePosixPath]] = {}  # folder -> its entries that were not synced
        self.renamed: dict[PurePosixPath, set[PurePosixPath]] = {}  # the same, of renames alone
        self.findings: list[str] = []

    def _enter(self, path: PurePosixPath) -> None:
        self.entries.setdefault(path.parent, set()).add(path)

    def _sync(self, path: PurePosixPath) -> None:
        self.files.discard(path)
        self.entries.pop(path, None)
        self.renamed.pop(path, None)

    def _forget(self, path: PurePosixPath) -> None:
        self.files.discard(path)
        self.entries.pop(path, None)
        for names in (self.entries, self.renamed):
            names.get(path.parent, set()).discard(path)

    def _rename(self, source: PurePosixPath, target: PurePosixPath) -> None:
        moves = not target.name.startswith((".trash-", ".replaced-"))  # these are being removed
        for path in sorted(self.files):
            if path.is_relative_to(source):
                self.files.discard(path)
                if moves:
                    self.findings.append(f"{path}: renamed to {target} before its content was synced")
        for folder in sorted(self.entries):
            if folder.is_relative_to(source) and self.entries[folder]:
                del self.entries[folder]
                if moves:
                    self.findings.append(f"{folder}: renamed to {target} before its entries were synced")
        self._forget(source)
        self._enter(target)
        self.renamed.setdefault(target.parent, set()).add(target)

    def follow(self, call: Call) -> None:
        if call.result < 0 or call.path.name == LOCK or call.nameless:
            return
        if call.kind in ("write", "truncate"):
            self.files.add(call.path)
        elif call.kind in ("create", "mkdir"):
            self._enter(call.path)
        elif call.kind == "fsync":
            self._sync(call.path)
        elif call.kind == "rename" and call.second is not None:
            self._rename(call.path, call.second)
        elif call.kind == "unlink":
            # A removed file may be one that a name not yet on the disk replaces.
            for names in self.renamed.values():
                self.findings += [f"{call.path}: removed before the rename to {name} was synced" for name in sorted(names)]
            self.renamed.clear()
            self._forget(call.path)

    def finish(self) -> list[str]:
        """All findings; anything that is not synced at the end is one."""
        self.findings += [f"{path}: its content was never synced" for path in sorted(self.files)]
        self.entries.pop(PurePosixPath("."), None)  # the folder above the run: its calls are not counted
        for folder in sorted(self.entries):
            self.findings += [f"{path}: its entry in {folder} was never synced" for path in sorted(self.entries[folder])]
        return self.findings


def publish_faults(calls: list[Call]) -> list[str]:
    """Calls that break the publish rule: content synced, then renamed, then the parent synced."""
    durability = Durability()
    for call in calls:
        durability.follow(call)
    return durability.finish()
