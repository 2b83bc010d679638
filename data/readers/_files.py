"""What readers of image files share. Not a reader: names that begin with `_` are not discovered."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from data.errors import ChainError, ExitCode
from data.files.containment import Root, walk
from data.files.held import held_sha256
from data.files.regular import open_regular
from data.patches.read_off import Pattern, read_off
from data.patches.record import Record
from data.pixels.bad_patch import BadPatch
from data.readers.base import Reader

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp"}
# lie beside images for good reasons; anything else that is no image is counted and quarantined
PASSED_OVER = {".csv", ".json", ".txt"}
LEFT_BY_WINDOWS = {"thumbs.db", "desktop.ini"}
MAX_FILE_BYTES = 256 << 20


class TreeReader(Reader):
    """Image files below one folder; patient, slide and site may be read off the relative path."""

    path: Annotated[Path, Field(description="the folder")]
    patient_pattern: Annotated[
        Pattern | None,
        Field(description="regular expression searched in the relative path; its one group is the patient"),
    ] = None
    slide_pattern: Annotated[Pattern | None, Field(description="the same for the slide")] = None
    site_pattern: Annotated[Pattern | None, Field(description="the same for the site")] = None

    def files(self) -> Iterator[str]:
        """Relative POSIX paths, images or not, in byte order. Raises ChainError (66, 65)."""
        for key in walk(Root(self.path, f"source {self.name}"), f"source {self.name}"):
            name = PurePosixPath(key)
            if name.suffix.lower() not in PASSED_OVER and name.name.lower() not in LEFT_BY_WINDOWS:
                yield key

    def record(self, key: str, label: str) -> Record:
        """The record of one file. Raises ChainError: 65 a pattern does not match an image's path; as `read_off`."""
        if not is_image(key):
            return Record(key)  # its content is refused; it has no say in classes or groups
        return Record(
            key,
            label,
            patient=self._read_off(key, "patient_pattern", self.patient_pattern),
            slide=self._read_off(key, "slide_pattern", self.slide_pattern),
            site=self._read_off(key, "site_pattern", self.site_pattern),
        )

    def content(self, record: Record) -> bytes:
        """The file's bytes. Raises BadPatch when it is no image file, too large or unreadable."""
        if not is_image(record.key):
            raise BadPatch("not an image file")
        return read_image_file(self.path / record.key)

    def held(self, records: Iterable[Record]) -> str:
        """See Reader."""
        return held_sha256(self.path / record.key for record in records)

    def _read_off(self, key: str, field: str, pattern: str | None) -> str:
        if pattern is None:
            return ""
        found = read_off(pattern, key, f"source {self.name}: {field}")
        if not found:
            raise ChainError(
                f"source {self.name}: {field} {pattern!r} finds nothing in {key}",
                "a patch without its group could end up in two splits",
                f"correct {field}, or move the file elsewhere",
                ExitCode.BAD_DATA,
            )
        return found


def is_image(key: str) -> bool:
    """Whether a name promises an image."""
    return PurePosixPath(key).suffix.lower() in IMAGE_SUFFIXES


def read_image_file(path: Path) -> bytes:
    """A file's bytes. Raises BadPatch when it is too large or unreadable."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadPatch(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise BadPatch(f"larger than {MAX_FILE_BYTES >> 20} MiB: no patch")
    return content
