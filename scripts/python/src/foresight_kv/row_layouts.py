"""The columns of known data sets, and what a row of each gives: messages or a text that ends in what is learnt from."""

import re
from dataclasses import dataclass, field

from .errors import ForesightError, one_line

CALCULATOR_MARK = re.compile(r"<<[^\n]*?>>")  # of GSM8K: <<48/2=24>>
ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}  # of ShareGPT's "from"


@dataclass
class TrainingRow:
    """What one row gives. Either `messages` before the answer or `prompt` as plain text; both end where it begins."""

    prompt: str | None = None
    messages: list = field(default_factory=list)
    completion: str | None = None  # None: a prompt alone
    answer: str | None = None

    @property
    def question(self):
        """What a person is shown of the prompt: its plain text, or the last message."""
        return self.prompt if self.prompt is not None else str(self.messages[-1].get("content", ""))


class LeftOut(Exception):
    """A row that is no fault and gives nothing to learn from; the text says why."""


@dataclass(frozen=True)
class Layout:
    """A data set's layout: the columns that it is known by, all that it reads, and the function that reads a row."""

    name: str
    known_by: tuple
    convert: object  # (SourceRow, Choice) -> TrainingRow
    also: tuple = ()
    trains: bool = True  # False: prompts alone

    @property
    def columns(self):
        """All columns that it reads; those that it is not known by may be absent."""
        return self.known_by + self.also


@dataclass(frozen=True)
class Choice:
    """What the user says about rows. chat: plain questions become a user's message; prompts: answers are not needed."""

    chat: bool = False
    prompts: bool = False


def text_of(row, column, may_be_absent=False):
    """The text in a column; numbers as they are written. Raises ForesightError where there is none."""
    value = row.columns.get(column)
    if value is None and may_be_absent:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        row.fail(column, f"expected a text, got {type(value).__name__ if value is not None else 'nothing'}")
    return value


def messages_of(row, column):
    """A list of {role, content} from one in those words or in ShareGPT's (from, value)."""
    turns = row.columns.get(column)
    if not isinstance(turns, list) or not turns:
        row.fail(column, f"expected a list of messages, got {type(turns).__name__ if turns else 'nothing'}")
    messages = []
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict):
            row.fail(column, f"message {index + 1}: expected an object, got {type(turn).__name__}")
        role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if not isinstance(role, str) or not (isinstance(content, (str, list)) or turn.get("tool_calls")):
            row.fail(column, f"message {index + 1}: expected role and content (or from and value), got {one_line(list(turn))}")
        known = ("role", "from", "content", "value")
        others = {key: value for key, value in turn.items() if key not in known and value is not None}
        messages.append({"role": ROLES.get(role, role), "content": content, **others})
    return messages


def _conversation(row, column, before=()):
    messages = [*before, *messages_of(row, column)]
    if messages[-1]["role"] != "assistant":
        return TrainingRow(messages=messages)
    content = messages[-1]["content"]
    if not isinstance(content, str) or len(messages[-1]) > 2:
        row.fail(column, "the last message has more than a text (parts, tool calls): only texts can be learnt from")
    if len(messages) == 1:
        row.fail(column, "there is no message before the assistant's")
    return TrainingRow(messages=messages[:-1], completion=content)


def _asked(question, completion, answer, choice):
    """A question that is answered: as a user's message, or in the words of GSM8K's evaluations."""
    if choice.chat:
        return TrainingRow(messages=[{"role": "user", "content": question}], completion=completion, answer=answer)
    text = None if completion is None else f" {completion}\n\n"
    return TrainingRow(prompt=f"Question: {question}\nAnswer:", completion=text, answer=answer)


def _openr1_math(row, choice):
    completion = None if choice.prompts else _right_generation(row)
    asked = [{"role": "user", "content": text_of(row, "problem")}]
    return TrainingRow(messages=asked, completion=completion, answer=text_of(row, "answer", may_be_absent=True))


def _right_generation(row):
    """The first that is whole and that a judge calls right, where there are judges."""
    generations = row.columns.get("generations")
    if not isinstance(generations, list) or not all(isinstance(text, str) for text in generations):
        row.fail("generations", f"expected a list of texts, got {type(generations).__name__}")
    judges = [row.columns[name] for name in ("correctness_math_verify", "correctness_llama") if row.columns.get(name)]
    whole = row.columns.get("is_reasoning_complete") or [True] * len(generations)
    for name, marks in [("correctness", mark) for mark in judges] + [("is_reasoning_complete", whole)]:
        if not isinstance(marks, list) or len(marks) != len(generations):
            row.fail(name, f"expected a mark for each of the {len(generations)} generations")
    right = [index for index in range(len(generations)) if whole[index] and (not judges or any(marks[index] for marks in judges))]
    if not right:
        raise LeftOut("no generation is whole and marked as correct")
    return generations[right[0]]


def _openthoughts(row, choice):
    system = text_of(row, "system", may_be_absent=True)
    return _conversation(row, "conversations", [{"role": "system", "content": system}] if system else [])


def _openthoughts_metadata(row, choice):
    reasoning, solution = text_of(row, "deepseek_reasoning"), text_of(row, "deepseek_solution")
    asked = [{"role": "user", "content": text_of(row, "problem")}]
    return TrainingRow(messages=asked, completion=f"<think>\n{reasoning.strip()}\n</think>\n\n{solution.strip()}")


def _solved(question):
    def convert(row, choice):
        answer = text_of(row, "answer", may_be_absent=True)
        return _asked(text_of(row, question), text_of(row, "solution"), answer, choice)

    return convert


def _gsm8k(row, choice):
    worked = CALCULATOR_MARK.sub("", text_of(row, "answer"))
    return _asked(text_of(row, "question"), worked, worked.rpartition("####")[2].strip(), choice)


def _question_alone(question):
    def convert(row, choice):
        return _asked(text_of(row, question), None, text_of(row, "answer", may_be_absent=True), choice)

    return convert


def columns_layout(messages=None, prompt=None, completion=None, text=None, answer=None):
    """The layout whose columns are named by the user: messages, a prompt with or without its completion, or a text."""

    def convert(row, choice):
        known = text_of(row, answer, may_be_absent=True) if answer else None
        if text:
            return TrainingRow(prompt="", completion=text_of(row, text), answer=known)
        if messages:
            given = _conversation(row, messages)
        elif isinstance(row.columns.get(prompt), list):
            given = TrainingRow(messages=messages_of(row, prompt))
        elif choice.chat:
            given = TrainingRow(messages=[{"role": "user", "content": text_of(row, prompt)}])
        else:
            given = TrainingRow(prompt=text_of(row, prompt))
        if completion:
            given.completion = _completion_text(row, completion)
        given.answer = known
        return given

    named = tuple(column for column in (messages, prompt, completion, text, answer) if column)
    return Layout("columns as given", named, convert, trains=bool(text or completion or messages))


def _completion_text(row, column):
    value = row.columns.get(column)
    if not isinstance(value, list):
        return text_of(row, column)
    messages = messages_of(row, column)
    if len(messages) != 1 or messages[0]["role"] != "assistant" or not isinstance(messages[0]["content"], str):
        row.fail(column, "expected a text, or one message of the assistant")
    return messages[0]["content"]


def _foresight(*columns):
    return columns_layout(**{column: column for column in columns})


_OPENR1_MARKS = ("answer", "correctness_math_verify", "correctness_llama", "is_reasoning_complete")
# The first layout whose columns a file has is taken.
LAYOUTS = (
    Layout("openr1-math", ("problem", "generations"), _openr1_math, _OPENR1_MARKS),
    Layout("openthoughts", ("conversations",), _openthoughts, ("system",)),
    Layout("openthoughts-metadata", ("problem", "deepseek_reasoning", "deepseek_solution"), _openthoughts_metadata),
    Layout("messages", ("messages",), _foresight("messages", "answer").convert, ("answer",)),
    Layout("prompt-completion", ("prompt", "completion"), _foresight("prompt", "completion", "answer").convert, ("answer",)),
    Layout("aime", ("problem", "solution"), _solved("problem"), ("answer",)),
    Layout("question-solution", ("question", "solution"), _solved("question"), ("answer",)),
    Layout("gsm8k", ("question", "answer"), _gsm8k),
    Layout("aime-problems", ("problem", "answer"), _question_alone("problem"), trains=False),
    Layout("text", ("text",), _foresight("text").convert),
    Layout("prompt", ("prompt",), _foresight("prompt", "answer").convert, ("answer",), trains=False),
)
QUESTIONS = Layout("aime-questions", ("question", "answer"), _question_alone("question"), trains=False)


def layout_named(name):
    """The layout of that name. Raises ForesightError naming those that there are."""
    for layout in (*LAYOUTS, QUESTIONS):
        if layout.name == name:
            return layout
    names = ", ".join(known.name for known in (*LAYOUTS, QUESTIONS))
    raise ForesightError(f"--layout: there is no layout '{one_line(name)}'; expected one of {names}")


def guess_layout(row):
    """The layout that the columns of a file's first row are those of, in capitals or not. Raises ForesightError."""
    present = {name.lower() for name in row.columns}
    for layout in LAYOUTS:
        if present.issuperset(layout.known_by):
            answer = next((str(value) for name, value in row.columns.items() if name.lower() == "answer"), "")
            return QUESTIONS if layout.name == "gsm8k" and "####" not in answer else layout
    raise ForesightError(
        f"{row.file}: no known layout has the columns {one_line(', '.join(row.columns), 300)}; name yours: "
        "--prompt COLUMN --completion COLUMN, --messages COLUMN or --text COLUMN"
    )


def with_names_of(row, layout):
    """The row with the columns of a layout under the layout's names, where the file writes them in capitals."""
    by_lower = {name.lower(): name for name in row.columns}
    for column in layout.columns:
        if column not in row.columns and column in by_lower:
            row.columns[column] = row.columns[by_lower[column]]
    return row
