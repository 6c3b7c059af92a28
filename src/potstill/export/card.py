"""The model card, with which the exported folder can be pushed to the Hugging Face hub."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from potstill.core.markdown import code, escape
from potstill.data.sources import VARIANTS
from potstill.export.to_onnx import takes_text
from potstill.runtime.guarantee import FACT as GUARANTEE
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import FILE, Student
from potstill.runtime.scope import FACT, sentence
from potstill.runtime.transformer.model import Transformer

ONNX = "model.onnx"
SHOWN = 50  # classes named on the card at most


def card(student: Student | Transformer, sources: Mapping[str, int], size: int, onnx_size: int) -> str:
    """Return the text of the card, which begins with the hub's metadata.

    Args:
        student: the exported student, with its facts.
        sources: the number of texts of the transfer set that it was trained on, by source.
        size: bytes of the model file.
        onnx_size: bytes of the ONNX model.
    """
    facts = student.facts
    split = "test" if "test" in facts["metrics"] else "validation"
    tested = facts["metrics"][split]
    multi_label = student.thresholds is not None
    metrics = {"accuracy": tested["accuracy"], "f1": tested["macro_f1"]}
    if not multi_label:
        metrics["matthews_correlation"] = tested["matthews"]
    results = (
        []
        if split in facts.get("labelled_by_teacher", [])
        else [
            EvalResult("text-classification", "potstill", f"{split} split", kind, value)
            for kind, value in metrics.items()
        ]
    )
    metadata = ModelCardData(
        model_name="student",
        eval_results=results or None,
        library_name="potstill",
        metrics=list(metrics) if results else None,
        pipeline_tag="text-classification",
        tags=["distillation", *(["multi-label-classification"] if multi_label else []), "onnx", "potstill"],
    )
    rows = facts["rows"]
    if isinstance(student, Student):
        vocabulary, runs_in = f"vocabulary of {len(student.vocabulary.entries):,} words", "numpy"
        onnx_input = "text"
        if not takes_text(student.vocabulary):
            onnx_input = "ids of embedding rows, as `vocabulary.encode` gives them"
        unknown = "All words outside the vocabulary share one embedding."
        if student.vocabulary.subwords:
            vocabulary += " and pieces of words"
            unknown = (
                "Words outside the vocabulary are split into pieces; those with an unknown part share one embedding."
            )
    else:
        layers, tokens = student.shape.layers, student.shape.vocabulary
        vocabulary, runs_in = f"{layers} layers of its teacher, {tokens:,} of its tokens", "`potstill[transformer]`"
        onnx_input = "ids of tokens, as `student.encode` gives them, -1 where a text has ended"
        unknown = "It runs in onnxruntime only: there is no page and no QR code of it."
    by_teacher = facts.get("labelled_by_teacher", [])
    low, high = tested["accuracy_low"], tested["accuracy_high"]
    classes = ", ".join(map(code, student.labels[:SHOWN]))
    if len(student.labels) > SHOWN:
        classes += f" and {len(student.labels) - SHOWN:,} others (`potstill inspect --json {FILE}` lists them)"
    teachers = [f"{escape(name)} (test accuracy {share:.2%})" for name, share in facts["teachers"].items()]
    for name in facts.get("untested_teachers", ()):
        note = " (without predictions for some test texts)" if split == "test" and not by_teacher else ""
        teachers.append(escape(name) + note)
    choice, score, second_score = "one", "accuracy", "Matthews correlation"
    if multi_label:
        choice, score, second_score = "any", "exact match", "micro-F1"
    if split in by_teacher:
        score = "agreement with its teacher"
    second = tested["micro_f1" if multi_label else "matthews"]
    tested_on = "The test texts are of the same domain as the training data."
    if split == "validation":
        tested_on = "There were no test texts. Validation also chose the student, so its scores are optimistic."
    scope, outputs = "", ["label", "probabilities", *(["answered"] if GUARANTEE in facts else [])]
    if FACT in facts:
        scope = f"`student.in_scope(texts)` finds some of them: {sentence(facts[FACT])}. "
        outputs.append("in_scope")
    if split in by_teacher:
        tested_on += (
            "\nAll scores are against the labels that its teacher predicts, as nobody has labelled the texts: how "
            "often they are right is unknown."
        )
    body = f"""
# A text classifier in {size:,} bytes

It assigns each text {choice} of {len(student.labels):,} classes: {classes}. It was distilled with
potstill {facts["version"]} from {" and ".join(teachers)}.

| | |
| --- | --- |
| network | {student.architecture}, {student.parameters:,} parameters, {vocabulary} |
| {score} | {tested["accuracy"]:.2%} (95% CI {low:.2%} to {high:.2%}), {rows[split]:,} {split} texts |
| macro-F1, {second_score} | {tested["macro_f1"]:.4f}, {second:.4f} |
| calibration | temperature {student.temperature:g}, expected calibration error {tested["calibration_error"]:.4f} |
| training data | {_training_data(sources, "validation" not in by_teacher)} |{_guarantee(facts)}

## Use

```python
from potstill import Student

student = Student.load("{FILE}")
student.predict(["a text", "another"])
```

`{FILE}` ({size:,} bytes) requires potstill and {runs_in}; `potstill inspect {FILE}` shows the facts in it.
`{ONNX}` ({onnx_size:,} bytes; input: {onnx_input}; output: {", ".join(outputs)}) requires onnxruntime.

## Limitations

{unknown} On texts of another domain or language than the training data,
predictions are less accurate but not less confident. {scope}{tested_on}
"""
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n{body}"))


def _guarantee(facts: Mapping[str, Any]) -> str:
    """Return the row of the guarantee, if there is one."""
    found = Guarantee.of(facts)
    return f"\n| guarantee | {found} {found.checked()}".rstrip() + " |" if found else ""


def _training_data(sources: Mapping[str, int], is_labelled: bool) -> str:
    """Return how many texts of each kind the student was trained on; whether somebody has labelled the train texts."""
    counts = {"labelled": sources.get("train", 0), "unlabelled": sources.get("unlabelled", 0)}
    if not is_labelled:
        counts = {"unlabelled": sum(counts.values())}
    real = " and ".join(f"{number:,} {kind}" for kind, number in counts.items() if number)
    parts = [f"{real} texts"] if real else []
    if variants := sum(sources.get(kind, 0) for kind in VARIANTS):
        parts.append(f"{variants:,} variants of {'them' if real else 'its texts'}")
    if samples := sources.get("generated", 0):
        parts.append(f"{samples:,} samples of an n-gram model")
    return ", ".join([*parts[:-2], ", and ".join(parts[-2:])])
