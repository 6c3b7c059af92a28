"""Students in Node.js."""

import json
import shutil
import subprocess

import pytest

from tests.project import ROOT

SCRIPT = ROOT / "src" / "potstill" / "web" / "student.js"
PROGRAM = """
import { readFileSync } from "node:fs";
import { load } from %s;
const { files, texts, label, below } = JSON.parse(readFileSync(0, "utf8"));
const out = [];
for (const file of files) {
  try {
    const student = await load(new Uint8Array(readFileSync(file)));
    const some = texts.filter((text) => text.length < below);
    const explained = some.map((text) => student.explain(text, label ?? undefined));
    out.push([texts.map(student.predict), explained, student.labels, texts.map(student.inScope)]);
  } catch (error) {
    out.push(error.message);
  }
}
console.log(JSON.stringify(out));
"""


def predict(folder, files, texts, label=None, below=1000):
    """Return per model file the predictions, explanations of the texts shorter than `below`, and the labels."""
    return [answer if isinstance(answer, str) else answer[:3] for answer in answers(folder, files, texts, label, below)]


def in_scope(folder, files, texts):
    """Return per model file which texts are in scope."""
    return [answer[3] for answer in answers(folder, files, texts, below=0)]


def answers(folder, files, texts, label=None, below=1000):
    """Return per model file a list of all that the program computes, or its message."""
    if not (node := shutil.which("node")):
        pytest.skip("Node.js is missing")
    program = folder / "program.mjs"
    program.write_text(PROGRAM % json.dumps(SCRIPT.as_uri()))
    given = json.dumps({"files": list(map(str, files)), "texts": texts, "label": label, "below": below})
    done = subprocess.run([node, str(program)], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
