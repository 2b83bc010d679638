"""Patients by keyed hashes: under two keys one patient has two names, and nothing sees that they are one."""

from collections.abc import Sequence

from data.prepared import ID_KEY, key_of
from data.readers.base import Reader
from data.readers.prepared import Prepared


def warn_of_other_keys(sources: Sequence[Reader]) -> list[str]:
    """A warning where prepared directories name patients under different keys; else none. Their indexes are there."""
    named: dict[str, Prepared] = {}
    for source in sources:
        if isinstance(source, Prepared) and (key := key_of(source.path)):
            named.setdefault(key, source)
    if len(named) < 2:
        return []
    one, other, *_ = named.values()
    return [
        f"sources {one.name} and {other.name} name patients by hashes under different keys: a patient in both is taken "
        f"for two, and may train and judge. If they share any, prepare {other.name} into another directory with "
        f"prepare.id_key: {one.path / ID_KEY}, or with the file that {one.name} was given as that"
    ]
