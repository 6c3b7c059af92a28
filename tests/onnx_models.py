"""The ONNX models of students, in the stock onnxruntime."""

import numpy as np
import onnxruntime

from potstill.export import to_onnx
from potstill.runtime.model import pad
from potstill.runtime.onnx_graph import PAD


def session(made):
    return onnxruntime.InferenceSession(to_onnx.build(made).SerializeToString())


def run(made, texts, outputs=None):
    """The outputs of these names, by default all, of a model that takes text or ids."""
    running = session(made)
    [given] = running.get_inputs()
    values = np.array([text.encode("utf-8", "replace").decode() for text in texts], object)
    if given.name == "ids":
        ids, mask = pad(made.encode(texts), np.arange(len(texts)))
        values = np.where(mask, ids, PAD)
    return running.run(outputs, {given.name: values})
