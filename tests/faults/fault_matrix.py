#!/usr/bin/env python3
"""Fault injection: disturbs every call by which a run changes its files, and checks that nothing is lost.

A run of every stage (tests/faults/tiny.yaml) is made once undisturbed, and its calls are counted (fault_shim.cpp).
Then, for each pair of a call and a fault, a fresh run gets that fault at that call:

  kill       SIGKILL before the call
  kill_half  SIGKILL after half of a write's bytes
  enospc     the call fails with "no space left", and so do later calls that take up space
  eio        the call fails with "input/output error"
  short      a write writes half of its bytes and returns their number
  twice      SIGKILL before the call, and again at a call of the start that follows

A killed run, and one that ended with the documented exit code and one line that names the file, is started again: it
must say from which complete state it resumes, finish, leave nothing staged, and have the files of the undisturbed run,
bit for bit apart from timings. A short write must change nothing at all. The calls of the undisturbed run and of the
last start must follow the publish rule (calls.py), and those of the undisturbed run must account for all bytes of its
files.

Exit status: 0 when every fault was survived. Otherwise the folder of the failed trial is kept, with the command to repeat it.
"""

from __future__ import annotations

import argparse
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from calls import FAULTS, LOCK, Call, publish_faults, read_report, unseen_bytes
from run_state import Survey, differences, outcome
from starts import Ended, ForkServer, Launcher, Start

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONFIG = HERE / "tiny.yaml"
KINDS = ("write", "rename", "fsync", "unlink", "create", "mkdir", "truncate")
COLUMNS = (*FAULTS, "twice")
RESOURCE = 4  # ErrorKind::kResource in trainer/base/error.h
ERROR_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d error (.*)$", re.MULTILINE)
STEP_SECONDS = 20  # between two lines of progress


@dataclass(frozen=True)
class Trial:
    """One fault at one call; `again`: the call of the next start that is disturbed as well (twice)."""

    call: Call
    fault: str
    again: int = 0

    def name(self) -> str:
        return f"{self.call.number}:{self.fault}" + (f":{self.again}" if self.again else "")


class Lab:
    """The scratch folder: the model, the undisturbed run, and a folder for each trial."""

    def __init__(self, folder: Path, plain: Launcher, launchers: list[Launcher]) -> None:
        self.folder, self.plain = folder, plain
        self.launchers: queue.SimpleQueue[Launcher] = queue.SimpleQueue()
        for launcher in launchers:
            self.launchers.put(launcher)
        self.expected: dict[str, str] = {}
        self.calls: list[Call] = []

    def start(self, place: Path, report: str, call: int = 0, fault: str = "") -> Ended:
        """Starts `foresight run` in a trial's folder."""
        launcher = self.launchers.get()
        try:
            return launcher.run(Start(place, CONFIG, report, call, fault))
        finally:
            self.launchers.put(launcher)

    def prepare(self) -> list[str]:
        """The model and the undisturbed run, its calls and its outcome. Returns what is wrong with it.

        Both of its starts are made as a user makes them, whatever starts the trials.
        """
        subprocess.run([self.plain.program, "--quiet", "make-tiny-model", self.folder / "model"], check=True)
        place = self.folder / "undisturbed"
        place.mkdir()
        ended = self.plain.run(Start(place, CONFIG, "calls"))
        if ended.status != 0:
            return [f"the undisturbed run ended with {ended.status}:\n{ended.last_lines()}"]
        self.calls = read_report(place / "calls", place)
        run = place / "run"
        self.expected = outcome(run)
        files = [path for path in run.rglob("*") if path.is_file() and path.name != LOCK]
        sizes = {path.relative_to(place): path.stat().st_size for path in files}
        faults = unseen_bytes(self.calls, sizes) + publish_faults(self.calls) + differences(run, self.expected)
        survey = Survey.of(run)
        again = self.plain.run(Start(place, CONFIG, "calls-again"))
        return faults + ["started again: " + fault for fault in survey.unsaid(again.log) + differences(run, self.expected)]

    def try_fault(self, trial: Trial) -> list[str]:
        """The faults found; without any, the trial's folder is removed."""
        place = self.folder / trial.name().replace(":", "-")
        place.mkdir()
        faults = self._disturb(trial, place)
        if not faults:
            shutil.rmtree(place)
        return faults

    def _disturb(self, trial: Trial, place: Path) -> list[str]:
        fault = "kill" if trial.fault == "twice" else trial.fault
        first = self.start(place, "calls", trial.call.number, fault)
        calls = read_report(place / "calls", place)
        met = [call for call in calls if call.disturbed]
        if [(call.kind, call.path) for call in met] != [(trial.call.kind, trial.call.path)]:
            return [f"call {trial.call.number} was {met}, not the {trial.call.kind} of {trial.call.path}"]
        # A note in the lock may fail; on a disk that stays full something else fails after it.
        failed = [call for call in calls if call.result < 0]
        faults = judge_end(trial.call, fault, first, failed if trial.call.path.name == LOCK else [trial.call])
        if faults:
            return faults
        run = place / "run"
        if first.status == 0:
            return differences(run, self.expected)
        if trial.fault == "twice":
            second = self.start(place, "calls-again", trial.again, "kill")
            if second.status not in (-9, 0):
                return [f"the second start ended with {second.status}:\n{second.last_lines()}"]
        survey = Survey.of(run)
        last = self.start(place, "calls-last")
        if last.status != 0:
            return [f"the next start ended with {last.status}:\n{last.last_lines()}"]
        faults = publish_faults(read_report(place / "calls-last", place))
        return survey.unsaid(last.log) + differences(run, self.expected) + faults


def judge_end(call: Call, fault: str, ended: Ended, blamed: list[Call]) -> list[str]:
    """Faults in the way that the disturbed start ended. `blamed`: an error must name one of these calls' files."""
    if ended.status is None:
        return [f"the program did not end:\n{ended.last_lines()}"]
    if fault in ("kill", "kill_half"):
        return [] if ended.status == -9 else [f"ended with {ended.status}, not by SIGKILL"]
    if fault == "short" or (ended.status == 0 and call.path.name == LOCK):
        return [] if ended.status == 0 else [f"ended with {ended.status}:\n{ended.last_lines()}"]
    if ended.status != RESOURCE:
        return [f"ended with {ended.status}, not {RESOURCE}:\n{ended.last_lines()}"]
    lines = ERROR_LINE.findall(ended.log)
    if len(lines) != 1 or not ended.log.endswith(lines[0] + "\n"):
        return [f"expected one line of error at the end of the log:\n{ended.last_lines()}"]
    if not any(name in lines[0] for call in blamed for name in names_of(call)):
        return [f"the error does not name {call.path}: {lines[0]}"]
    return []


def names_of(call: Call) -> set[str]:
    """The names of a call's files that an error may use."""
    names = {str(call.path), str(call.path).removesuffix(".foresight.partial"), str(call.second or call.path)}
    if call.kind == "unlink":  # of a folder that is removed as a whole, the folder may be named
        names |= {str(parent) for parent in call.path.parents if len(parent.parts) > 2}
    return names


def all_trials(calls: Iterable[Call]) -> list[Trial]:
    return [Trial(call, fault) for call in calls for fault in call.faults()]


def twice_trials(calls: list[Call], count: int, generator: random.Random) -> list[Trial]:
    """Kills at two places; the second soon after the next start, where that one cleans up, or anywhere."""
    trials: dict[Trial, None] = {}  # each once, in the order of the sample
    while len(trials) < count:
        call = generator.choice(calls)
        left = max(1, len(calls) - call.number)
        trials[Trial(call, "twice", generator.randint(1, generator.choice((min(left, 40), left))))] = None
    return list(trials)


def sample(trials: list[Trial], count: int, generator: random.Random) -> list[Trial]:
    """`count` trials: one of each stage, kind of call and fault in turn."""
    cells: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in generator.sample(trials, len(trials)):
        cells.setdefault((trial.call.stage(), trial.call.kind, trial.fault), []).append(trial)
    chosen: list[Trial] = []
    while len(chosen) < min(count, len(trials)):
        for cell in generator.sample(sorted(cells), len(cells)):
            if cells[cell] and len(chosen) < count:
                chosen.append(cells[cell].pop())
    return sorted(chosen, key=lambda trial: (trial.call.number, trial.fault))


def chosen_trials(options: argparse.Namespace, calls: list[Call]) -> list[Trial]:
    if options.only:
        chosen = []
        for name in options.only:
            number, fault, *again = name.split(":")
            chosen.append(Trial(calls[int(number) - 1], fault, int(again[0]) if again else 0))
        return chosen
    generator = random.Random(options.seed)
    trials = all_trials(calls)
    if options.sample:
        trials = sample(trials, options.sample, generator)
    return trials + twice_trials(calls, options.twice, generator)


def print_table(title: str, rows: Iterable[str], row_of: dict[Trial, str], survived: set[Trial]) -> None:
    """Survived/tried for each row and fault."""
    tried = Counter((row, trial.fault) for trial, row in row_of.items())
    good = Counter((row, trial.fault) for trial, row in row_of.items() if trial in survived)

    def cell(pairs: list[tuple[str, str]]) -> str:
        total = sum(tried[pair] for pair in pairs)
        return f"{sum(good[pair] for pair in pairs)}/{total}" if total else "-"

    rows = [row for row in rows if any(tried[row, fault] for fault in COLUMNS)]
    print(f"\n{title:<12}" + "".join(f"{fault:>11}" for fault in (*COLUMNS, "all")))
    for row in rows:
        cells = [cell([(row, fault)]) for fault in COLUMNS] + [cell([(row, fault) for fault in COLUMNS])]
        print(f"{row:<12}" + "".join(f"{text:>11}" for text in cells))


def print_failure(trial: Trial, faults: list[str], options: argparse.Namespace, folder: Path) -> None:
    call = trial.call
    print(f"\nLOST {trial.name()}: {trial.fault} at call {call.number}, the {call.kind} of {call.path}")
    for fault in faults[:8]:
        print(f"    {fault}")
    print(f"    kept: {folder / trial.name().replace(':', '-')}")
    print(f"    repeat: tests/faults/fault_matrix.py --program {options.program} --shim {options.shim} --only {trial.name()}", flush=True)


def run_trials(lab: Lab, trials: list[Trial], options: argparse.Namespace) -> set[Trial]:
    """Tries all; returns those that were survived."""
    survived: set[Trial] = set()
    shown = started = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for done, (trial, faults) in enumerate(zip(trials, pool.map(lab.try_fault, trials)), 1):
            if faults:
                print_failure(trial, faults, options, lab.folder)
            else:
                survived.add(trial)
            now = time.monotonic()
            if now - shown > STEP_SECONDS:
                shown = now
                left = (now - started) / done * (len(trials) - done)
                print(f"{done}/{len(trials)} faults tried, {len(survived)} survived, {left:.0f} s left", flush=True)
    return survived


def parse_arguments() -> argparse.Namespace:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--program", type=Path, default=ROOT / "build/foresight")
    parser.add_argument("--shim", type=Path, default=ROOT / "build/tests/fault_shim.so")
    parser.add_argument("--sample", type=int, default=0, help="number of faults in the sample (default: all)")
    parser.add_argument("--twice", type=int, default=0, help="additional runs that are killed twice")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn")
    parser.add_argument("--only", nargs="+", metavar="CALL:FAULT", help="only these, as a failure names them")
    parser.add_argument("--folder", type=Path, help="where to work (default: a fresh folder for temporary files)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--exec", action="store_true", help="load the program for each start; more than twice the time")
    parser.add_argument("--timeout", type=float, default=120, help="seconds that a start may take")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="foresight_faults_", dir=options.folder)).resolve()
    program, shim = options.program.resolve(), options.shim.resolve()
    # One fault alone is easier to look into without a server.
    launcher = Launcher if options.exec or options.only else ForkServer
    launchers = [launcher(program, shim, options.timeout) for _ in range(options.jobs)]
    lab = Lab(folder, Launcher(program, shim, options.timeout), launchers)
    problems = lab.prepare()
    counts = Counter(call.kind for call in lab.calls)
    print(f"the undisturbed run: {len(lab.calls)} calls (" + ", ".join(f"{kind} {counts[kind]}" for kind in KINDS) + ")")
    for problem in problems:
        print(f"FAULT of the undisturbed run: {problem}")
    if not lab.calls:
        return 1
    trials = chosen_trials(options, lab.calls)
    survived = run_trials(lab, trials, options)
    for each in launchers:
        each.close()
    print_table("call", KINDS, {trial: trial.call.kind for trial in trials}, survived)
    stages = ("start", "traces", "oracle", "supervised", "grpo", "export", "evaluate", "report")
    print_table("stage", stages, {trial: trial.call.stage() for trial in trials}, survived)
    print(f"\nfaults tried: {len(trials)}, survived: {len(survived)}, took {time.monotonic() - started:.0f} s")
    if problems or len(survived) < len(trials):
        print(f"kept: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
