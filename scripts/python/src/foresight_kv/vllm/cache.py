"""The KV cache of evicting requests: pages with statistics behind keys and values, and never more blocks than B + W need."""

from dataclasses import dataclass, fields

from vllm.v1.core.single_type_kv_cache_manager import FullAttentionManager
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheSpec
from vllm.v1.kv_cache_spec_registry import KVCacheSpecRegistry, register_kv_cache_spec

from ..paged import statistics_bytes


class BoundedManager(FullAttentionManager):
    """Blocks of requests whose entries close up in place: they are taken until B + W fit and kept to the end."""

    supports_fine_grained_hash_lookup = False

    def get_num_blocks_to_allocate(self, request_id, num_tokens, *arguments, **named):
        """As the base class, for at most B + W tokens."""
        return super().get_num_blocks_to_allocate(request_id, min(num_tokens, self.kv_cache_spec.entries), *arguments, **named)

    def allocate_new_blocks(self, request_id, num_tokens, num_tokens_main_model):
        """As the base class, for at most B + W tokens."""
        entries = self.kv_cache_spec.entries
        return super().allocate_new_blocks(request_id, min(num_tokens, entries), min(num_tokens_main_model, entries))

    def cache_blocks(self, *arguments, **named):
        """A block that is rewritten in place is no prefix of another request."""


# The registry fills itself with vLLM's own kinds only while it is empty: they have to be there before ours.
KVCacheSpecRegistry.get_manager_class(FullAttentionSpec(block_size=32, num_kv_heads=1, head_size=32, dtype=None))


@register_kv_cache_spec(manager_class=BoundedManager)
@dataclass(frozen=True, kw_only=True)
class ForesightSpec(FullAttentionSpec):
    """A layer's cache. entries: B + W; group: query heads per KV head, for the statistics behind each block."""

    entries: int
    group: int

    @classmethod
    def of(cls, spec, entries, group):
        """From vLLM's spec of the layer."""
        values = {field.name: getattr(spec, field.name) for field in fields(FullAttentionSpec) if field.init}
        return cls(**values, entries=entries, group=group)

    def __post_init__(self):
        super().__post_init__()
        padded = self.unpadded_page_size_bytes + statistics_bytes(self.block_size, self.num_kv_heads, self.group)
        object.__setattr__(self, "page_size_padded", padded)

    @property
    def prefix_cacheable(self):
        """Never."""
        return False

    def max_memory_usage_bytes(self, vllm_config):
        """Bytes of a request however long it gets."""
        tokens = min(vllm_config.model_config.max_model_len, self.entries)
        return -(-tokens // self.block_size) * self.page_size_bytes

    merge = classmethod(KVCacheSpec.merge.__func__)
