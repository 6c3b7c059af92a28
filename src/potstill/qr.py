"""A student's file as a QR code."""

import segno

from potstill.errors import PotstillError

MOST = 2953  # bytes, in version 40 with the least error correction (ISO/IEC 18004)


def encode(data: bytes) -> segno.QRCode:
    """Make the smallest QR code that holds a file byte for byte.

    Raises:
        PotstillError: the file is larger than any QR code.
    """
    if len(data) > MOST:
        raise PotstillError(
            f"the student takes {len(data):,} bytes, and a QR code holds {MOST:,}: train one with fingerprints, "
            "`dvc exp run -S student.fingerprint_bits=4`, and if need be with a smaller `student.vocab_size` or "
            "`weight_bits`; or `make search BUDGET=2953 UNIT=bytes`"
        )
    return segno.make_qr(data, mode="byte", error="L", boost_error=False)
