"""Rows as a model reads them: its chat template applied by transformers, and token ids."""

from pathlib import Path

from .errors import ForesightError, one_line

PROBE = "foresightprobe"  # stands in for an answer, to find what a template writes behind one
REASONING_BEGINS = ("<think>\n", "<think>")


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

    def texts(self, row):
        """(prompt, completion) of a TrainingRow. All of the answer's text stays, whatever the template leaves out of it.

        Raises ForesightError where the template refuses the messages, or there is none.
        """
        if not row.messages:
            return row.prompt, row.completion
        prompt = self._render(row.messages, add_generation_prompt=True)
        whole = self._render([*row.messages, {"role": "assistant", "content": row.completion}])
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
        before = self._tokenizer(prompt, add_special_tokens=False).input_ids
        if self._first and before[:1] != self._first:
            before = self._first + before
        return before + self._tokenizer(completion, add_special_tokens=False).input_ids, len(before)

    def _tail(self, messages):
        """What the template writes behind an answer: the end of the turn."""
        return self._render([*messages, {"role": "assistant", "content": PROBE}]).rpartition(PROBE)[2]

    def _render(self, messages, add_generation_prompt=False):
        if not getattr(self._tokenizer, "chat_template", None):
            raise ForesightError(
                f"{self._folder}: the model has no chat template for messages; leave --chat out, or take its instruct model"
            )
        try:
            return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
        except Exception as fault:  # whatever a template throws: jinja's errors and Python's own
            raise ForesightError(f"the chat template of {self._folder} refuses the messages: {one_line(fault, 200)}") from fault


def _shared_start(one, two):
    """Length of the start that two texts share."""
    for index, (left, right) in enumerate(zip(one, two, strict=False)):
        if left != right:
            return index
    return min(len(one), len(two))
