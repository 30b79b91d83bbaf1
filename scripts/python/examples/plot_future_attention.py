"""Plots the future attention of one head, as the oracle stage recorded it: which entries are still needed, and until when.

usage: python plot_future_attention.py ORACLE.h5 [OUT.png] [LAYER] [KV_HEAD]

The cells (# %%) run one by one in editors that know them.
"""

# %% What to plot
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from foresight_kv import OracleFile

if len(sys.argv) < 2:
    sys.exit(__doc__)
oracle = OracleFile(sys.argv[1])
target = Path(sys.argv[2] if len(sys.argv) > 2 else "future_attention.png")
layer = int(sys.argv[3]) if len(sys.argv) > 3 else oracle.layers // 2
kv_head = int(sys.argv[4]) if len(sys.argv) > 4 else 0
if not 0 <= kv_head < oracle.kv_heads:
    sys.exit(f"{oracle.path}: there is no KV head {kv_head}; choose one of 0 to {oracle.kv_heads - 1}")

# %% Read: rows are blocks of queries, columns are keys
attention = oracle.attention(layer)[kv_head]  # [N, L]
starts = np.arange(oracle.blocks) * oracle.block_tokens
ends = np.minimum(starts + oracle.block_tokens, oracle.tokens)
not_yet_there = np.arange(oracle.tokens) >= ends[:, None]
# The greatest attention that a key still gets from the second half of the text on: what the oracle evicts by.
half = oracle.blocks // 2
still_to_come = attention[half:].max(axis=0)[: starts[half]]
print(
    f"{oracle.trace_id}: {oracle.tokens} tokens, {np.mean(still_to_come < 1e-3):.0%} of the first {starts[half]} entries never "
    f"get 0.1 % of a block's attention again"
)

# %% Plot
figure, (map_axes, curve_axes) = plt.subplots(
    2, 1, figsize=(9, 8.4), height_ratios=(3.2, 1), sharex=True, layout="constrained"
)
colours = plt.get_cmap("viridis").copy()
colours.set_bad("white")
shown = np.ma.masked_array(np.maximum(attention, 1e-5), not_yet_there)
edges = (np.arange(oracle.tokens + 1), np.append(starts, oracle.tokens))
mesh = map_axes.pcolormesh(*edges, shown, cmap=colours, norm=LogNorm(1e-5, 1), rasterized=True)
bar = figure.colorbar(mesh, ax=map_axes, extend="min", pad=0.02)
bar.set_label(f"attention per query, mean over {oracle.block_tokens} queries (probability)")
map_axes.invert_yaxis()
map_axes.set_ylabel("query position (tokens)")
map_axes.set_title(f"Future attention of {oracle.trace_id}, layer {layer}, KV head {kv_head}")
map_axes.axhline(starts[half], color="tab:red", linewidth=1)

curve_axes.semilogy(np.maximum(still_to_come, 1e-5), linewidth=0.8, color="tab:red")
curve_axes.set_ylim(1e-5, 1)
curve_axes.set_xlim(0, oracle.tokens)
curve_axes.set_xlabel("key position (tokens)")
curve_axes.set_ylabel("probability")
curve_axes.set_title(f"Greatest attention still to come after token {starts[half]} (red line above)", fontsize=10)
curve_axes.grid(alpha=0.3)
for side in ("top", "right"):
    curve_axes.spines[side].set_visible(False)
figure.savefig(target, dpi=130)
print(f"wrote {target}")
