"""Python runs this at the start of every process of a hostile run: parents and children are watched alike."""

import os

if log := os.environ.get("HOSTILE_AUDIT_LOG"):
    from tests.hostile.audit import install

    install(log)
