"""Libraries kept silent while they read: their warnings quote what stands in a file, down to a patient's name."""

import contextlib
import logging
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import SimpleITK
from pydicom import config as pydicom_config
from pydicom.errors import BytesLengthException, InvalidDicomError

T = TypeVar("T")

# everything a parser is known to raise on bytes that are not what they say; MemoryError: of a size that is a lie
PARSER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warning and no log line of pydicom, GDCM or ITK. Not meant to be entered from several threads at once."""
    log = logging.getLogger("pydicom")
    level, shown = log.level, SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    settings = pydicom_config.settings
    before = settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.setLevel(logging.CRITICAL + 1)
        settings.reading_validation_mode = pydicom_config.IGNORE
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
        try:
            yield
        finally:
            SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)
            settings.reading_validation_mode = before
            log.setLevel(level)


@contextlib.contextmanager
def mute() -> Iterator[None]:
    """Standard error of the whole process to nowhere: niftilib and zlib write file names to it, whatever they are told.

    For the moment of one read; what Python has to say is flushed before and said after.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        before = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def attempt(read: Callable[[], T]) -> T | None:
    """What `read` returns; None when a parser fails.

    The parser's exception ends here, its text unread: not even as the context of the refusal that follows does it
    reach a log.
    """
    try:
        return read()
    except PARSER_ERRORS:
        return None
