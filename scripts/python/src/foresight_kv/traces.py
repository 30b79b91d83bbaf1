"""Lets vLLM, or any endpoint of OpenAI's completions protocol, sample traces from prompts, as rows that Foresight trains on.

usage: foresight-traces PROMPTS [PROMPTS ...] --model FOLDER --out traces.jsonl (--endpoint URL | --offline)
"""

import argparse
import itertools
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from .completions import Endpoint
from .errors import ForesightError, one_line
from .prompt_rows import read_prompt_rows
from .row_tokens import RowRenderer, date_variables
from .trace_file import COLUMN, TraceFile
from .trace_jobs import Sampling, make_jobs
from .trace_samplers import EndpointSampler, OfflineSampler

PROGRESS_EVERY_S = 10
SAMPLE_ROWS = 2
STOPPED = 75  # as the program's exit code
EXAMPLES = """\
Examples:
  foresight-traces prompts.jsonl --model models/Qwen3-4B --out traces.jsonl --endpoint http://localhost:8000/v1   # vllm serve
  foresight-traces prompts.jsonl --model models/Qwen3-4B --out traces.jsonl --offline --engine '{"max_model_len": 8192}'
  foresight-traces prompts.jsonl --model models/Qwen3-4B --show            # prompts as the model reads them; samples nothing
"""


class Progress:
    """Says now and then how far the command is."""

    def __init__(self, all_rows, there, show):
        self._all, self._there, self._show, self._begun = all_rows, there, show, time.monotonic()
        self._said, self._rows, self.tokens = self._begun, 0, 0

    def add(self, tokens):
        """One more row, of so many sampled tokens."""
        self._rows, self.tokens, now = self._rows + 1, self.tokens + tokens, time.monotonic()
        if now - self._said >= PROGRESS_EVERY_S:
            self._said = now
            rate = self.tokens / (now - self._begun)
            self._show(f"traces: {self._there + self._rows}/{self._all}, {self.tokens} tokens, {rate:.0f} tokens/s")


def sample_traces(given, show=print):
    """Does what the parsed command line says. Returns how many rows were sampled. Raises ForesightError."""
    renderer = RowRenderer(given.model)
    variables = date_variables(given.template_date)
    if given.out and any(Path(given.out).resolve() == Path(file).resolve() for file in given.prompts):
        raise ForesightError(f"{given.out}: is read; choose another file for --out")
    rows = list(itertools.islice(itertools.chain.from_iterable(map(read_prompt_rows, given.prompts)), given.most))
    top_k = None if given.text_only else given.top_k
    name = Path(given.model).resolve().name
    sampling = Sampling(name, given.max_new_tokens, given.temperature, given.top_p, top_k, given.seed)
    if given.show:
        for job in make_jobs(rows[:SAMPLE_ROWS], renderer, sampling, variables=variables):
            show(f"--- {job.row.source}: {len(job.ids)} tokens\n{job.prompt}")
        return 0
    if given.offline:
        jobs = make_jobs(rows, renderer, sampling, given.samples, variables)  # before the engine takes its minutes to start
        return _written(given, jobs, lambda: _offline(given, renderer, jobs), show)
    recorded = given.served_model or recorded_model(given.out)
    if recorded:  # nothing is asked of an endpoint for a file that is whole: it may be gone by now
        jobs = make_jobs(rows, renderer, replace(sampling, model=recorded), given.samples, variables)
        if is_whole(given.out, jobs, show):
            return _written(given, jobs, None, show)
    endpoint = Endpoint(given.endpoint, os.environ.get(given.key_variable), given.timeout, given.patience, show)
    name, longest = endpoint.model(given.served_model)
    jobs = make_jobs(rows, renderer, replace(sampling, model=name), given.samples, variables, longest)
    _require_same_tokenizer(endpoint, name, jobs[0], renderer)
    sampler = EndpointSampler(endpoint, name, renderer, given.in_flight, given.text_only)
    return _written(given, jobs, lambda: sampler, show)


def recorded_model(out):
    """The model that the first row of a traces file names; None where there is no such file or name."""
    try:
        with open(out, "rb") as opened:
            return json.loads(opened.readline())[COLUMN]["model"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def is_whole(out, jobs, show):
    """Whether a traces file holds the rows of these jobs and nothing is to sample."""
    try:
        with TraceFile(out, {job.digest: job.settings() for job in jobs}, show) as file:
            return len(file.done) == len(jobs)
    except ForesightError:
        return False


def _offline(given, renderer, jobs):
    sampler = OfflineSampler(given.model, renderer, given.in_flight, given.engine)
    too_long = next((job for job in jobs if len(job.ids) + given.max_new_tokens > sampler.longest), None)
    if too_long:
        raise ForesightError(
            f"{too_long.row.source}: a prompt of {len(too_long.ids)} tokens and {given.max_new_tokens} new ones exceed the model's "
            f"{sampler.longest}: shorten it, lower --max-new-tokens, or remove the row"
        )
    return sampler


def _require_same_tokenizer(endpoint, name, job, renderer):
    """Raises ForesightError where the served model's tokenizer makes other ids of a prompt, if the endpoint tells."""
    theirs = endpoint.tokenized(name, renderer.text_without_beginning(job.prompt))
    ours = renderer.prompt_tokens(renderer.text_without_beginning(job.prompt))
    if theirs is not None and theirs not in (ours, ours[1:]):
        raise ForesightError(
            f"{endpoint.address}: {one_line(name)} makes other token ids of the first prompt ({len(theirs)}) than --model "
            f"({len(ours)}); --model is the folder of the served model"
        )


def _written(given, jobs, sampler, show):
    """Samples what the file does not hold yet. sampler: a function, called only where something is missing."""
    with TraceFile(given.out, {job.digest: job.settings() for job in jobs}, show) as file:
        missing = [job for job in jobs if job.digest not in file.done]
        show(f"traces: {len(jobs) - len(missing)} are in {given.out}, {len(missing)} to sample")
        progress = Progress(len(jobs), len(jobs) - len(missing), show)
        if missing:
            for job, sampled in sampler().samples(missing):
                file.keep(job.digest, job.output(sampled))
                progress.add(len(sampled.ids or ()))
        file.finish()
        show(f"traces: {len(jobs)} in {given.out}, {len(missing)} of them sampled now ({progress.tokens} tokens)")
    return len(missing)


def parse(arguments=None):
    """The command line; ends the program with code 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="foresight-traces", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Samples traces from prompts with vLLM or any OpenAI-compatible completions endpoint. Finished rows are kept "
        "at once; after an interruption the same command resumes.",
    )  # fmt: skip
    parser.add_argument("prompts", nargs="+", metavar="PROMPTS", help="JSON lines with prompts (docs/rows.md)")
    parser.add_argument("--model", required=True, metavar="FOLDER",
                        help="the model's folder: its chat template and tokenizer are used")  # fmt: skip
    parser.add_argument("-o", "--out", help="JSON lines file to write; rows lie in FILE.unfinished until all are there")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--endpoint", metavar="URL", help="of a server's API, for example http://localhost:8000/v1")
    where.add_argument("--offline", action="store_true", help="run vLLM in this process")
    where.add_argument("--show", action="store_true", help="show the first prompts as the model reads them; sample nothing")
    _add_sampling(parser)
    _add_serving(parser)
    given = parser.parse_args(arguments)
    if bool(given.out) == given.show:
        parser.error("give either --out FILE or --show")
    if given.text_only and given.offline:
        parser.error("--text-only goes with --endpoint")
    if given.engine is not None and not given.offline:
        parser.error("--engine goes with --offline")
    return given


def _add_sampling(parser):
    default = Sampling("")
    parser.add_argument("--max-new-tokens", type=_at_least(1), default=default.max_new_tokens, metavar="N",
                        help="of a text (default 1024)")  # fmt: skip
    parser.add_argument("--temperature", type=_number(0, 2), default=default.temperature, metavar="T",
                        help="0: always the likeliest token (default 0.6)")  # fmt: skip
    parser.add_argument("--top-p", type=_number(1e-9, 1), default=default.top_p, metavar="P", help="1: all tokens (default 0.95)")
    parser.add_argument("--top-k", type=_at_least(0), default=default.top_k, metavar="K", help="0: all tokens (default 20)")
    parser.add_argument("--samples", type=_at_least(1), default=1, metavar="N", help="texts of each prompt (default 1)")
    parser.add_argument("--seed", type=_at_least(0), default=default.seed, help="each text gets its own seed from it (default 1)")
    parser.add_argument("--most", type=_at_least(1), metavar="N", help="take only the first prompts")
    parser.add_argument("--template-date", metavar="DATE",
                        help="the date for a chat template that asks for today's (2026-11-28)")  # fmt: skip


def _add_serving(parser):
    parser.add_argument("--served-model", metavar="NAME", help="which model, where the endpoint serves several")
    parser.add_argument("--text-only", action="store_true",
                        help="for endpoints that know OpenAI's parameters alone: no top-k, and rows without token ids")  # fmt: skip
    parser.add_argument("--in-flight", type=_at_least(1), default=32, metavar="N", help="requests at once (default 32)")
    parser.add_argument("--patience", type=_number(0, 1e7), default=600, metavar="S",
                        help="how long a request that fails is tried again (default 600 s)")  # fmt: skip
    parser.add_argument("--timeout", type=_number(1e-3, 1e7), default=3600, metavar="S",
                        help="the longest silence before an answer, which comes when its text is whole (default 3600 s)")  # fmt: skip
    parser.add_argument("--key-variable", default="OPENAI_API_KEY", metavar="NAME",
                        help="environment variable that holds the endpoint's key")  # fmt: skip
    parser.add_argument("--engine", type=_json_object, metavar="JSON", help="options of vllm.LLM, with --offline")


def _at_least(least):
    def whole_number(text):
        if not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number, at least {least}, got '{one_line(text)}'")
        return int(text)

    return whole_number


def _number(least, most):
    def number(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected a number from {least:g} to {most:g}, got '{one_line(text)}'")
        return value

    return number


def _json_object(text):
    try:
        value = json.loads(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"not JSON: {one_line(fault)}") from fault
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('expected a JSON object like {"max_model_len": 8192}')
    return value


def _stop(number, frame):
    raise KeyboardInterrupt


def main(arguments=None):
    """The command. Returns its exit code: 0, 1 with one line on standard error, or 75 when a signal stopped it."""
    given = parse(arguments)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    try:
        sample_traces(given, lambda text: print(text, flush=True))
    except ForesightError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; finished rows are kept: run the same command again to resume", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
