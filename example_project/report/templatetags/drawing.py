"""Small drawings that need no script."""

from __future__ import annotations

from collections.abc import Sequence

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()
WIDTH, HEIGHT = 110, 26


@register.simple_tag
def sparkline(values: Sequence[int]) -> SafeString:
    """The values as a small line over a tinted area, in the colour of the text around it."""
    most, steps = max(values, default=0) or 1, max(1, len(values) - 1)
    points = [f"{i * WIDTH / steps:.1f},{HEIGHT - 2 - v * (HEIGHT - 4) / most:.1f}" for i, v in enumerate(values)]
    line = " ".join(points)
    return format_html(
        '<svg class="spark" viewBox="0 0 {0} {1}" width="{0}" height="{1}" aria-hidden="true">'
        '<polygon points="0,{1} {2} {0},{1}"/><polyline points="{2}"/></svg>',
        WIDTH,
        HEIGHT,
        line,
    )
