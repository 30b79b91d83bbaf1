"""Turns data sets (Hugging Face folders, Parquet, Arrow, JSON, JSON lines) into the rows that Foresight reads.

usage: foresight-rows IN [IN ...] --out rows.jsonl [--split NAME] [--layout NAME | --prompt COLUMN --completion COLUMN | ...]
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from pathlib import Path

from .errors import ForesightError
from .row_files import data_files, read_rows
from .row_layouts import LAYOUTS, QUESTIONS, Choice, LeftOut, columns_layout, guess_layout, layout_named, with_names_of
from .row_tokens import RowRenderer
from .staged_file import staged_text

SAMPLE_ROWS = 2
SAMPLE_SIGNS = 300
MOST_BYTES = 64 << 20  # of a line that the program reads
COLUMN_OPTIONS = {
    "messages": "a conversation that ends with the assistant's message",
    "prompt": "what is asked",
    "completion": "what is answered",
    "text": "a text that is learnt from as a whole",
    "answer": "the final answer, for tasks",
}
EXAMPLES = """\
Examples:
  foresight-rows OpenR1-Math-220k/data --out train.jsonl --model models/Qwen3-4B     # Parquet files; rendered, with token ids
  foresight-rows saved_dataset --split train --out train.jsonl                       # a folder of save_to_disk()
  foresight-rows aime.parquet --prompts --chat --out prompts.jsonl                   # prompts for `foresight traces`
  foresight-rows mine.json.gz --prompt ask --completion reply --chat --show          # look first, write nothing
"""


class RowWriter:
    """Makes output rows of source rows, and counts what was left out and why."""

    def __init__(self, layout, prompts=False, chat=False, renderer=None, skip_faulty=False):
        self.layout, self.left_out, self._first_fault = layout, Counter(), ""
        self._prompts, self._choice = prompts, Choice(chat=chat, prompts=prompts)
        self._renderer, self._skip_faulty = renderer, skip_faulty

    def rows(self, files):
        """Yields a dict for each usable row of the files, in order."""
        known = {column.lower() for column in self.layout.columns}
        for file in files:
            for row in read_rows(file, _Columns(known)):
                made = self._made(with_names_of(row, self.layout))
                if made is not None:
                    yield made

    def _made(self, row):
        try:
            return self._output(row)
        except LeftOut as reason:
            self.left_out[str(reason)] += 1
        except ForesightError as fault:
            if not self._skip_faulty:
                raise
            self._first_fault = self._first_fault or str(fault)
            self.left_out[f"faulty, the first is {self._first_fault}"] += 1
        return None

    def _output(self, row):
        training = self.layout.convert(row, self._choice)
        output = _prompt_columns(training) if self._prompts else self._training_columns(row, training)
        if training.answer is not None:
            output["answer"] = training.answer
        output["source"] = f"{row.file.name}:{row.number}"
        _require_text(row, output)
        return output

    def _training_columns(self, row, training):
        if not training.completion or not training.completion.strip():
            raise LeftOut("there is no answer to learn from")
        if self._renderer is None:
            if training.messages:
                return {"messages": [*training.messages, {"role": "assistant", "content": training.completion}]}
            if training.prompt:
                return {"prompt": training.prompt, "completion": training.completion}
            return {"text": training.completion}
        try:
            prompt, completion = self._renderer.texts(training)
        except ForesightError as fault:
            raise ForesightError(f"{row.file}: row {row.number}: {fault}") from fault
        tokens, prompt_tokens = self._renderer.tokens(prompt, completion)
        return {"prompt": prompt, "completion": completion, "tokens": tokens, "prompt_tokens": prompt_tokens}


class _Columns:
    """Column names that a layout reads, in capitals or not."""

    def __init__(self, lower):
        self._lower = lower

    def __contains__(self, name):
        return name.lower() in self._lower


def _prompt_columns(training):
    if training.messages:
        return {"messages": training.messages}
    if not training.prompt:
        raise LeftOut("there is no prompt")
    return {"prompt": training.prompt}


def _require_text(row, output):
    """Raises ForesightError for what JSON lines of the program cannot hold: half characters, rows without end."""
    try:
        size = len(json.dumps(output, ensure_ascii=False).encode("utf-8"))
    except UnicodeEncodeError:
        column = next(key for key, value in output.items() if not _is_utf8(value))
        row.fail(column, "holds half of a surrogate pair, which is not text; fix the row or use --skip-faulty")
    if size > MOST_BYTES:
        raise ForesightError(f"{row.file}: row {row.number}: takes {size} bytes, a row holds at most {MOST_BYTES}")


def _is_utf8(value):
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return True
    except UnicodeEncodeError:
        return False


def chosen_layout(given, files):
    """The layout that the command line names, or that of the first row. Raises ForesightError where it fits no use."""
    named = {name: getattr(given, name) for name in ("messages", "prompt", "completion", "text", "answer")}
    if any(named.values()):
        layout = columns_layout(**named)
    elif given.layout:
        layout = layout_named(given.layout)
    else:
        first = next(itertools.chain.from_iterable(read_rows(file) for file in files), None)
        if first is None:
            raise ForesightError(f"{files[0]}: holds no rows")
        layout = guess_layout(first)
    if not layout.trains and not given.prompts:
        raise ForesightError(
            f"{files[0]}: the layout {layout.name} holds prompts alone; write them with --prompts and let the model write the "
            "traces (foresight traces), or name the column of the answers with --completion"
        )
    return layout


def write_rows(given, show=print):
    """Does what the parsed command line says. Returns how many rows were written. Raises ForesightError."""
    files = data_files(given.inputs, given.split)
    if given.out and any(Path(given.out).resolve() == file.resolve() for file in files):
        raise ForesightError(f"{given.out}: is read; choose another file for --out")
    layout = chosen_layout(given, files)
    renderer = RowRenderer(given.model) if given.model else None
    writer = RowWriter(layout, given.prompts, given.chat, renderer, given.skip_faulty)
    rows = itertools.islice(writer.rows(files), given.most)
    first = list(itertools.islice(rows, SAMPLE_ROWS))
    show(f"layout: {layout.name} (columns {', '.join(layout.columns)}), {len(files)} file{'s' * (len(files) != 1)}")
    if not first:
        raise ForesightError(f"{files[0]}: gives no rows{_reasons(writer.left_out)}")
    for row in first:
        show(sample_of(row))
    if not given.out:
        return 0
    count = 0
    with staged_text(given.out) as file:
        for row in itertools.chain(first, rows):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    show(f"wrote {count} rows to {given.out}{_reasons(writer.left_out)}")
    return count


def _reasons(left_out):
    return "".join(f"; left out {count}: {reason}" for reason, count in left_out.items())


def sample_of(row):
    """A row for people: its parts, cut, one a line."""
    lines = [f"--- {row['source']}"]
    for key, value in row.items():
        if key in ("source", "tokens"):
            continue
        if key == "messages":
            lines += [f"{turn['role']}: {_shown(turn['content'])}" for turn in value]
        else:
            lines.append(f"{key}: {_shown(value)}")
    if "tokens" in row:
        lines.append(f"tokens: {len(row['tokens'])}, beginning with {row['tokens'][:8]}")
    return "\n".join(lines)


def _shown(value):
    """The beginning of a text on one line, for a terminal: what moves a cursor is escaped."""
    text = str(value)
    shown = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text[:SAMPLE_SIGNS])
    return shown + (f" ... ({len(text)} signs)" if len(text) > SAMPLE_SIGNS else "")


def parse(arguments=None):
    """The command line; ends the program with code 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="foresight-rows", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Turns data sets into rows (JSON lines) that Foresight trains on. A sample is shown before writing.",
    )  # fmt: skip
    parser.add_argument("inputs", nargs="+", metavar="IN", help="files (Parquet, Arrow, JSON, JSON lines) or folders")
    parser.add_argument("-o", "--out", help="JSON lines file to write; it appears when it is whole")
    parser.add_argument("--show", action="store_true", help="show the layout and a sample, write nothing")
    parser.add_argument("--split", help="which part of a folder: train, test ...")
    names = ", ".join(layout.name for layout in (*LAYOUTS, QUESTIONS))
    parser.add_argument("--layout", help=f"how the columns are read, instead of guessing: {names}")
    for column, what in COLUMN_OPTIONS.items():
        parser.add_argument(f"--{column}", metavar="COLUMN", help=f"the column that holds {what}")
    parser.add_argument("--prompts", action="store_true", help="write prompts for `foresight traces`, without the answers' texts")
    parser.add_argument("--chat", action="store_true", help="plain questions become a user's message")
    parser.add_argument("--model", metavar="FOLDER", help="apply this model's chat template and write token ids")
    parser.add_argument("--most", type=int, help="stop after so many rows")
    parser.add_argument("--skip-faulty", action="store_true", help="leave out rows that cannot be used instead of stopping")
    given = parser.parse_args(arguments)
    if bool(given.out) == given.show:
        parser.error("give either --out FILE or --show")
    if given.prompts and given.model:
        parser.error("--model writes tokens of training rows; `foresight traces` renders the rows of --prompts itself")
    columns = [given.messages, given.prompt, given.text]
    if sum(column is not None for column in columns) > 1 or (given.layout and any(columns)):
        parser.error("give one of --layout, --messages, --prompt and --text")
    if given.answer and not any(columns):
        parser.error("--answer goes with --messages, --prompt or --text")
    if given.completion and not given.prompt:
        parser.error("--completion goes with --prompt")
    if given.most is not None and given.most < 1:
        parser.error("--most counts rows, at least 1")
    return given


def main(arguments=None):
    """The command. Returns its exit code: 0, or 1 with one line on standard error."""
    given = parse(arguments)
    try:
        write_rows(given)
    except ForesightError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
