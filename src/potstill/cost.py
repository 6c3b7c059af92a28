"""What a stage costs: what its electricity and its machine's rent depend on."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from potstill import files


@contextmanager
def record_resources(path: Path) -> Iterator[None]:
    """Write what the block took to the JSON file `path`, unless it raises. A decorator too.

    The file holds `seconds`; `core_seconds`, of this process and those that it started and that have ended, the
    process's start included; and `peak_megabytes`, the most memory that one of them held. Work of an earlier run that
    was killed is not in it.
    """
    start = perf_counter()
    yield
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss: bytes there, kilobytes elsewhere
    facts = {
        "seconds": round(perf_counter() - start, 2),
        "core_seconds": round(sum(usage.ru_utime + usage.ru_stime for usage in used), 2),
        "peak_megabytes": round(max(usage.ru_maxrss for usage in used) / unit, 1),
    }
    files.write_json(path, {"resources": facts})
