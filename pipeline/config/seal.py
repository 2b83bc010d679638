"""The first line of a run's config.yaml: a digest of the others, so that `verify` sees a changed byte there too."""

import hashlib
import re

SEAL = re.compile(r"# sha256:([0-9a-f]{64}) of what follows; edited by hand it is read all the same\n")


def sealed_text(text: str) -> str:
    """`text` under its digest."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"# sha256:{digest} of what follows; edited by hand it is read all the same\n{text}"


def seal_holds(text: str) -> bool:
    """Whether it is as it was written. Of what was written before there were seals nothing can be said: True."""
    if not text.startswith("#"):
        return text.startswith("seed:")
    seal = SEAL.match(text)
    return seal is not None and seal[1] == hashlib.sha256(text[seal.end() :].encode()).hexdigest()
