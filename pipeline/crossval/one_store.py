"""The patches of a cross-validation are decoded and stored once: its runs share the files by hard links."""

import logging
import os
import shutil

from pipeline.directory.layout import Layout
from pipeline.directory.lock import held
from pipeline.plan import STORE

LOG = logging.getLogger("patchchain")


def offer_store(done: Layout, run: Layout) -> None:
    """Lay the finished store of `done` into the staging of `run`, which verifies it and adopts it.

    Committed files are never written to, so two names of one file are as good as two files. Where the file system has
    no hard links nothing is offered, and `run` reads the sources itself.
    """
    staging = run.staging(STORE)
    if not done.stands(STORE) or run.stands(STORE) or staging.exists():
        return
    run.make()
    with held(run.lock, "crossval"):
        half = staging.with_name(f"{staging.name}.offered")
        shutil.rmtree(half, ignore_errors=True)  # of a killed attempt
        try:
            shutil.copytree(done.place(STORE), half / "out", copy_function=os.link)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(half, ignore_errors=True)
            LOG.info(f"{run.root} reads the patches again: they cannot be linked ({error})")
            return
        half.rename(staging)
