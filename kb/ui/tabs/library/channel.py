"""The page of one channel: its recordings in numbers, following, speakers, vocabulary, parts."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service.catalogue import ListFilter
from kb.service.channels import RECURRING_ITEMS, ChannelView
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.tabs.library import channel_words, filters
from kb.ui.tabs.settings import follow_texts
from kb.ui.widgets import charts, messages
from kb.ui.widgets.player import format_timestamp

_MONTHS = 36  # the newest ones of the chart
_SPEAKERS = 40
_SOURCES = "sources"  # the field of the tab Add


def render(name: str) -> None:
    """Draw the page."""
    with st.container(key="item-head", gap="xxsmall"):
        st.button(
            f"← {text('channel_back')}", on_click=session.close_channel, type="tertiary",
            key="channel-back",
        )  # fmt: skip
        st.markdown(f"### {messages.escape_markdown(name)}")
    try:
        view = session.service().channels.view(name)
    except KBError as error:
        if error.code == "channel.unknown":
            st.info(text("channel_unknown"))
        else:
            messages.error(error)
        return
    messages.show_flash(place(name))
    _figures(view)
    st.button(
        text("channel_list"), key="channel-list", type="primary", on_click=_show_items,
        args=(ListFilter(channel=(name,)),),
    )  # fmt: skip
    _following(view)
    _months(view)
    _speakers(view)
    channel_words.vocabulary(name, place(name))
    channel_words.corrections(name, place(name))
    _recurring(view)


def place(name: str) -> str:
    """Return the key of the messages about a channel's buttons."""
    return f"channel-{name}"


def _figures(view: ChannelView) -> None:
    facts = [
        ("channel_items", format_number(len(view.rows))),
        ("channel_length", messages.format_timedelta(view.seconds)),
        ("channel_words", format_number(view.words)),
        ("channel_review", format_number(view.to_review)),
    ]
    if view.expected_errors is not None:
        facts.append(("fact_errors", messages.format_share(view.expected_errors)))
    if view.known is not None:
        taken, known = format_number(view.taken_in), format_number(view.known)
        facts.append(("channel_taken", text("channel_of", count=taken, known=known)))
    with st.container(horizontal=True, key="figures-channel"):
        for label, value in facts:
            st.metric(text(label), value, border=True, width="content")


def _show_items(wanted: ListFilter) -> None:
    filters.choose(wanted)
    session.close_channel()


def _following(view: ChannelView) -> None:
    st.markdown(f"**{text('channel_follow_title')}**")
    if view.followed is not None:
        state = view.followed
        numbers = messages.escape_markdown(follow_texts.numbers(state))
        st.markdown(text("channel_followed", numbers=numbers))
        st.caption(messages.escape_markdown(follow_texts.last_look(state)))
        st.button(
            text("channel_follow_settings"), key="channel-follow-settings",
            on_click=session.go_to, args=("tab_settings", "follow"),
        )  # fmt: skip
        return
    st.markdown(text("channel_not_followed"))
    if view.address:
        st.button(text("channel_follow"), key="channel-follow", on_click=_follow,
                  args=(view.address,))  # fmt: skip


def _follow(address: str) -> None:
    """Name the channel on Add, where it is followed with all options."""
    st.session_state[_SOURCES] = address
    session.go_to("tab_add")


def _months(view: ChannelView) -> None:
    if not view.months:
        return
    st.markdown(f"**{text('channel_months')}**")
    months = view.months[-_MONTHS:]
    hours = [round(month.seconds / 3600, 2) for month in months]
    values = ", ".join(
        f"{month.name}: {format_number(value, 1)}"
        for month, value in zip(months, hours, strict=True)
    )
    charts.bars(
        [month.name for month in months], hours, x_label=text("channel_month"),
        y_label=text("channel_hours"), alt=text("channel_months_alt", values=values),
    )  # fmt: skip


def _speakers(view: ChannelView) -> None:
    st.markdown(f"**{text('channel_speakers')}**")
    if not view.speakers:
        st.caption(text("channel_speakers_none"))
        return
    with st.container(horizontal=True, key="channel-speakers", gap="small"):
        for who, count in list(view.speakers.items())[:_SPEAKERS]:
            label = text("channel_speaker", name=messages.escape_markdown(who), count=count)
            st.button(label, key=f"channel-speaker-{who}", on_click=_show_items,
                      args=(ListFilter(channel=(view.name,), speaker=(who,)),))  # fmt: skip


def _recurring(view: ChannelView) -> None:
    part = st.expander(text("channel_recurring"), key="channel-recurring", on_change="rerun")
    if not part.open:
        return
    with part:
        st.caption(text("channel_recurring_help", count=min(RECURRING_ITEMS, len(view.rows))))
        try:
            found = session.service().channels.recurring(view)
        except KBError as error:
            messages.error(error)
            return
        if not found:
            st.markdown(text("channel_recurring_none"))
        for row, stretches in found:
            st.markdown(f"**{messages.escape_markdown(row.entry.item.title)}**")
            with st.container(horizontal=True, key=f"channel-recurring-{row.id}", gap="small"):
                for each in stretches:
                    start, end = format_timestamp(each.start_s), format_timestamp(each.end_s)
                    st.button(
                        text("channel_recurring_row", start=start, end=end, count=each.items),
                        key=f"recurring-{row.id}-{each.start_s}", type="tertiary",
                        on_click=session.open_item, args=(row.id, each.start_s),
                    )  # fmt: skip
