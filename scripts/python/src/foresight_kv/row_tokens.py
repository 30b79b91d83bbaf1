"""Rows as a model reads them: its chat template applied by transformers, and token ids."""

import datetime
import inspect
import json
from pathlib import Path

from .errors import ForesightError, one_line

PROBE = "foresightprobe"  # stands in for an answer, to find what a template writes behind one
REASONING_BEGINS = ("<think>\n", "<think>")
END_TOKENS = ("<|im_end|>", "<|endoftext|>")  # end a text wherever a vocabulary has them


class RowRenderer:
    """Renders and tokenizes rows with the tokenizer of a model folder."""

    def __init__(self, folder):
        """folder: of a model, with tokenizer.json. Raises ForesightError where transformers finds no tokenizer in it."""
        if not Path(folder).is_dir():
            raise ForesightError(f"{folder}: there is no such folder; --model is the folder of a model")
        from transformers import AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, AttributeError) as fault:
            raise ForesightError(f"{folder}: transformers finds no tokenizer there: {one_line(fault, 200)}") from fault
        self._folder = folder
        plain = self._tokenizer("a", add_special_tokens=False).input_ids
        marked = self._tokenizer("a").input_ids
        self._first = marked[:1] if len(marked) > len(plain) and marked[0] == self._tokenizer.bos_token_id else []

    @property
    def has_template(self):
        """Whether the model has a chat template."""
        return bool(getattr(self._tokenizer, "chat_template", None))

    @property
    def vocabulary(self):
        """How many ids stand for a token."""
        return len(self._tokenizer)

    def texts(self, row):
        """(prompt, completion) of a TrainingRow. All of the answer's text stays, whatever the template leaves out of it.

        Raises ForesightError where the template refuses the messages, or there is none.
        """
        if not row.messages:
            return row.prompt, row.completion
        prompt = self.render(row.messages, add_generation_prompt=True)
        whole = self.render([*row.messages, {"role": "assistant", "content": row.completion}])
        border = _shared_start(prompt, whole)
        if row.completion.strip() in whole[border:]:
            return whole[:border], whole[border:]
        # The template takes reasoning out of an answer, or wrote its beginning already.
        answer = row.completion
        for opening in REASONING_BEGINS:
            if prompt.endswith(opening) and answer.startswith(opening):
                answer = answer[len(opening) :]
                break
        return prompt, answer + self._tail(row.messages)

    def tokens(self, prompt, completion):
        """(ids, how many of them are the prompt's), tokenized apart, as generation reads a prompt and then goes on."""
        before = self.prompt_tokens(prompt)
        return before + self._tokenizer(completion, add_special_tokens=False).input_ids, len(before)

    def prompt_tokens(self, prompt):
        """The ids of a prompt's text, with the beginning of sequence in front where the tokenizer asks for one."""
        ids = self._tokenizer(prompt, add_special_tokens=False).input_ids
        return self._first + ids if self._first and ids[:1] != self._first else ids

    def text_without_beginning(self, prompt):
        """The text for a server that puts the beginning of sequence in front by itself."""
        beginning = self._tokenizer.bos_token if self._first else None
        return prompt[len(beginning) :] if beginning and prompt.startswith(beginning) else prompt

    def completion_text(self, prompt, ids):
        """What sampled ids stand for behind a prompt's ids, special tokens with their text."""
        before, whole = (self._tokenizer.decode(part, clean_up_tokenization_spaces=False) for part in (prompt, [*prompt, *ids]))
        if whole.startswith(before):
            return whole[len(before) :]
        return self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def end_tokens(self):
        """The ids that end a text, in the order in which the program finds them. Raises ForesightError for a faulty file."""
        found = [self._tokenizer.eos_token_id]
        for name in ("generation_config.json", "config.json"):
            stated = _json_value(Path(self._folder) / name, "eos_token_id")
            if stated is not None:
                found += stated if isinstance(stated, list) else [stated]
                break
        known = ((text, self._tokenizer.convert_tokens_to_ids(text)) for text in END_TOKENS)
        found += [number for text, number in known if self._tokenizer.convert_ids_to_tokens(number or 0) == text]
        return list(dict.fromkeys(number for number in found if isinstance(number, int) and number >= 0))

    def _tail(self, messages):
        """What the template writes behind an answer: the end of the turn."""
        return self.render([*messages, {"role": "assistant", "content": PROBE}]).rpartition(PROBE)[2]

    def render(self, messages, add_generation_prompt=False, variables=None):
        """The text of messages. variables: what the template is told besides (tools, enable_thinking ...).

        Raises ForesightError where there is no template, or it refuses the messages or a variable.
        """
        if not self.has_template:
            raise ForesightError(
                f"{self._folder}: the model has no chat template for messages; leave --chat out, or take its instruct model"
            )
        told = {"add_generation_prompt": add_generation_prompt} | (variables or {})
        parameters = set(inspect.signature(self._tokenizer.apply_chat_template).parameters)
        refused = told.keys() & parameters - {"add_generation_prompt", "tools", "documents"}
        if refused:
            raise ForesightError(f"chat_template_kwargs: '{one_line(min(refused))}' is not a variable of a chat template")
        try:
            return self._tokenizer.apply_chat_template(messages, tokenize=False, **told)
        except Exception as fault:  # whatever a template throws: jinja's errors and Python's own
            raise ForesightError(f"the chat template of {self._folder} refuses the messages: {one_line(fault, 200)}") from fault


def date_variables(date=None):
    """Of a chat template that asks for today's date: it gets `date` ("2026-11-28"), or finds that there is none.

    Raises ForesightError where `date` is no date.
    """
    if date is None:
        from jinja2 import Undefined

        return {"strftime_now": Undefined(name="strftime_now", hint="it asks for today's date; give one: --template-date")}
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError as fault:
        raise ForesightError(f"--template-date: expected a date like 2026-11-28, got '{one_line(date)}'") from fault
    return {"strftime_now": day.strftime}


def _json_value(file, key):
    """What a JSON file says under a key; None where there is no such file or key."""
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError) as fault:
        raise ForesightError(f"{file}: not readable as a JSON object: {one_line(fault)}; take another copy") from fault


def _shared_start(one, two):
    """Length of the start that two texts share."""
    for index, (left, right) in enumerate(zip(one, two, strict=False)):
        if left != right:
            return index
    return min(len(one), len(two))
