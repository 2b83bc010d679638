"""Starts fake ranks as torchrun, or srun, starts real ones: each in a session of its own, with its place told.

They suffice for tests of how ranks are watched: they are processes with beats and reports, and what they do in
between is said by the section of their job (see `fake_rank`). None imports torch.
"""

import os
import subprocess
import sys
import time
from pathlib import Path


def main(words: list[str]) -> int:
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    command = words[words.index("-m") + 2 :]
    as_srun = Path(sys.argv[0]).name == "srun"
    count = int(flags["ntasks"] if as_srun else flags["nproc-per-node"])
    names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID") if as_srun else ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.fake_rank", *command],
            env={**os.environ, **dict(zip(names, (str(rank), str(count), str(rank)), strict=True))},
            start_new_session=True,
        )
        for rank in range(count)
    ]
    codes = []
    while len(codes) < count:  # as torchrun does: the first one that fails ends all
        for rank in ranks:
            if rank.poll() is not None and rank not in codes:
                codes.append(rank)
                if rank.returncode:
                    for other in ranks:
                        other.terminate()
        time.sleep(0.05)
    return max(abs(rank.returncode) for rank in ranks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
