"""What the command line asks of this machine and it has not: refused before anything is run."""

from stages.job import Hardware
from stages.process.absent import refuse_absent_gpu, refuse_absent_logger

HERE = ("in_process", "torchrun")  # others start the stages on machines whose devices are not known here


def refuse_absent(hardware: Hardware, launcher: str) -> None:
    """Raise ChainError (2) for a logger whose package is not installed, and for a GPU that is not there.

    launcher: the resolved one. The stages refuse both too, but only when a training begins: all patches are read then.
    """
    for name in hardware.loggers:
        refuse_absent_logger(name)
    if hardware.device == "cuda" and launcher in HERE:
        refuse_absent_gpu()
