"""A fast server of OpenAI's API, on loopback, that knows the words of `tests.tasks`, and its faults."""

import json
import math
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.tasks import FEELINGS

OPTION = re.compile(r"^(\S+)\. ([^:\n]+)", re.M)
NOW = {"retry-after-ms": "1"}  # try again at once


def knows(text, names):
    """How likely each label is: a label whose words, or whose name, the text has."""
    words = set(text.split())
    return [0.9 if words & {name, *FEELINGS.get(name, ())} else 0.1 / len(names) for name in names]


class Llm(ThreadingHTTPServer):
    """The server.

    Attributes:
        knows: returns for a text and the names of labels how likely each is.
        bias: by how much the log-probability of the option that is listed first is too high.
        logprobs: whether it gives log-probabilities.
        mute: texts to which its answer fits no label.
        say: the answer's text for the code and the name of the likeliest label.
        fault: returns for the number of a request, from 0 on, None, or a status, a body and headers; with the status
            0 the connection breaks.
        key: the key that it requires.
        wait: seconds that an answer takes.
        texts: how often each text was answered.
        bodies, authorization: of all requests.
        busiest: the most requests at a time.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.knows, self.bias, self.logprobs, self.wait, self.key = knows, 0.0, True, 0.0, None
        self.say, self.mute = (lambda code, name: code), set()
        self.fault = lambda number: None
        self.texts, self.bodies, self.authorization = Counter(), [], []
        self.busy = self.busiest = 0
        self.lock = threading.Lock()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, body):
        prompt = body["messages"][0]["content"]
        text = prompt.rsplit("Text: ", 1)[1].removesuffix("\nAnswer:")
        options = OPTION.findall(prompt.split("Answer with")[0])
        scores = [math.log(score) for score in self.knows(text, [name for _, name in options])]
        scores[0] += self.bias
        best = max(range(len(options)), key=scores.__getitem__)
        said = "I cannot say" if text in self.mute else self.say(*options[best])
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        if self.logprobs and body.get("logprobs"):
            total = math.log(sum(map(math.exp, scores)))
            # With a space or without, as servers write tokens.
            found = [(f" {code}", score - total) for (code, _), score in zip(options, scores, strict=True)]
            found = [("I", 0.0)] if text in self.mute else [*found, ("The", -9.0)]
            top = sorted(found, key=lambda entry: -entry[1])[: body["top_logprobs"]]
            first = said if said != options[best][0] else top[0][0]
            listed = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in top]
            choice["logprobs"] = {"content": [{"token": first, "logprob": top[0][1], "top_logprobs": listed}]}
        with self.lock:
            self.texts[text] += 1
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": 1}
        return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Llm

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append(body)
            server.authorization.append(self.headers["authorization"])
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        try:
            status, content, headers = server.fault(number) or (None, None, {})
            if status is None and server.key and self.headers["authorization"] != f"Bearer {server.key}":
                given = self.headers["authorization"].removeprefix("Bearer ")
                status, content = 401, {"error": {"message": f"Incorrect API key provided: {given}."}}
            if status is None:
                time.sleep(server.wait)
                status, content = 200, server.answer(body)
        finally:
            with server.lock:
                server.busy -= 1
        if status == 0:
            self.close_connection = True
            return
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(sent)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        """Print nothing."""


@contextmanager
def serving():
    """Give a running server."""
    server = Llm()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
