"""vLLM plugin: requests hold ceil((budget + window) / block) blocks, as a scorer chooses (docs/serving.md).

On where FORESIGHT_SCORER names a scorer's file; without it vLLM is as it was. Entry point of vllm.general_plugins.
"""

import os


def register():
    """Called by vLLM in each of its processes. Raises ForesightError for a scorer, setting or version that cannot be used."""
    from .settings import SCORER, check_version, settings

    if not os.environ.get(SCORER):
        return
    check_version()
    settings()
    from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend

    # The CPU platform asks for this name whatever is chosen.
    register_backend(AttentionBackendEnum.CPU_ATTN, "foresight_kv.vllm.backend.ForesightBackend")
