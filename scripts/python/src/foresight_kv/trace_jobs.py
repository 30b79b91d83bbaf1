"""What foresight-traces asks for, text by text, and the row that each answer becomes."""

import functools
import hashlib
import json
from dataclasses import asdict, dataclass

from .errors import ForesightError
from .prompt_rows import PromptRow
from .trace_file import COLUMN, REQUEST


@dataclass(frozen=True)
class Sampling:
    """How a model samples; the defaults are those of `traces` in a config. seed: of all rows."""

    model: str
    max_new_tokens: int = 1024
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int | None = 20  # 0: all tokens; None: the endpoint's own
    seed: int = 1


@dataclass(frozen=True)
class Sampled:
    """What was sampled. ids: None where the endpoint gives a text alone; finished: the model ended the text itself."""

    ids: list | None
    text: str
    finished: bool


@dataclass(frozen=True)
class Job:
    """One text to sample."""

    row: PromptRow
    prompt: str  # as the model reads it
    ids: list  # of the prompt
    sample: int
    sampling: Sampling

    @property
    def name(self):
        """What messages call it."""
        return f"{self.row.source}, sample {self.sample}"

    @property
    def seed(self):
        """Its own, so that a row does not depend on the order in which rows are sampled: 31 bits."""
        facts = f"{self.sampling.seed} {self.row.source} {self.sample}"
        return int.from_bytes(hashlib.sha256(facts.encode()).digest()[:4], "big") >> 1

    @functools.cached_property
    def digest(self):
        """Of all that decides what its row may hold."""
        facts = [asdict(self.sampling), self.sample, self.row.source, self.row.answer, self.row.columns, self.prompt, self.ids]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def settings(self):
        """The column `sampling` of its row."""
        return asdict(self.sampling) | {"sample": self.sample, REQUEST: self.digest}

    def output(self, sampled):
        """The row, as `foresight traces` writes it, and how it was sampled."""
        row = {"prompt": self.prompt, "completion": sampled.text}
        if self.row.answer:
            row["answer"] = self.row.answer
        row["finished"] = sampled.finished
        if sampled.ids is not None:
            row |= {"tokens": [*self.ids, *sampled.ids], "prompt_tokens": len(self.ids)}
        row["prompt_source" if "source" in self.row.columns else "source"] = self.row.source
        row[COLUMN] = self.settings()
        for name, value in self.row.columns.items():
            if name == "answer":
                continue
            if name not in row:
                row[name] = value
            elif isinstance(row.setdefault("given", {}), dict):
                row["given"][name] = value
            else:
                row["given"] = {"given": row["given"], name: value}
        return row


def make_jobs(rows, renderer, sampling, samples=1, variables=None, longest=None):
    """The jobs of prompt rows, `samples` of each, in order. variables: for the chat template, beside those of a row.

    longest: most tokens of a text, or None. Raises ForesightError naming the row whose prompt cannot be rendered or is empty
    or too long, or that is there twice.
    """
    jobs, seen = [], set()
    for row in rows:
        try:
            prompt = _prompt_text(row, renderer, variables or {})
            ids = renderer.prompt_tokens(prompt)
            if not ids:
                raise ForesightError("the prompt is empty")
            total = len(ids) + sampling.max_new_tokens
            if longest is not None and total > longest:
                raise ForesightError(
                    f"a prompt of {len(ids)} tokens and {sampling.max_new_tokens} new ones exceed the model's {longest}: shorten "
                    "it, lower --max-new-tokens, or remove the row"
                )
        except ForesightError as fault:
            raise ForesightError(f"{row.source}: {fault}") from fault
        made = [Job(row, prompt, ids, sample, sampling) for sample in range(samples)]
        if made[0].digest in seen:
            raise ForesightError(f"{row.source}: this row of a file of this name is given twice; leave one of the files out")
        seen.add(made[0].digest)
        jobs += made
    return jobs


def _prompt_text(row, renderer, variables):
    """A plain prompt becomes a user's message where the model has a chat template, as in the program."""
    if not row.messages and not row.variables and not renderer.has_template:
        return row.prompt
    messages = row.messages or [{"role": "user", "content": row.prompt}]
    return renderer.render(messages, add_generation_prompt=True, variables=variables | row.variables)
