"""The `export` section."""

from typing import ClassVar

from potstill.core.params import Section


class ExportParams(Section):
    """What the exported files hold; `params.yaml` documents each key."""

    section: ClassVar[str] = "export"

    keep_vocabulary: bool = False
    profile: bool = True
