"""An endpoint of OpenAI's completions protocol, as vLLM and others serve it; a request is tried again where that helps."""

import http.client
import json
import random
import socket
import ssl
import time
from urllib.parse import urlsplit

from .errors import ForesightError, one_line

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30
ENDED = ("stop", "length", None)  # finish_reason of a text that its model, or the limit of tokens, has ended
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers of HTTP after which the same request may succeed
MOST_BYTES = 1 << 28  # of an answer
KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 8))  # notices a host that is gone within minutes


class Unanswered(Exception):
    """A request that was not answered and may be tried again; the text says what was found. pause: seconds that were asked for."""

    def __init__(self, found, pause=0.0):
        super().__init__(found)
        self.pause = pause


class Endpoint:
    """Where completions are asked for. Usable from several threads."""

    def __init__(self, url, key=None, timeout_s=3600.0, patience_s=600.0, warn=print):
        """url: of the API ("http://host:8000/v1"; /v1 may be left out). timeout_s: the longest silence of an answer.

        patience_s: how long a request is tried again, counted from its first failure. Raises ForesightError for no address.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            self._host, self._port = parts.hostname, parts.port
        except ValueError as fault:
            raise ForesightError(f"--endpoint: {one_line(url)}: {fault}") from fault
        if parts.scheme not in ("http", "https") or not self._host or parts.query or parts.username:
            raise ForesightError(f"--endpoint: expected an address like http://localhost:8000/v1, got '{one_line(url)}'")
        self._secure, self._folder = parts.scheme == "https", parts.path.rstrip("/") or "/v1"
        self._key, self._timeout_s, self._patience_s, self._warn = key, timeout_s, patience_s, warn
        self.address = f"{parts.scheme}://{parts.netloc}{self._folder}"

    def model(self, name=None):
        """(name, most tokens of a text or None) of the served model. Raises ForesightError where `name` is not served, or has
        to be given."""
        answer = self._asked("GET", f"{self._folder}/models", None, "the list of models")
        listed = answer.get("data") if isinstance(answer, dict) else None
        models = {entry.get("id"): entry for entry in listed or [] if isinstance(entry, dict)}
        names = ", ".join(map(one_line, models))
        if name is None and len(models) != 1:
            raise ForesightError(f"{self.address}: serves {len(models)} models; choose one with --served-model: {names}")
        chosen = name if name is not None else next(iter(models))
        if chosen not in models:
            raise ForesightError(f"{self.address}: does not serve '{one_line(chosen)}'; --served-model is one of {names}")
        longest = models[chosen].get("max_model_len")
        return chosen, longest if isinstance(longest, int) else None

    def tokenized(self, model, text):
        """The ids that the endpoint's tokenizer makes of a text; None where it does not tell (vLLM does)."""
        root = self._folder.removesuffix("/v1")
        try:
            body = {"model": model, "prompt": text, "add_special_tokens": False}
            answer = self._once("POST", f"{root}/tokenize", body, "the ids of the first prompt")
        except (ForesightError, Unanswered):
            return None
        found = answer.get("tokens") if isinstance(answer, dict) else None
        return found if isinstance(found, list) else None

    def complete(self, body, what):
        """The first choice of a completion. what: names the request in messages. Raises ForesightError where it is refused, or
        was tried in vain for as long as the patience lasts."""
        answer = self._asked("POST", f"{self._folder}/completions", body, what, _require_ended)
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise ForesightError(f"{self.address}: {what}: the answer holds no completion: {one_line(json.dumps(answer), 200)}")
        return choices[0]

    def _asked(self, method, path, body, what, check=lambda answer: None):
        """The answer's JSON. Busy, cut and silent endpoints are asked again, after pauses that double.

        check: is called with an answer, and raises Unanswered where it is no good.
        """
        tries, pause, give_up = 0, FIRST_PAUSE_S, None
        while True:
            tries += 1
            try:
                answer = self._once(method, path, body, what)
                check(answer)
                return answer
            except Unanswered as fault:
                now = time.monotonic()
                give_up = now + self._patience_s if give_up is None else give_up
                wait = max(pause * random.uniform(0.75, 1.25), fault.pause)
                if now + wait > give_up:
                    raise ForesightError(
                        f"{self.address}: {what}: no answer in {tries} tries, the last: {fault}; fix the endpoint and run the "
                        "same command again"
                    ) from fault
                if tries == 1:
                    self._warn(f"{self.address}: {what}: {fault}; trying again for {self._patience_s:g} s")
                time.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    def _once(self, method, path, body, what):
        connection = None
        try:
            connection = self._connected()
            connection.request(method, path, None if body is None else json.dumps(body), self._headers())
            reply = connection.getresponse()
            if (reply.length or 0) > MOST_BYTES:
                raise ForesightError(f"{self.address}: {what}: the answer has {reply.length} bytes, expected at most {MOST_BYTES}")
            data = reply.read()
        except TimeoutError as fault:
            raise Unanswered(f"nothing was heard for {self._timeout_s:g} s") from fault
        except ssl.SSLCertVerificationError as fault:
            raise ForesightError(f"{self.address}: its certificate is not trusted: {one_line(fault)}") from fault
        except (OSError, http.client.HTTPException) as fault:
            raise Unanswered(f"{type(fault).__name__}: {one_line(fault)}".rstrip(": ")) from fault
        finally:
            if connection is not None:
                connection.close()
        return self._json_of(reply, data, what)

    def _connected(self):
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_s)
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):  # not on every system
                connection.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return connection

    def _headers(self):
        headers = {"Content-Type": "application/json", "Connection": "close"}
        return headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def _json_of(self, reply, data, what):
        said = one_line(data[:400].decode("utf-8", "replace").strip(), 300)
        if reply.status in BUSY:
            asked = reply.headers.get("Retry-After", "")
            raise Unanswered(f"HTTP {reply.status} {said}".rstrip(), float(asked) if asked.isdigit() else 0.0)
        if reply.status != 200:
            raise ForesightError(f"{self.address}: {what}: refused with HTTP {reply.status}: {said}")
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as fault:
            raise Unanswered(f"an answer that is not JSON: {said}") from fault


def _require_ended(answer):
    """Raises Unanswered for a text that a server broke off, as vLLM does ("abort") with those under way when it is stopped."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    reason = first.get("finish_reason") if isinstance(first, dict) else None
    if reason not in ENDED:
        raise Unanswered(f"the text was broken off (finish_reason {one_line(reason, 40)})")
