"""The time and memory that a stage takes."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from potstill.core import files, paths


@contextmanager
def record_resources(name: str) -> Iterator[None]:
    """Write the resources that the block used to `paths.RESOURCES`, unless it raises. Also a decorator.

    The file holds `seconds`; `core_seconds`, of this process since its start and of its child processes that have
    ended; and `peak_megabytes`, the largest resident memory of one of them. Work of an earlier, killed run is not
    included.

    Args:
        name: of the stage, such as `teacher/minilm`.
    """
    start = perf_counter()
    yield
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes on macOS, in kilobytes elsewhere
    facts = {
        "seconds": round(perf_counter() - start, 2),
        "core_seconds": round(sum(usage.ru_utime + usage.ru_stime for usage in used), 2),
        "peak_megabytes": round(max(usage.ru_maxrss for usage in used) / unit, 1),
    }
    files.write_json(paths.RESOURCES / f"{name}.json", facts)
