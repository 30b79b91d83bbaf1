"""vLLM plugin: requests hold ceil((budget + window) / block) blocks, as a scorer chooses (docs/serving.md).

On where FORESIGHT_SCORER, or "foresight" in --additional-config, names a scorer's file; without it vLLM is as it was. Entry
point of vllm.general_plugins.
"""

import os


def register():
    """Called by vLLM in each of its processes. Raises ForesightError for a scorer, setting or version that cannot be used."""
    from .settings import SCORER, check_version, settings

    if os.environ.get(SCORER):
        check_version()
        settings()
    from .choice import take_place_of_cpu_attention

    take_place_of_cpu_attention()
