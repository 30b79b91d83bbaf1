"""The KV cache of evicting requests: never more blocks than B + W need, and pages with the statistics that a scorer needs."""

from dataclasses import dataclass, fields

from vllm.v1.core.single_type_kv_cache_manager import FullAttentionManager
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheSpec
from vllm.v1.kv_cache_spec_registry import KVCacheSpecRegistry, register_kv_cache_spec

from ..paged import statistics_bytes
from ..paged_serving import query_places, request_places


class BoundedManager(FullAttentionManager):
    """Blocks of requests whose entries close up in place: they are taken until B + W fit and kept to the end."""

    supports_fine_grained_hash_lookup = False

    def get_num_blocks_to_allocate(self, request_id, num_tokens, *arguments, **named):
        """As the base class, for at most the places of B + W tokens."""
        return super().get_num_blocks_to_allocate(request_id, self.kv_cache_spec.places(num_tokens), *arguments, **named)

    def allocate_new_blocks(self, request_id, num_tokens, num_tokens_main_model):
        """As the base class, for at most the places of B + W tokens."""
        places = self.kv_cache_spec.places
        return super().allocate_new_blocks(request_id, places(num_tokens), places(num_tokens_main_model))

    def cache_blocks(self, *arguments, **named):
        """A block that is rewritten in place is no prefix of another request."""


# The registry fills itself with vLLM's own kinds only while it is empty: they have to be there before ours.
KVCacheSpecRegistry.get_manager_class(FullAttentionSpec(block_size=32, num_kv_heads=1, head_size=32, dtype=None))


@register_kv_cache_spec(manager_class=BoundedManager)
@dataclass(frozen=True, kw_only=True)
class ForesightSpec(FullAttentionSpec):
    """A layer's cache of requests with `budget` entries and a window.

    group: query heads per KV head, for the statistics behind each block; 0 without. spare: places behind the entries for a
    window's last queries; 0 without.
    """

    budget: int
    window: int
    group: int
    spare: int

    @classmethod
    def of(cls, spec, settings):
        """From vLLM's spec of the layer and the plugin's Settings."""
        values = {field.name: getattr(spec, field.name) for field in fields(FullAttentionSpec) if field.init}
        group = settings.group(spec.head_size)
        own = {"group": 0, "spare": query_places(settings.window, group)} if settings.serving else {"group": group, "spare": 0}
        return cls(**values, budget=settings.budget, window=settings.window, **own)

    def places(self, tokens):
        """Entries that a request of so many tokens needs room for."""
        return request_places(tokens, self.budget, self.window, self.spare)

    def __post_init__(self):
        super().__post_init__()
        if self.group == 0:
            return  # a page is that of vLLM
        padded = self.unpadded_page_size_bytes + statistics_bytes(self.block_size, self.num_kv_heads, self.group)
        object.__setattr__(self, "page_size_padded", padded)

    @property
    def prefix_cacheable(self):
        """Never."""
        return False

    def max_memory_usage_bytes(self, vllm_config):
        """Bytes of a request however long it gets."""
        return -(-self.places(vllm_config.model_config.max_model_len) // self.block_size) * self.page_size_bytes

    merge = classmethod(KVCacheSpec.merge.__func__)
