"""A small server of OpenAI's completions protocol, for tests: answers follow from the request alone, faults are given before."""

import hashlib
import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class CompletionsServer(ThreadingHTTPServer):
    """On a port of its own. ends: id that ends a text; first, last: range of the ids that it samples.

    faults: what comes in place of the next answers: an HTTP status, "cut", "drop", "silent", "html", "abort", or a dict to answer with.
    """

    daemon_threads = True

    def __init__(self, first=100, last=400, ends=None, pause_s=0.0, models=("served",), longest=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.first, self.last, self.ends, self.pause_s = first, last, ends, pause_s
        self.models, self.longest, self.faults, self.bodies, self.tokenize = models, longest, deque(), [], None
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that was killed is no fault of the server."""

    def sampled(self, body):
        """The ids that stand for a request: those of its prompt, its seed and its settings."""
        facts = json.dumps([body["prompt"], body["seed"], body["temperature"]])
        values = hashlib.sha256(facts.encode()).digest()
        wanted = 1 + values[0] % body["max_tokens"]
        ids = [self.first + values[index % 32] * 7 % (self.last - self.first) for index in range(wanted)]
        return ids if self.ends is None or wanted == body["max_tokens"] else [*ids, self.ends]

    def answer(self, body):
        """The JSON of an answer."""
        ids = self.sampled(body)
        reason = "stop" if self.ends is not None and ids[-1] == self.ends else "length"
        return {"choices": [{"index": 0, "text": f"text of {len(ids)}", "finish_reason": reason, "token_ids": ids}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing: the tests look at what the command says."""

    def do_GET(self):
        entries = [{"id": name, "max_model_len": self.server.longest} for name in self.server.models]
        self._reply(200, {"object": "list", "data": entries})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        if self.path == "/tokenize":
            ids = None if server.tokenize is None else server.tokenize(body["prompt"])
            self._reply(404 if ids is None else 200, {"tokens": ids})
            return
        with server.lock:
            server.bodies.append(body | {"key": self.headers.get("Authorization")})
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            fault = server.faults.popleft() if server.faults else None
        time.sleep(server.pause_s)
        with server.lock:
            server.in_flight -= 1
        self._fault(fault) if fault is not None else self._reply(200, server.answer(body))

    def _fault(self, fault):
        self.close_connection = True
        if isinstance(fault, int):
            self._reply(fault, {"error": {"message": "no room\x1b[2J for this"}})
        elif isinstance(fault, dict):
            self._reply(200, fault)
        elif fault == "abort":
            choice = {"token_ids": [self.server.first], "text": "a", "finish_reason": "abort"}
            self._reply(200, {"choices": [choice]})
        elif fault == "cut":
            self._reply(200, {"choices": []}, missing=5)
        elif fault == "html":
            self._reply(200, "<html>")
        elif fault == "silent":
            time.sleep(1)

    def _reply(self, status, value, missing=0):
        data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) - missing])
        self.wfile.flush()
