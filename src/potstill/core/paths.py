"""Every path of the pipeline, relative to the repository's root, where the stages run."""

from pathlib import Path

PARAMS = Path("params.yaml")

PREPARED = Path("data/prepared")
POOL = Path("data/pool")
LABEL = Path("data/label")
ENSEMBLE = Path("data/ensemble")
EVALUATE = Path("data/evaluate")

BASELINE = Path("models/baseline")
TEACHER = Path("models/teacher")
STUDENT = Path("models/student")
EXPORT = Path("models/export")

METRICS = Path("metrics")

# What a killed stage resumes from: a teacher's checkpoints, the shards labelled so far. It is not an out, because DVC
# deletes a stage's outs before it runs.
SCRATCH = Path(".potstill")

# The time and memory that each stage took when it last ran on this machine. It is not an out either: nothing depends on
# it, and it differs from run to run.
RESOURCES = SCRATCH / "resources"
