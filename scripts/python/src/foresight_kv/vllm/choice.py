"""Which attention vLLM gets when it asks for the CPU's: ours where a scorer is named, else its own.

Whether one is named is known when a model is made, and not when plugins are loaded: --additional-config is a part of the
engine's config.
"""

import os

from .settings import SCORER, check_version, configure, section_of


def take_place_of_cpu_attention():
    """Lets vLLM ask here. A vLLM without this registry is left alone: the plugin refuses it where a scorer is named."""
    try:
        from vllm.v1.attention.backends.registry import AttentionBackendEnum, register_backend
    except ImportError:
        return
    # The CPU platform asks for this name whatever is chosen.
    register_backend(AttentionBackendEnum.CPU_ATTN, f"{__name__}.Backend")


def __getattr__(name):
    """`Backend` is looked up anew each time that vLLM chooses a backend."""
    if name != "Backend":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from vllm.config import get_current_vllm_config_or_none

    config = get_current_vllm_config_or_none()
    if not (os.environ.get(SCORER) or section_of(config)):
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        return CPUAttentionBackend
    check_version()
    if config is not None:
        configure(config)
    from .backend import ForesightBackend

    return ForesightBackend
