"""`check` of the section `prepare`: what there is to prepare, and what would be refused.

Known from headers, tables and annotations; no pixel is read.
"""

import secrets
from collections.abc import Iterator

from data.errors import ChainError, ExitCode
from data.preparation import Preparation, Refusal, Unit
from pipeline.prepare.opening import list_units
from pipeline.prepare.rows import named, reason_of
from pipeline.views.text_table import count

SHOWN = 20


def check(preparation: Preparation) -> Iterator[str]:
    """Lines "ok ..." and "warning ...". Raises ChainError: 65 when all fail, or more than may; 66 without any input."""
    # names under a key of this moment: the directory that holds the lasting one is not named here
    lasting = preparation.secret()
    listed = list_units(preparation, lasting or secrets.token_bytes(32))
    refused = [one for one in (_looked_at(preparation, one) for one in listed) if isinstance(one, Refusal)]
    one, several = preparation.noun
    good = len(listed) - len(refused)
    yield (
        f"ok       prepare: {count(good)} {one if good == 1 else several} to be cut into patches of "
        f"{preparation.patch_words()}"
    )
    for slip in preparation.slips():
        yield f"warning  {slip}"
    for refusal in refused[:SHOWN]:
        reason = named(refusal.shown, reason_of(refusal.shown, refusal.error))
        yield f"warning  {reason}; {refusal.error.todo}"
    if len(refused) > SHOWN:
        yield f"warning  and {len(refused) - SHOWN:,} more {several} that would be refused"
    if refused and preparation.keyed and lasting is None:
        yield (
            f"warning  {several} are named here under a key of this moment, which leads back to no file: the names in "
            "the table that `prepare` writes do, and these where prepare.id_key is set"
        )
    over = len(refused) > preparation.failure_limit * len(listed)
    if refused and (over or not good):
        first = refused[0]
        raise ChainError(
            f"{len(refused):,} of {len(listed):,} {one if len(listed) == 1 else several} would be refused; "
            + (f"prepare.failure_limit is {preparation.failure_limit:.3g}" if over else "none is left"),
            named(first.shown, reason_of(first.shown, first.error)),
            first.error.todo + ("; or raise prepare.failure_limit, so that the others count" if good else ""),
            ExitCode.BAD_DATA,
        )


def _looked_at(preparation: Preparation, one: Unit | Refusal) -> Unit | Refusal:
    if isinstance(one, Unit):
        try:
            preparation.look_beside(one)
        except ChainError as error:
            return Refusal(one.name, one.shown, error)
    return one
