"""The Review tab: held and doubtful items, the most uncertain first."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service.review import ReviewItem
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.widgets import messages

SHOWN = 50  # items; each is read from its transcript


def render() -> None:
    """Draw the tab."""
    review = session.service().review
    try:
        count = review.count()
        found = list(review.waiting(SHOWN))
    except KBError as error:
        messages.error(error)
        return
    if not count:
        st.info(f"{text('review_empty')}\n\n{text('review_empty_hint')}")
        return
    st.caption(plural_text("review_waiting", count))
    for one in found:
        _item(one)
    if count > len(found):
        st.caption(plural_text("review_more", count - len(found)))


def _item(one: ReviewItem) -> None:
    first_s = one.spans[0].start_s if one.spans else None
    with st.container(border=True, key=f"review-{one.item.id}", gap="xxsmall"):
        st.button(
            f"**{messages.escape_markdown(one.item.title)}**",
            key=f"review-open-{one.item.id}",
            type="tertiary",
            on_click=session.open_item,
            args=(one.item.id, first_s),
        )
        facts = [messages.colored_state(one.state)]
        if one.grade:
            facts.append(text("review_grade", grade=one.grade))
        if one.spans:
            seconds = format_number(sum(span.end_s - span.start_s for span in one.spans), 1)
            facts.append(plural_text("review_spans", len(one.spans), seconds=seconds))
        if one.expected_errors is not None:
            facts.append(messages.escape_markdown(messages.likely_wrong(one.expected_errors)))
        facts += [messages.escape_markdown(each) for each in (one.item.channel,) if each]
        st.markdown(" · ".join(facts))
