"""From what was found to a volume in HU."""

from collections.abc import Collection

from data.volumes.found import Found
from data.volumes.reasons import Reason
from data.volumes.volume import Volume


def read_volume(found: Found, accept: Collection[Reason] = frozenset()) -> Volume:
    """The volume in HU, on the axes it is stored with (`Volume.oriented` turns it), mended where that is accepted.

    Needs of `found` its pseudonym, kind and paths. Raises VolumeError naming every reason that is not accepted.
    """
    if found.kind == "dicom":
        from data.volumes.dicom import read_series

        return read_series(found.pseudonym, found.paths, accept)
    from data.volumes.sitk_files import read_file

    return read_file(found.pseudonym, found.paths[0], found.kind, accept)
