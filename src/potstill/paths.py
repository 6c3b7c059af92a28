"""Every path of the pipeline, once. Relative to the repository's root, where the stages run."""

from pathlib import Path

PARAMS = Path("params.yaml")

PREPARED = Path("data/prepared")
POOL = Path("data/pool")
LABEL = Path("data/label")
TRANSFER = Path("data/transfer")
EVALUATE = Path("data/evaluate")

BASELINE = Path("models/baseline")
TEACHER = Path("models/teacher")
STUDENT = Path("models/student")
EXPORT = Path("models/export")

METRICS = Path("metrics")

# Not declared to DVC, which deletes a stage's outs before it runs: what has to survive a kill
# (a teacher's checkpoints, the shards labelled so far) lives here until its stage is done.
SCRATCH = Path(".potstill")
