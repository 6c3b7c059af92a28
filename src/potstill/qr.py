"""A student's file as a QR code."""

from pathlib import Path

import segno

from potstill.errors import PotstillError

MOST = 2953  # bytes, in version 40 with the least error correction (ISO/IEC 18004)


def encode(path: Path) -> segno.QRCode:
    """Make the smallest QR code that holds a file byte for byte.

    Raises:
        PotstillError: the file is larger than any QR code.
    """
    data = path.read_bytes()
    if len(data) > MOST:
        raise PotstillError(
            f"{path} has {len(data):,} bytes, and a QR code holds {MOST:,}: train a smaller student, with fewer "
            "`student.words`, `bits` or `fingerprint`; or `make search BUDGET=2953 UNIT=bytes`"
        )
    return segno.make_qr(data, mode="byte", error="L", boost_error=False)
