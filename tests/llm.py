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
        bias: by how much the log-probability, or log-odds, of the option that is listed first is too high.
        logprobs: whether it gives log-probabilities.
        mute: texts to which its answer fits no label.
        say: the answer's text for the code and the name of the likeliest label; not for a yes or no to each label.
        lines: the most labels that it decides on in an answer.
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
        self.lines = None
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
        answer = self.decide if "one line for each label" in prompt else self.choose
        said, content = answer(text, options) if text not in self.mute else ("I cannot say", [("I", [("I", 0.0)])])
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        if self.logprobs and body.get("logprobs"):
            places = []
            for token, found in content:
                top = sorted(found, key=lambda entry: -entry[1])[: body["top_logprobs"]]
                listed = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in top]
                places.append({"token": token, "logprob": top[0][1], "top_logprobs": listed})
            choice["logprobs"] = {"content": places}
        with self.lock:
            self.texts[text] += 1
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(content)}
        return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}

    def choose(self, text, options):
        """Return the text of an answer that chooses a label, and the log-probabilities in place of its tokens."""
        scores = [math.log(score) for score in self.knows(text, [name for _, name in options])]
        scores[0] += self.bias
        best = max(range(len(options)), key=scores.__getitem__)
        said, total = self.say(*options[best]), math.log(sum(map(math.exp, scores)))
        # With a space or without, as servers write tokens.
        found = [(f" {code}", score - total) for (code, _), score in zip(options, scores, strict=True)]
        first = said if said != options[best][0] else f" {said}"
        return said, [(first, [*found, ("The", -9.0)])]

    def decide(self, text, options):
        """Return the same for an answer that decides on each label."""
        content = []
        shares = self.knows(text, [name for _, name in options])[: self.lines]
        for i, ((code, _), share) in enumerate(zip(options, shares, strict=False)):
            odds = share / (1 - share) * math.exp(self.bias if i == 0 else 0)
            words = {" yes": math.log(odds / (1 + odds)), " no": -math.log(1 + odds)}
            word = max(words, key=words.get)
            for token, found in ((code, {code: 0.0}), (":", {":": 0.0}), (word, words), ("\n", {"\n": 0.0})):
                content.append((token, [*found.items(), ("The", -9.0)]))
        return "".join(token for token, _ in content), content


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
