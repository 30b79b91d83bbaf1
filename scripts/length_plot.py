#!/usr/bin/env python3
"""Draws seconds of a pass under eviction over its length, with the line through them, from figures that scripts/benchmark.py kept.

usage: scripts/length_plot.py FIGURES.json PICTURE.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmark import linear_fit

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 640, 360, 64, 48, 20  # pixels
INK, GRID, LINE = "#1f2328", "#d8dee4", "#0969da"


def picture(points: list[tuple[int, float]]) -> str:
    slope, residual = linear_fit(points)
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points))
    most_x = points[-1][0]
    step_s = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if 6 * step >= points[-1][1])
    most_y = step_s * -(-points[-1][1] // step_s)

    def place(tokens: float, seconds: float) -> tuple[float, float]:
        return (LEFT + (WIDTH - LEFT - MARGIN) * tokens / most_x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - MARGIN) * seconds / most_y)

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = []
    for second in range(0, int(most_y) + 1, step_s):
        x, y = place(0, second)
        parts += [f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{WIDTH - MARGIN}" y2="{y:.1f}" stroke="{GRID}"/>', text(x - 8, y + 4, f"{second}", "end")]
    for tokens, _ in points:
        parts.append(text(place(tokens, 0)[0], HEIGHT - BOTTOM + 20, f"{tokens}"))
    ends = [place(tokens, max(0.0, mean_y + slope * (tokens - mean_x))) for tokens in (points[0][0], most_x)]
    (x1, y1), (x2, y2) = ends
    parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{LINE}" stroke-width="2"/>')
    for tokens, seconds in points:
        x, y = place(tokens, seconds)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{LINE}"/>')
    parts.append(text(LEFT + 12, MARGIN + 12, f"seconds; line: {1e3 * slope:.2f} ms a token, within {100 * residual:.1f} % of every point", "start"))
    parts.append(text((LEFT + WIDTH) / 2, HEIGHT - 8, "tokens of each of 4 rows"))
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'font-family="sans-serif" font-size="13" fill="{INK}">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n')


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    figures = json.loads(Path(sys.argv[1]).read_text())
    points = sorted((int(name.split("/")[1]), row["seconds"]) for name, row in figures.items() if name.startswith("evicted_pass_by_length/"))
    if len(points) < 2:
        sys.exit(f"error: {sys.argv[1]} has no figures of evicted_pass_by_length: measure with scripts/benchmark.py --only length --keep FILE")
    Path(sys.argv[2]).write_text(picture(points))
    return 0


if __name__ == "__main__":
    sys.exit(main())
