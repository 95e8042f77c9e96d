"""Words for the products of an item: its films, dubs and evidence packs."""

from __future__ import annotations

from kb.service.products import OrderedProduct
from kb.ui.i18n import has_text, text
from kb.ui.widgets import messages


def ordered_text(product: OrderedProduct) -> str:
    """Return the state of a product with its progress and the time left."""
    words = f"{kind_text(product.kind)}: {text(f'step_{product.status}')}"
    if product.status == "running" and product.share:
        words += f" ({product.share:.0%})"
    if product.left_s is not None:
        words += f", {text('produce_left', time=messages.format_timedelta(product.left_s))}"
    return words


def kind_text(kind: str) -> str:
    """Return the name of a kind of product; one that is not known is shown as it is."""
    return text(f"produce_{kind}") if has_text(f"produce_{kind}") else kind


def style_text(name: str) -> str:
    """Return the name of a style of captions; one without a text is shown as it is."""
    return text(f"produce_style_{name}") if has_text(f"produce_style_{name}") else name
