"""From what was found to a volume in HU."""

from data.volumes.found import Found
from data.volumes.reasons import Reason
from data.volumes.volume import Volume


def read_volume(found: Found, accept: frozenset[Reason] = frozenset()) -> Volume:
    """The volume in HU. Raises VolumeError naming every reason that is not accepted."""
    raise NotImplementedError
