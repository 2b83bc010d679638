"""One patch that cannot be used. Not a ChainError: a patch is quarantined, the command goes on."""


class BadPatch(Exception):  # noqa: N818 - the word of the quarantine table
    """A patch that goes to the quarantine table. `reason`: a short phrase, with the remedy where there is one."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
