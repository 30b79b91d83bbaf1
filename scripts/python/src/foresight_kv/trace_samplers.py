"""Where foresight-traces gets its samples from: an endpoint with several requests in flight, or vLLM in this process."""

import functools
import os
import queue
import threading

from .completions import ENDED
from .errors import ForesightError, one_line
from .trace_jobs import Sampled

NEUTRAL = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "min_p": 0.0}
TOKEN_ID = "token_id:"  # in vLLM's answers of tokens as ids


class EndpointSampler:
    """Samples from an endpoint, `in_flight` requests at once. text_only: of endpoints that know OpenAI's parameters alone."""

    def __init__(self, endpoint, model, renderer, in_flight=32, text_only=False):
        self._endpoint, self._model, self._renderer = endpoint, model, renderer
        self._in_flight, self._text_only = in_flight, text_only
        self._ends = renderer.end_tokens()

    def samples(self, jobs):
        """Yields (job, Sampled) in the order in which they come. Raises ForesightError for the first that fails."""
        waiting, found, over = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
        for job in jobs:
            waiting.put(job)

        def work():
            while not over.is_set():
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    result = self._sampled(job)
                except BaseException as fault:  # whatever it is, the command ends with it
                    over.set()
                    result = fault
                found.put((job, result))

        for _ in range(min(self._in_flight, len(jobs))):
            threading.Thread(target=work, daemon=True).start()
        try:
            for _ in jobs:
                job, result = found.get()
                if isinstance(result, BaseException):
                    raise result
                yield job, result
        finally:
            over.set()

    def _sampled(self, job):
        choice = self._endpoint.complete(self._body(job), job.name)
        stopped = choice.get("finish_reason") == "stop"
        if self._text_only:
            text = choice.get("text")
            if not isinstance(text, str):
                self._fail(job, "the answer holds no text")
            return Sampled(None, text, stopped)
        fail = functools.partial(self._fail, job)
        ids = checked_ids(_ids_of(choice), self._renderer.vocabulary, job.sampling.max_new_tokens, fail)
        return Sampled(ids, self._renderer.completion_text(job.ids, ids), stopped or ids[-1:] in [[end] for end in self._ends])

    def _body(self, job):
        asked = {
            "model": self._model, "max_tokens": job.sampling.max_new_tokens, "temperature": job.sampling.temperature,
            "top_p": job.sampling.top_p, "seed": job.seed,
        }  # fmt: skip
        if self._text_only:
            return asked | {"prompt": self._renderer.text_without_beginning(job.prompt)}
        others = {"prompt": job.ids, "top_k": job.sampling.top_k or -1, "stop_token_ids": self._ends, "return_token_ids": True}
        return asked | others | NEUTRAL

    def _fail(self, job, problem):
        raise ForesightError(f"{self._endpoint.address}: {job.name}: {problem}")


def _ids_of(choice):
    """The sampled ids of an answer: by vLLM's own field, or as names of tokens in its log probabilities; None without."""
    if choice.get("token_ids") is not None:
        return choice["token_ids"]
    names = (choice.get("logprobs") or {}).get("tokens")
    if isinstance(names, list) and all(isinstance(name, str) and name.startswith(TOKEN_ID) for name in names):
        digits = [name.removeprefix(TOKEN_ID) for name in names]
        return [int(digit) if digit.isdigit() else None for digit in digits]
    return None


def checked_ids(ids, vocabulary, most, fail):
    """The ids of an answer. Calls `fail` with a message where they cannot be this model's."""
    if ids is None:
        fail("the answer holds no token ids (token_ids, which vLLM gives); --text-only writes rows without them")
    if not isinstance(ids, list) or len(ids) > most:
        fail(f"expected a list of at most {most} token ids, got {len(ids) if isinstance(ids, list) else type(ids).__name__}")
    for index, token in enumerate(ids):
        if type(token) is not int or not 0 <= token < vocabulary:
            fail(
                f"token_ids[{index}] is {one_line(token, 20)}, outside the vocabulary of {vocabulary} tokens; is --model the "
                "folder of the served model?"
            )
    return ids


class OfflineSampler:
    """Samples with vLLM in this process."""

    def __init__(self, folder, renderer, in_flight=256, options=None):
        """folder: of the model; options: of vllm.LLM. Raises ForesightError where vLLM is not there or does not start."""
        if os.environ.get("FORESIGHT_SCORER"):
            raise ForesightError("FORESIGHT_SCORER is set, so vLLM would evict: traces are sampled with the full cache; unset it")
        try:
            from vllm import LLM, SamplingParams
        except ImportError as fault:
            raise ForesightError(f"--offline: vLLM is not installed in this environment: {one_line(fault)}") from fault
        self._renderer, self._in_flight, self._ends = renderer, in_flight, renderer.end_tokens()
        self._parameters = SamplingParams
        try:
            self._engine = LLM(model=str(folder), **(options or {})).llm_engine
        except Exception as fault:  # vLLM throws many kinds
            raise ForesightError(f"--offline: vLLM does not start: {type(fault).__name__}: {one_line(fault, 300)}") from fault

    @property
    def longest(self):
        """Most tokens of a text."""
        return self._engine.model_config.max_model_len

    def samples(self, jobs):
        """Yields (job, Sampled) in the order in which they end. Raises ForesightError where the engine fails."""
        running, rest = {}, iter(jobs)
        try:
            while True:
                while len(running) < self._in_flight and (job := next(rest, None)) is not None:
                    running[job.digest] = job
                    self._engine.add_request(job.digest, {"prompt_token_ids": job.ids}, self._parameters_of(job))
                if not running:
                    return
                for output in self._engine.step():
                    if output.finished:
                        job = running.pop(output.request_id.split("-")[0])
                        yield job, self._sampled(job, output.outputs[0])
        except ForesightError:
            raise
        except Exception as fault:  # vLLM throws many kinds
            raise ForesightError(f"--offline: vLLM failed: {type(fault).__name__}: {one_line(fault, 300)}") from fault

    def _parameters_of(self, job):
        how = job.sampling
        return self._parameters(
            max_tokens=how.max_new_tokens, temperature=how.temperature, top_p=how.top_p, top_k=how.top_k or -1, seed=job.seed,
            stop_token_ids=self._ends, detokenize=False,
        )  # fmt: skip

    def _sampled(self, job, answer):
        def fail(problem):
            raise ForesightError(f"--offline: {job.name}: {problem}")

        if answer.finish_reason not in ENDED:
            fail(f"vLLM broke the text off (finish_reason {answer.finish_reason}); run the same command again")
        ids = checked_ids(list(answer.token_ids), self._renderer.vocabulary, job.sampling.max_new_tokens, fail)
        finished = answer.finish_reason == "stop" or ids[-1:] in [[end] for end in self._ends]
        return Sampled(ids, self._renderer.completion_text(job.ids, ids), finished)
