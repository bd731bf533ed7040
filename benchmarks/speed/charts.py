"""Charts as SVG files that suit light and dark pages."""

import math
from html import escape

WIDTH = 760
COLOURS = ("#d1495b", "#2e86ab", "#3c9d6d", "#8e6bbf", "#c98a1b", "#5f7a8a", "#a0526b", "#4f6d2f")
STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#333}.quiet{fill:#777}.axis{stroke:#999}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.quiet{fill:#aaa}}</style>"
)


def svg(height: float, label: str, body: list[str]) -> str:
    box = f"0 0 {WIDTH} {height:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" aria-label="{escape(label)}">'
    return "\n".join([head, STYLE, *body, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def bars(title: str, groups: list[tuple[str, list[tuple[str, float, str]]]], colours: dict[str, str]) -> str:
    """Horizontal bars in groups: a name, a number and its text each."""
    most = max(number for _, found in groups for _, number, _ in found)
    body, y = [text(0, 16, title)], 34.0
    for heading, found in groups:
        body.append(text(0, y + 12, heading, "quiet"))
        y += 20
        for name, number, words in found:
            length = 480 * number / most
            body.append(text(108, y + 13, name, anchor="end"))
            body.append(f'<rect x="116" y="{y:.1f}" width="{length:.1f}" height="16" rx="2" fill="{colours[name]}"/>')
            body.append(text(122 + length, y + 13, words))
            y += 21
        y += 10
    return svg(y, title, body)


def lines(title: str, curves: list[tuple[str, list[tuple[float, float]]]], colours: dict[str, str]) -> str:
    """Logloss over seconds of training, on a logarithmic axis. A tool with a single point is a dot."""
    left, right, top, bottom = 60.0, 620.0, 34.0, 300.0
    points = [point for _, curve in curves for point in curve]
    low, high = min(x for x, _ in points), max(x for x, _ in points) * 1.01
    best, worst = min(y for _, y in points), max(y for _, y in points) + 1e-4
    # What differs is near the best: a first pass far above it may leave the chart.
    worst = min(worst, best + 3 * max(1e-3, sorted(y for _, y in points)[len(points) // 2] - best))

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = left + (right - left) * math.log(point[0] / low) / math.log(high / low)
        return x, bottom - (bottom - top) * (min(point[1], worst) - best) / (worst - best)

    body = [text(0, 16, title)]
    body.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" class="axis"/>')
    for share in (0, 0.5, 1):
        logloss = best + share * (worst - best)
        body.append(text(left - 6, place((low, logloss))[1] + 4, f"{logloss:.3f}", "quiet", "end"))
    ticks = [scale * 10**power for power in range(-3, 6) for scale in (1, 2, 5)]
    for tick in [tick for tick in ticks if low <= tick <= high]:
        body.append(text(place((tick, best))[0], bottom + 18, f"{tick:g} s", "quiet", "middle"))
    for i, (name, curve) in enumerate(curves):
        places = [place(point) for point in curve]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in places]
        body.append(f'<rect x="640" y="{top + 22 * i:.1f}" width="12" height="12" rx="2" fill="{colours[name]}"/>')
        body.append(text(658, top + 22 * i + 11, name))
    return svg(bottom + 30, title, body)


def palette(names: list[str]) -> dict[str, str]:
    """A colour for each tool; ours is the first."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
