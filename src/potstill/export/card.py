"""The model card, so that the exported folder can be pushed to the Hugging Face hub as it is."""

from collections.abc import Mapping

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from potstill.markdown import code, inert
from potstill.pool.sources import VARIANTS
from potstill.runtime.model import FILE, Student
from potstill.runtime.tokenizer import Words

ONNX = "model.onnx"
SHOWN = 50  # classes that the card names


def card(student: Student, sources: Mapping[str, int], size: int, onnx_size: int) -> str:
    """The card's text, with the hub's metadata in front.

    Args:
        student: an exported student, with its facts.
        sources: how many texts of each source of the transfer set it was trained on.
        size: bytes of its file.
        onnx_size: bytes of the ONNX model.
    """
    facts, tested = student.facts, student.facts["metrics"]["test"]
    several = student.thresholds is not None
    metrics = {"accuracy": tested["accuracy"], "f1": tested["macro_f1"]}
    if not several:
        metrics["matthews_correlation"] = tested["matthews"]
    results = [
        EvalResult("text-classification", "potstill", "test split", kind, value) for kind, value in metrics.items()
    ]
    metadata = ModelCardData(
        model_name="student",
        eval_results=results,
        library_name="potstill",
        metrics=list(metrics),
        pipeline_tag="text-classification",
        tags=["distillation", *(["multi-label-classification"] if several else []), "onnx", "potstill"],
    )
    rows, shape = facts["rows"], student.shape
    by_strings = isinstance(student.vocabulary.entries, Words)
    takes = "text in, label and probabilities out" if by_strings else "ids of rows in, label and probabilities out"
    low, high = tested["accuracy_low"], tested["accuracy_high"]
    classes = ", ".join(map(code, student.labels[:SHOWN]))
    if len(student.labels) > SHOWN:
        classes += f" and {len(student.labels) - SHOWN:,} others, which `potstill inspect --json {FILE}` lists"
    tested_teachers = (f"{inert(name)} ({share:.2%} on the same texts)" for name, share in facts["teachers"].items())
    untested_teachers = (
        f"{inert(name)} (which lacks some of these texts)" for name in facts.get("untested_teachers", ())
    )
    taught = " and ".join([*tested_teachers, *untested_teachers])
    does, right, other = "tells apart", "accuracy", "Matthews correlation"
    if several:
        does, right, other = "gives a text any of", "all labels right", "micro F1"
    second = tested["micro_f1" if several else "matthews"]
    body = f"""
# A text classifier in {size:,} bytes

It {does} {len(student.labels):,} classes: {classes}. It was distilled with
potstill {facts["version"]} from {taught}.

| | |
| --- | --- |
| network | {shape.architecture}, {student.parameters:,} parameters, {len(student.vocabulary.entries):,} words |
| {right} | {tested["accuracy"]:.2%} (95% interval {low:.2%} to {high:.2%}), {rows["test"]:,} test texts |
| macro F1, {other} | {tested["macro_f1"]:.4f}, {second:.4f} |
| calibration | temperature {student.temperature:g}, expected error {tested["calibration_error"]:.4f} |
| trained on | {_trained_on(sources)} |

## Use

```python
from potstill import Student

student = Student.load("{FILE}")
student.predict(["a text", "another"])
```

`{FILE}` ({size:,} bytes) needs potstill and numpy alone; `potstill inspect {FILE}` prints all it says of itself.
`{ONNX}` ({onnx_size:,} bytes; {takes}) needs onnxruntime alone.

## Limits

It knows the words of the texts that it learnt from, and takes all others for one. Text of another kind or language than
these it answers as surely, and worse. The test texts are of the same kind.
"""
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n{body}"))


def _trained_on(sources: Mapping[str, int]) -> str:
    """How many texts of each kind the student was trained on."""
    real = {"labelled": sources.get("train", 0), "unlabelled": sources.get("unlabelled", 0)}
    said = " and ".join(f"{number:,} {kind}" for kind, number in real.items() if number)
    told = [f"{said} texts"] if said else []
    if variants := sum(sources.get(kind, 0) for kind in VARIANTS):
        told.append(f"{variants:,} variants of {'them' if said else 'its texts'}")
    if samples := sources.get("generated", 0):
        told.append(f"{samples:,} samples of an n-gram model")
    return ", ".join([*told[:-2], ", and ".join(told[-2:])])
