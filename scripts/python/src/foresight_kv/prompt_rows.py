"""Prompt rows as `foresight traces` reads them (docs/rows.md): JSON lines with a prompt, messages or a question."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from .errors import ForesightError, one_line
from .row_layouts import CALCULATOR_MARK

MOST_BYTES = 64 << 20  # of a line
MOST_DEPTH = 32  # objects and lists inside each other
BLANKS = b" \t\r\n"
OTHER_KINDS = {
    b"\x1f\x8b": "is compressed by gzip",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd",
    b"BZh": "is compressed by bzip2",
    b"PAR1": "is a Parquet file",
    b"ARROW1": "is an Arrow file",
    b"\xff\xff\xff\xff": "is an Arrow file",
}
NOT_KEPT = ("prompt", "messages", "tools", "documents", "chat_template_kwargs")


@dataclass
class PromptRow:
    """One prompt: `messages`, or `prompt` as plain text, and what its row holds besides."""

    source: str  # "prompts.jsonl:17"
    prompt: str = ""
    messages: list = field(default_factory=list)
    answer: str = ""
    variables: dict = field(default_factory=dict)  # tools, documents and chat_template_kwargs, for the template
    columns: dict = field(default_factory=dict)  # all other columns, in their order


def read_prompt_rows(file):
    """Yields a PromptRow for each line that is not blank. Raises ForesightError naming file and line."""
    file, rows = Path(file), 0
    for number, line in _lines(file):
        rows += 1
        yield _parsed(_Columns(_json_object(line, f"{file}:{number}"), f"{file}:{number}"), f"{file.name}:{number}")
    if not rows:
        raise ForesightError(f"{file}: holds no rows")


def _lines(file):
    """Yields (line number, bytes) of the lines that are not blank."""
    try:
        with open(file, "rb") as opened:
            start = opened.read(8)
            kind = next((kind for magic, kind in OTHER_KINDS.items() if start.startswith(magic)), None)
            if kind:
                convert = "write its prompts as JSONL: foresight-rows FILE --prompts --out prompts.jsonl"
                raise ForesightError(f"{file}: {kind}; {convert}")
            opened.seek(3 if start.startswith(b"\xef\xbb\xbf") else 0)
            number = 0
            while line := opened.readline(MOST_BYTES + 1):
                number += 1
                if len(line) > MOST_BYTES:
                    size = f"the line is longer than {MOST_BYTES >> 20} MiB"
                    raise ForesightError(f"{file}:{number}: {size}; expected one row on each line")
                if line.strip(BLANKS):
                    yield number, line
    except OSError as fault:
        raise ForesightError(f"{file}: cannot be read: {fault.strerror}; check the path") from fault


def _json_object(line, where):
    def unique(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ForesightError(f"{where}: an object names a key twice")
        return found

    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=unique, parse_constant=lambda name: None)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ForesightError:
        raise
    except UnicodeError as fault:
        raise ForesightError(f"{where}: not UTF-8 ({fault.reason}); save the file as UTF-8") from fault
    except (ValueError, RecursionError) as fault:
        raise ForesightError(f"{where}: not JSON: {one_line(fault)}") from fault
    if not isinstance(value, dict):
        hint = "; a JSON list is not JSONL: write one row on each line" if isinstance(value, list) else ""
        raise ForesightError(f"{where}: expected a JSON object, got {_kind(value)}{hint}")
    if _deeper_than(value, MOST_DEPTH):
        raise ForesightError(f"{where}: objects and lists are nested deeper than {MOST_DEPTH}")
    return value


def _deeper_than(value, depth):
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_deeper_than(item, depth - 1) for item in inner)


def _kind(value):
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


class _Columns:
    """A row's columns, found in capitals too; null counts as absent."""

    def __init__(self, row, where):
        self.row, self._where = row, where

    def get(self, key):
        """The value, or None."""
        if key in self.row:
            return self.row[key]
        return next((value for name, value in self.row.items() if name.lower() == key), None)

    def text(self, key, or_number=False):
        """The text of a column that is there."""
        value = self.get(key)
        if or_number and isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            self.fail(f'"{key}": expected a string, got {_kind(value)}')
        return value

    def fail(self, problem):
        """Raises ForesightError naming file and line."""
        raise ForesightError(f"{self._where}: {problem}")


def _parsed(row, source):
    found = PromptRow(source)
    lists = [key for key in ("messages", "prompt") if isinstance(row.get(key), list) or key == "messages"]
    present = [key for key in lists if row.get(key) is not None]
    question = next((key for key in ("problem", "question") if row.get(key) is not None), None)
    if row.get("messages") is not None and row.get("prompt") is not None:
        row.fail('has both "messages" and "prompt"; keep one of them')
    if present:
        found.messages = _messages_before_the_answer(row, present[0])
    elif row.get("prompt") is not None:
        found.prompt = row.text("prompt")
        if not found.prompt:
            row.fail('"prompt" is empty')
    elif question:
        found.prompt = f"Question: {row.text(question)}\nAnswer:"
    else:
        row.fail('no known keys; a prompt row has "prompt", "messages", "question" or "problem"')
    if row.get("answer") is not None:
        found.answer = CALCULATOR_MARK.sub("", row.text("answer", or_number=True))
    found.variables = _template_variables(row)
    found.columns = {name: value for name, value in row.row.items() if name not in NOT_KEPT}
    return found


def _messages_before_the_answer(row, key):
    """The messages without the assistant's turns at their end, which would give the answer away."""
    values = row.get(key)
    if not isinstance(values, list) or not values:
        row.fail(f'"{key}": expected a list of {{"role", "content"}}')
    messages = [_message(row, value, f'"{key}"[{index}]') for index, value in enumerate(values)]
    if key == "prompt" and messages[-1]["role"] == "assistant":
        row.fail(
            '"prompt" ends with a message of the assistant, which the model would have to continue; remove that message, '
            'or name the column "messages" if it is an answer'
        )
    while messages and messages[-1]["role"] == "assistant":
        messages.pop()
    if not messages:
        row.fail(f'"{key}" hold only turns of the assistant; a prompt begins with a turn of another role')
    for column in ("problem", "question"):
        if row.get(column) is None:
            continue
        asked = row.text(column)
        if not any(asked in _text(message.get("content")) for message in messages):
            row.fail(f'"{key}" do not hold the text of "{column}"; keep one of the two')
    return messages


def _message(row, value, name):
    calls = isinstance(value, dict) and "tool_calls" in value
    if not isinstance(value, dict) or "role" not in value or not ("content" in value or calls):
        row.fail(f'{name}: expected an object with "role" and "content"')
    content = value.get("content")
    for key, part in (("role", value["role"]), ("content", content)):
        other_content = key == "content" and (isinstance(part, list) or (part is None and calls))
        if not isinstance(part, str) and not other_content:
            row.fail(f"{name}.{key}: expected a string, got {_kind(part)}")
    if not calls or value["tool_calls"] is None:
        return value
    return value | {"tool_calls": _objects(row, value["tool_calls"], f"{name}.tool_calls")}


def _text(content):
    """The text of a message's content, that of all its parts where it has several."""
    if isinstance(content, str):
        return content
    parts = [part.get("text") for part in content or [] if isinstance(part, dict)]
    return "".join(part for part in parts if isinstance(part, str))


def _unpacked(value):
    """The JSON in a string, which is how data sets keep what differs from row to row; other values as they are."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _objects(row, value, name):
    """A list of objects. It may be JSON in a string, and so may each of its items."""
    found = _unpacked(value)
    found = [_unpacked(item) for item in found] if isinstance(found, list) else found
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        row.fail(f"{name}: expected a list of objects, or one as JSON in a string")
    return found


def _template_variables(row):
    variables = {}
    for key in ("tools", "documents"):
        value = _unpacked(row.get(key))
        if value is not None and not isinstance(value, list):
            row.fail(f'"{key}": expected a list, or one as JSON in a string')
        if value and key == "tools":
            value = _objects(row, value, '"tools"')
        if value:
            variables[key] = value
    more = _unpacked(row.get("chat_template_kwargs"))
    if more is not None and not isinstance(more, dict):
        row.fail('"chat_template_kwargs": expected an object, or one as JSON in a string')
    return variables | (more or {})
