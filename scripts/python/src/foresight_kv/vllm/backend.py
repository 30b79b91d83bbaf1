"""vLLM's CPU attention over caches that evict. The kernels are vLLM's own; what is added is foresight_kv.paged."""

import functools
import time

import torch
from vllm import _custom_ops as kernels
from vllm import envs
from vllm.config import get_current_vllm_config
from vllm.distributed import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.logger import init_logger
from vllm.model_executor.models.utils import extract_layer_index
from vllm.v1.attention.backends import cpu_attn

from ..operators import STATISTICS
from ..paged import Eviction, RoundTensors, plan_rounds
from .cache import ForesightSpec
from .metrics import metrics
from .settings import check_engine, check_layer, settings

logger = init_logger("vllm.foresight")  # below vllm, whose settings of its log only show what has its name

# Called behind every eviction with (layer, rows of the batch [n], what stayed [n, K, B] int32): for tests and debugging.
eviction_listeners = []


class ForesightBackend(cpu_attn.CPUAttentionBackend):
    """Takes CPU_ATTN's place (foresight_kv.vllm.register)."""

    forward_includes_kv_cache_update = True

    @classmethod
    def customize_spec(cls, spec):
        """Adds the limit on blocks, and to each page the statistics that the scorer needs."""
        if isinstance(spec, ForesightSpec):
            return spec
        return ForesightSpec.of(spec, settings())

    @staticmethod
    def get_impl_cls():
        """The attention of a layer."""
        return ForesightAttention

    @staticmethod
    def get_builder_cls():
        """What prepares a forward pass."""
        return ForesightMetadataBuilder


class EngineRound(RoundTensors):
    """A round with what vLLM's kernels ask for."""

    def __init__(self, part, block_table, builder):
        super().__init__(part, block_table)
        self.slot_mapping = self.slots(builder.block_size)
        self.schedule = kernels.cpu_attn_get_scheduler_metadata(
            num_reqs=len(part.rows),
            num_heads=builder.num_heads,
            num_kv_heads=builder.num_kv_heads,
            head_dim=builder.head_dim,
            seq_lens=self.live,
            dtype=builder.dtype,
            query_start_loc=self.query_start,
            causal=True,
            sliding_window_size=-1,
            isa=builder.isa,
            enable_kv_split=envs.VLLM_CPU_ATTN_SPLIT_KV,
            dynamic_causal=None,
            kv_cache_dtype=builder.kv_cache_dtype,
        )


class ForesightMetadataBuilder(cpu_attn.CPUAttentionMetadataBuilder):
    """Cuts a forward pass into rounds, in which each request stands in one place of the physical cache."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        if self.isa == "amx":  # keeps keys and values in pairs, which entries cannot be moved in
            self.isa = "vec"
            self._set_isa_to_layers(self.layer_names)

    def build(self, common_prefix_len, common_attn_metadata, fast_build=False):
        """A list of EngineRound; what a request has behind it is logical, where its entries lie follows from it."""
        common = common_attn_metadata
        starts = common.query_start_loc_cpu[: common.num_reqs + 1].tolist()
        ends = common.seq_lens[: common.num_reqs].tolist()
        new = [end - start for start, end in zip(starts, starts[1:], strict=False)]
        seen = [max(length - tokens, 0) for length, tokens in zip(ends, new, strict=True)]
        limits = settings()
        rounds = plan_rounds(seen, new, limits.budget, limits.window)
        evicting = sum(length >= limits.entries for length in ends)
        metrics().requests.set(evicting)
        table = common.block_table_tensor[: common.num_reqs]
        return [EngineRound(part, table, self) for part in rounds]


class ForesightAttention(cpu_attn.CPUAttentionBackendImpl):
    """A layer's attention: writes keys and values, attends, keeps the statistics, evicts."""

    def __init__(
        self, num_heads, head_size, scale, num_kv_heads, alibi_slopes, sliding_window, kv_cache_dtype,
        logits_soft_cap=None, attn_type="decoder", kv_sharing_target_layer_name=None, sinks=None,
    ):  # fmt: skip
        check_engine(get_current_vllm_config())
        check_layer(sliding_window, alibi_slopes, logits_soft_cap, attn_type, kv_sharing_target_layer_name, sinks, kv_cache_dtype)
        super().__init__(
            num_heads, head_size, scale, num_kv_heads, alibi_slopes, sliding_window, kv_cache_dtype,
            logits_soft_cap, attn_type, kv_sharing_target_layer_name, sinks,
        )  # fmt: skip
        self._eviction = _eviction(num_kv_heads)
        self._views = None

    def forward(self, layer, query, key, value, kv_cache, attn_metadata, output, output_scale=None, output_block_scale=None):
        """As CPUAttentionBackendImpl.forward; keys and values are written here too. attn_metadata: rounds, or None to warm up."""
        if attn_metadata is None:
            return output
        caches = self._caches(kv_cache)
        for part in attn_metadata:
            if part.whole:
                tokens = len(part.tokens)
                self._attend(layer, part, query[:tokens], key[:tokens], value[:tokens], caches, output[:tokens])
                continue
            own = output[part.tokens]
            self._attend(layer, part, query[part.tokens], key[part.tokens], value[part.tokens], caches, own)
            output[part.tokens] = own
        return output

    def _attend(self, layer, part, query, key, value, caches, output):
        key_cache, value_cache, keys, statistics = caches
        kernels.cpu_attn_reshape_and_cache(key, value, key_cache, value_cache, part.slot_mapping, layer.isa)
        kernels.cpu_attention_with_kv_cache(
            query=query,
            key_cache=key_cache,
            value_cache=value_cache,
            output=output,
            query_start_loc=part.query_start,
            seq_lens=part.live,
            scale=self.scale,
            causal=True,
            alibi_slopes=None,
            sliding_window=-1,
            block_table=part.table,
            softcap=0,
            scheduler_metadata=part.schedule,
            s_aux=None,
        )
        started = time.perf_counter()
        index = extract_layer_index(layer.layer_name)
        kept = self._eviction.observe(index, part, query, keys, value_cache, statistics, self.scale)
        metrics().milliseconds.inc(1000 * (time.perf_counter() - started))
        if kept is None:
            return
        metrics().entries.inc(len(kept) * self.num_kv_heads * self._eviction.window)
        if index == 0:
            metrics().evictions.inc(len(kept))
        for listener in eviction_listeners:
            listener(index, part.full_rows, kept)

    def _caches(self, kv_cache):
        """vLLM's view of keys and of values, keys as entries, statistics or None: views of one layer's pages."""
        if self._views is None or self._views[0].data_ptr() != kv_cache.data_ptr():
            blocks, heads, size, both = kv_cache.shape
            width, page = both // 2, kv_cache.stride(0)
            key_cache, value_cache = kv_cache.view(blocks, heads, 2 * size, width).chunk(2, dim=2)
            # The kernels keep the keys of a block and head transposed, [width, block size].
            keys = key_cache.as_strided((blocks, heads, size, width), (page, key_cache.stride(1), 1, size))
            self._views = (key_cache, value_cache, keys, None if settings().serving else self._statistics(kv_cache))
        return self._views

    def _statistics(self, kv_cache):
        """The statistics behind keys and values in the pages of a layer, [blocks, K, block size, 8g] float32."""
        blocks, heads, size, both = kv_cache.shape
        floats, bytes_of = STATISTICS * self.num_queries_per_kv, kv_cache.element_size()
        offset = (kv_cache.storage_offset() + heads * size * both) * bytes_of // 4
        strides = (kv_cache.stride(0) * bytes_of // 4, size * floats, floats, 1)
        return torch.empty(0, dtype=torch.float32).set_(
            kv_cache.untyped_storage(), offset, (blocks, heads, size, floats), strides
        )


@functools.lru_cache
def _eviction(kv_heads):
    """The eviction of this process's KV heads. A head's choice is its own: tensor parallel ranks exchange nothing."""
    found, ranks, rank = settings(), get_tensor_model_parallel_world_size(), get_tensor_model_parallel_rank()
    first = rank * found.scorer.kv_heads // ranks  # of heads that are split, or held by several ranks
    logger.info(
        "foresight: evicts by %s, budget %d, window %d, KV heads %d to %d",
        found.scorer.path, found.budget, found.window, first, first + kv_heads - 1,
    )  # fmt: skip
    return Eviction.of(found.scorer, found.budget, found.window, slice(first, first + kv_heads))
