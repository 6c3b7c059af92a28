"""Stage `export`: calibrate the student; write its model file, an ONNX model and a model card."""

from potstill.core.start import run

from potstill.core import files, paths, tracking
from potstill.core.params import section
from potstill.core.resources import record_resources
from potstill.export.build import build
from potstill.export.card import ONNX
from potstill.export.params import ExportParams
from potstill.runtime.guarantee import Guarantee
from potstill.runtime.model import FILE
from potstill.runtime.scope import FACT


@record_resources("export")
def main() -> None:
    """Read the trained student, the data and the teachers' predictions; write `models/export`."""
    predictions = {name: paths.METRICS / "teacher" / name for name in section("label").load().teachers}
    params = ExportParams.load()
    export, summary = build(paths.STUDENT, paths.PREPARED, paths.ENSEMBLE, predictions, params)
    with files.atomic_write(paths.EXPORT) as folder:
        folder.mkdir(parents=True)
        size, onnx_size = export.save(folder)
    temperature = export.student.temperature
    sizes = {"bytes": size, "onnx_bytes": onnx_size, "temperature": temperature}
    summary = sizes | summary | {"held_out": export.held_out}
    tracking.write_metrics(paths.METRICS / "export", "export", summary)
    if promise := Guarantee.of(export.student.facts):
        print(promise, promise.checked())
    print(f"{paths.EXPORT / FILE}: {size:,} bytes; {ONNX}: {onnx_size:,} bytes; temperature {temperature:g}")
    scope = export.student.facts.get(FACT)
    if scope and params.scope and scope["false_alarms"] > params.scope.false_alarms:
        print(
            f"export.scope: {scope['texts']:,} validation texts are too few to show a false-alarm rate of "
            f"{params.scope.false_alarms:g}; it is {scope['false_alarms']:.1%}."
        )


if __name__ == "__main__":
    run(main)
