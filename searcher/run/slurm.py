"""A search as a script of Slurm."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

from searcher.run.launched import GRACE_SECONDS, Launched
from searcher.settings.cluster_settings import TOKEN

_TEMPLATE = Path(__file__).with_name("slurm.sh")


def render(launched: Launched) -> str:
    """Return the text of the script.

    Raises:
        SettingsError: the settings lack something.
    """
    end = "SETTINGS"
    while end in launched.text.splitlines():
        end += "_"
    cluster = launched.cluster
    on_the_head = [
        name for name, reference in cluster.secrets.items() if reference.nodes == "head" and name != TOKEN
    ]
    values = {
        "CACHE": launched.cache,
        "GRACE": str(GRACE_SECONDS),
        "LEAVE": str(GRACE_SECONDS - 5),
        "NAME": launched.name,
        "RESOURCES": "\n".join(f"#SBATCH {option}" for option in _resources(launched)),
        "SECRETS": "".join(
            # Sbatch passes its environment on. The name, never the value, is in what the shell says.
            f': "${{{name}:?cluster.secrets names it: set it where sbatch is called}}"\n'
            for name, reference in cluster.secrets.items()
            if not reference.optional
        ),
        "SETTINGS": launched.text.rstrip("\n"),
        "END": end,
        "CPUS": str(launched.need("cpus")),
        "GPUS": str(launched.need("gpus")),
        "RUN": shlex.quote(str(launched.settings.run_dir)),
        "WITHOUT": "".join(["env ", *(f"-u {name} " for name in on_the_head)]) if on_the_head else "",
    }
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], _TEMPLATE.read_text(encoding="utf-8"))


def _resources(launched: Launched) -> list[str]:
    """Return the options of sbatch."""
    slurm, gpus = launched.cluster.slurm, launched.need("gpus")
    minutes = math.ceil(launched.need("hours") * 60)
    options = [
        f"--nodes={launched.need('nodes')}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={launched.need('cpus')}",
        f"--mem={math.floor(launched.need('memory_gib') * 1024)}M",
        f"--time={minutes // 60}:{minutes % 60:02}:00",
    ]
    if gpus:
        options.append(f"--gpus-per-node={gpus}")
    named = {"partition": slurm.partition, "account": slurm.account}
    return options + [f"--{key}={value}" for key, value in named.items() if value is not None]
