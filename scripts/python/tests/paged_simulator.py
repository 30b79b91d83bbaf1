"""A paged cache without an engine: blocks from a pool, requests at different phases in one batch, and the code that the vLLM
plugin runs (foresight_kv.paged). One layer."""

import torch

from foresight_kv.operators import STATISTICS
from foresight_kv.paged import RoundTensors, plan_rounds


class PagedSimulator:
    """Holds requests by name; `positions` [K, entries] and `evicted` (one [K, W] a step, ascending) say what each did."""

    def __init__(self, eviction, layer, kv_heads, group, width, blocks=40, block_size=16):
        self.eviction, self.layer, self.scale = eviction, layer, width**-0.5
        self.group, self.block_size = group, block_size
        shape = (blocks, kv_heads, block_size)
        self.values = torch.full((*shape, width), 7.0)
        self.keys = torch.full((blocks, kv_heads, width, block_size), 7.0).transpose(2, 3)
        self.statistics = torch.full((*shape, STATISTICS * group), 7.0)
        self.free = list(range(blocks))
        self.requests = {}

    def drop(self, name):
        """Ends a request, or preempts it: its blocks go back as they are."""
        self.free += self.requests.pop(name)["blocks"]

    def forward(self, batch):
        """batch: {name: (queries [H, T, d], keys [K, T, d], values [K, T, d])}; a name that is not there yet is a new request."""
        rows = []
        for name, (queries, _, _) in batch.items():
            heads = self.keys.shape[1]
            empty = {"blocks": [], "seen": 0, "taken": 0, "positions": torch.empty(heads, 0, dtype=torch.int64), "evicted": []}
            request = self.requests.setdefault(name, empty)
            wanted = self.eviction.places(request["seen"] + queries.shape[1], self.group)
            while len(request["blocks"]) * self.block_size < wanted:
                request["blocks"].append(self.free.pop(0))
            rows.append(request)
        columns = -(-self.eviction.places(1 << 30, self.group) // self.block_size)
        table = torch.tensor([(row["blocks"] + [0] * columns)[:columns] for row in rows], dtype=torch.int32)
        new = [queries.shape[1] for queries, _, _ in batch.values()]
        query, key, value = (torch.cat(parts, dim=1).transpose(0, 1) for parts in zip(*batch.values(), strict=True))
        for part in plan_rounds([row["seen"] for row in rows], new, self.eviction.budget, self.eviction.window):
            self._round(part, rows, table, query, key, value)
        for row, count in zip(rows, new, strict=True):
            row["seen"] += count

    def _round(self, part, rows, table, query, key, value):
        tensors = RoundTensors(part, table)
        slots = tensors.slots(self.block_size)
        blocks, places = slots // self.block_size, slots % self.block_size
        self.keys[blocks, :, places], self.values[blocks, :, places] = key[tensors.tokens], value[tensors.tokens]
        for row, count in zip(part.rows, part.tokens, strict=True):
            positions, heads = rows[row]["positions"], self.keys.shape[1]
            fresh = torch.arange(rows[row]["taken"], rows[row]["taken"] + count).expand(heads, count)
            rows[row]["positions"], rows[row]["taken"] = torch.cat([positions, fresh], dim=1), rows[row]["taken"] + count
        kept = self.eviction.observe(
            self.layer, tensors, query[tensors.tokens], self.keys, self.values, self.statistics, self.scale
        )
        for row, stays in zip(tensors.full_rows, kept if kept is not None else (), strict=True):
            positions, kept_positions = rows[row]["positions"], rows[row]["positions"].gather(1, stays.long())
            gone = [torch.tensor(sorted({*whole} - {*left})) for whole, left in zip(positions.tolist(), kept_positions.tolist())]
            rows[row]["evicted"].append(torch.stack(gone))
            rows[row]["positions"] = kept_positions
