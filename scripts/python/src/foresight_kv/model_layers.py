"""Which layers of a transformers model evict, and the cache that fits them."""

from transformers import DynamicCache

from .errors import ForesightError


def evicting_layers(config):
    """The numbers of a transformers model's layers with full attention, as the C++ program counts them. May be none.

    Raises ForesightError for a model with recurrent layers, whose cache is of a class that nothing can be evicted from.
    """
    if "linear_attention" in (getattr(config, "layer_types", None) or []):
        raise ForesightError(
            f"press: {config.model_type} has recurrent layers, and transformers 5.2.0 keeps their state and the keys of all layers "
            "in a cache of its own, from which the press cannot evict; generate with the C++ program"
        )
    window, longest = getattr(config, "sliding_window", None), config.max_position_embeddings
    usual = "sliding_attention" if window else "full_attention"
    kinds = getattr(config, "layer_types", None) or [usual] * config.num_hidden_layers
    if window and window >= longest:  # every query sees its whole text
        return list(range(config.num_hidden_layers))
    return [layer for layer, kind in enumerate(kinds) if kind == "full_attention"]


def new_cache(model):
    """A cache that the press can evict from: of a model with layers of two kinds, those that slide keep their window."""
    config = model.config.get_text_config(decoder=True)
    if len(evicting_layers(config)) == config.num_hidden_layers:
        return DynamicCache()
    return DynamicCache(config=config)
