"""Names that do not identify: keyed hashes in place of patients, series, files and folders.

A plain hash of a patient's id can be undone by trying all ids; with a secret key it cannot. The same key gives the
same names, so that tables of the user's can be matched without their ids ever being written anywhere.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from data.errors import ChainError, ExitCode

KEY_BYTES = 32
SHORTEST_KEY = 16
LONGEST_KEY = 4096


def pseudonym(key: bytes, text: str) -> str:
    """16 hexadecimal digits: HMAC-SHA256 (RFC 2104) of the text under the key, cut to 64 bits."""
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:16]


def key_name(key: bytes) -> str:
    """Which key it is, for who would know whether two are the same; the key cannot be told from it."""
    return pseudonym(key, "which key this is")


def read_id_key(path: Path) -> bytes:
    """The secret in a file. Raises ChainError: 66 when it is missing or unreadable, 65 when it is too short."""
    try:
        with path.open("rb") as file:
            key = file.read(LONGEST_KEY + 1).strip()
    except OSError as error:
        raise ChainError("the file of id_key cannot be read", error.strerror or type(error).__name__,
                         "correct the path in `id_key`", ExitCode.MISSING) from None  # fmt: skip
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ChainError(
            f"the file of id_key holds {'more than ' if len(key) > LONGEST_KEY else ''}{len(key):,} bytes",
            f"a secret of {SHORTEST_KEY} to {LONGEST_KEY:,} bytes is expected",
            "write 64 random hexadecimal digits into it",
            ExitCode.BAD_DATA,
        )
    return key


def own_id_key(path: Path) -> bytes:
    """The secret in a file that is made, readable by its owner alone, when it is not there. Safe to call twice at once.

    Raises what `read_id_key` raises, and OSError when it cannot be written.
    """
    if not path.exists():
        made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
                file.flush()
                os.fsync(descriptor)
            # a link fails where the name exists, so that of two first calls one key wins and both read it
            with contextlib.suppress(FileExistsError):
                os.link(made, path)
        finally:
            made.unlink()
    return read_id_key(path)
