"""Player and transcript side by side: a line jumps to its second, without a run of the script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from kb.types import Segment, SpeechSpan
from kb.ui.texts import text

_HTML = """
<div class="kb">
  <div class="stage">
    <div class="screen"></div>
    <div class="line" hidden><span class="track"></span><span class="head"></span></div>
    <p class="note" hidden></p>
  </div>
  <ol class="lines" tabindex="-1"></ol>
</div>
"""

_CSS = """
:host { display: block; container-type: inline-size; }
.kb { display: grid; min-height: 22rem; grid-template-columns: minmax(0, 11fr) minmax(0, 9fr);
  gap: 1.25rem;
  font-family: var(--st-font); color: var(--st-text-color); font-size: 0.95rem; }
.stage { min-width: 0; }
video { width: 100%; aspect-ratio: 16 / 9; background: #000; border-radius: 0.5rem;
  display: block; }
audio { width: 100%; display: block; }
.absent { padding: 1.5rem; border-radius: 0.5rem; text-align: center;
  background: var(--st-secondary-background-color); }
.line { position: relative; height: 14px; margin-top: 0.6rem; border-radius: 7px;
  background: color-mix(in srgb, var(--st-primary-color) 22%, transparent); overflow: hidden; }
.track { position: absolute; inset: 0; cursor: pointer; }
.head { position: absolute; top: 0; bottom: 0; width: 2px; background: var(--st-text-color);
  pointer-events: none; }
.gap { position: absolute; top: 0; bottom: 0; min-width: 4px; padding: 0; border: 0;
  background: #d9822b; cursor: pointer; }
.note { margin: 0.4rem 0 0; font-size: 0.82rem; opacity: 0.85; }
.note i { display: inline-block; width: 0.7em; height: 0.7em; border-radius: 2px;
  background: #d9822b; margin-right: 0.4em; }
.lines { list-style: none; margin: 0; padding: 0.25rem; overflow-y: auto; height: 0;
  min-height: 100%; border: 1px solid var(--st-border-color); border-radius: 0.5rem;
  box-sizing: border-box; scrollbar-width: thin; position: relative; }
.lines button { display: grid; grid-template-columns: 3.4rem 1fr; width: 100%; border: 0;
  background: none; color: inherit; font: inherit; text-align: left; line-height: 1.45;
  padding: 0.3rem 0.5rem; border-radius: 0.35rem; cursor: pointer; }
.lines button:hover { background: var(--st-secondary-background-color); }
.lines button:focus-visible, .gap:focus-visible { outline: 2px solid var(--st-primary-color);
  outline-offset: -2px; }
.lines time { opacity: 0.72; font-variant-numeric: tabular-nums; font-size: 0.85em;
  line-height: 1.7; }
.lines .now { background: color-mix(in srgb, var(--st-primary-color) 16%, transparent);
  box-shadow: inset 3px 0 0 var(--st-primary-color); }
mark { background: color-mix(in srgb, #f5a623 42%, transparent); color: inherit;
  border-radius: 3px; padding: 0 1px; }
.empty { padding: 1rem; opacity: 0.8; }
@container (max-width: 700px) {
  .kb { grid-template-columns: minmax(0, 1fr); gap: 0.8rem; min-height: 0; }
  .lines { height: auto; min-height: 0; max-height: 24rem; }
}
"""

# Drawn once for each revision of the data; runs of the script that change nothing touch nothing.
_JS = """
const players = new WeakMap();
const NEAR_S = 0.05;  // a player may stop a hair before the second it was sent to

export default function (component) {
  const { data, parentElement } = component;
  let player = players.get(parentElement);
  if (!player) {
    player = { root: parentElement.querySelector(".kb"), rev: null, wish: null, now: -1 };
    players.set(parentElement, player);
  }
  if (player.rev !== data.rev) build(player, data);
  if (player.wish !== data.wish) {
    player.wish = data.wish;
    if (data.start !== null) seek(player, data.start, false);
  }
}

function make(tag, name, words) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (words) element.textContent = words;
  return element;
}

function build(player, data) {
  player.rev = data.rev;
  player.wish = null;
  player.now = -1;
  player.lines = data.lines;
  const screen = player.root.querySelector(".screen");
  screen.replaceChildren();
  player.media = null;
  if (data.src) {
    const media = make(data.picture ? "video" : "audio");
    media.controls = true;
    media.preload = "metadata";
    media.playsInline = true;
    media.setAttribute("aria-label", data.label);
    media.src = data.src;
    media.addEventListener("timeupdate", () => follow(player));
    media.addEventListener("seeking", () => follow(player));
    screen.append(media);
    player.media = media;
  } else {
    screen.append(make("div", "absent", data.texts.absent));
  }
  drawLine(player, data);
  const list = player.root.querySelector(".lines");
  list.setAttribute("aria-label", data.texts.lines);
  player.rows = data.lines.map(([start, clock, words]) => {
    const button = make("button");
    button.type = "button";
    button.append(make("time", "", clock), marked(words, data.marks));
    button.addEventListener("click", () => seek(player, start, true));
    const row = make("li");
    row.append(button);
    return row;
  });
  list.replaceChildren(...player.rows);
  if (!player.rows.length) list.append(make("li", "empty", data.texts.empty));
}

function marked(words, marks) {
  const body = make("span");
  const wanted = new Set(marks);
  for (const part of words.split(/([\\p{L}\\p{N}]+)/u)) {
    body.append(wanted.has(part.toLowerCase()) ? make("mark", "", part) : part);
  }
  return body;
}

function drawLine(player, data) {
  const line = player.root.querySelector(".line");
  const note = player.root.querySelector(".note");
  const shown = Boolean(data.src && data.duration);
  line.hidden = !shown;
  note.hidden = !(shown && data.gaps.length);
  if (!shown) return;
  player.duration = data.duration;
  line.querySelectorAll(".gap").forEach((gap) => gap.remove());
  const track = line.querySelector(".track");
  track.onclick = (event) => {
    const box = line.getBoundingClientRect();
    seek(player, ((event.clientX - box.left) / box.width) * data.duration, true);
  };
  for (const [start, end, label] of data.gaps) {
    const gap = make("button", "gap");
    gap.type = "button";
    gap.title = label;
    gap.setAttribute("aria-label", label);
    gap.style.left = `${(100 * start) / data.duration}%`;
    gap.style.width = `${(100 * (end - start)) / data.duration}%`;
    gap.addEventListener("click", () => seek(player, start, true));
    track.after(gap);
  }
  note.replaceChildren(make("i"), data.texts.gaps);
}

function seek(player, seconds, play) {
  const media = player.media;
  if (!media) return;
  const go = () => {
    media.currentTime = seconds;
    follow(player);
    if (play) media.play().catch(() => {});
  };
  if (media.readyState >= 1) go();
  else media.addEventListener("loadedmetadata", go, { once: true });
}

function follow(player) {
  const time = player.media.currentTime + NEAR_S;
  const head = player.root.querySelector(".head");
  if (player.duration) head.style.left = `${(100 * time) / player.duration}%`;
  let low = 0;
  let high = player.lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (player.lines[middle][0] <= time) low = middle + 1;
    else high = middle;
  }
  const now = low - 1;
  if (now === player.now) return;
  const before = player.rows[player.now]?.firstChild;
  before?.classList.remove("now");
  before?.removeAttribute("aria-current");
  player.now = now;
  const button = player.rows[now]?.firstChild;
  if (!button) return;
  button.classList.add("now");
  button.setAttribute("aria-current", "true");
  const list = button.closest(".lines");
  const top = button.offsetTop;
  if (top < list.scrollTop || top + button.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 3;
  }
}
"""

_mount = st.components.v2.component("kb_player", html=_HTML, css=_CSS, js=_JS)


@dataclass(frozen=True, slots=True)
class Scene:
    """What the player shows: `source` is the medium's address, "" when there is none.

    `revision` names this content: the same one again draws nothing anew. `start_s` is where
    to begin, for the `wish`-th time of asking; `marks` are words to mark, in lower case.
    """

    revision: str
    title: str
    source: str
    picture: bool
    duration_s: float
    segments: Sequence[Segment]
    gaps: Sequence[SpeechSpan] = ()
    marks: Sequence[str] = ()
    start_s: float | None = None
    wish: int = 0


def player(scene: Scene, *, key: str) -> None:
    """Draw player and transcript."""
    _mount(key=key, data=as_data(scene))


def as_data(scene: Scene) -> dict[str, Any]:
    """The scene as the component's JSON."""
    return {
        "rev": "|".join((scene.revision, *scene.marks)),
        "wish": scene.wish,
        "start": scene.start_s,
        "src": scene.source,
        "picture": scene.picture,
        "duration": scene.duration_s,
        "label": text("player_alt", title=scene.title),
        "lines": [[s.start_s, clock(s.start_s), s.text] for s in scene.segments],
        "gaps": [
            [g.start_s, g.end_s, text("player_gap", start=clock(g.start_s))] for g in scene.gaps
        ],
        "marks": list(scene.marks),
        "texts": {
            "absent": text("no_media"),
            "lines": text("player_lines"),
            "gaps": text("player_gaps"),
            "empty": text("player_no_words"),
        },
    }


def clock(seconds: float) -> str:
    """A second of a medium as players show it: rounded down, `M:SS` or `H:MM:SS`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
