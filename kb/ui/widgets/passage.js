// One passage to be heard and decided. The media element is rebuilt only when its address changes,
// the words only when their revision changes.

const cards = new WeakMap();
const AROUND_S = 0.5; // seconds played before and after the passage
const MORE_S = 4; // with the words around it
const SPEEDS = [1, 1.5, 0.75];

export default function (component) {
  const { data: [data], parentElement, setTriggerValue } = component;
  let card = cards.get(parentElement);
  if (!card) {
    card = begin(parentElement.querySelector(".kb"));
    cards.set(parentElement, card);
  }
  card.send = (decision) => setTriggerValue("decide", decision);
  card.data = data;
  card.waits = null;
  if (card.src !== data.src) load(card);
  if (card.rev !== data.rev) {
    const held = card.root.contains(card.root.getRootNode().activeElement);
    draw(card);
    // Space plays then: on the button of the decision it would decide the next passage unheard.
    if (held) (card.tools.firstChild || card.acts.firstChild)?.focus({ preventScroll: true });
    if (card.moved) play(card, AROUND_S);
    card.moved = false;
  }
  return listenOnPage(card.root, ["keydown"], card.keys);
}

function begin(root) {
  const card = { root, src: null, rev: null, until: null, edits: null, moved: false, speed: 0 };
  root.setAttribute("role", "region");
  card.stage = make("div", "stage");
  card.screen = make("div", "screen");
  card.bar = make("div", "bar");
  card.bar.setAttribute("aria-hidden", "true");
  card.bar.append(make("span", "stretch"), make("span", "head"));
  card.tools = make("div", "tools");
  card.stage.append(card.screen, card.bar, card.tools);
  card.list = make("ol", "lines");
  card.list.tabIndex = 0; // so that the keyboard scrolls it
  card.acts = make("div", "acts");
  card.help = make("small", "keys");
  const side = make("div");
  card.others = make("div", "others");
  side.append(card.list, card.acts, card.others, card.help);
  root.append(card.stage, side);
  card.keys = (event) => pressed(card, event);
  return card;
}

// Sound

function load(card) {
  const { data } = card;
  card.src = data.src;
  card.media = null;
  card.screen.replaceChildren();
  card.bar.hidden = !data.src;
  card.root.classList.toggle("narrow-stage", !data.picture);
  if (!data.src) {
    card.screen.append(make("div", "absent", data.texts.absent));
    return;
  }
  const media = makeMedia(data);
  for (const kind of ["timeupdate", "seeking"]) media.addEventListener(kind, () => follow(card));
  for (const kind of ["play", "pause"]) media.addEventListener(kind, () => name(card));
  card.screen.append(media);
  card.media = media;
}

function play(card, around) {
  const { media, data } = card;
  if (!media || data.whole) return;
  const go = () => {
    media.currentTime = Math.max(0, data.start - around) + data.offset;
    media.playbackRate = SPEEDS[card.speed];
    card.until = data.end + around;
    media.play().catch(() => {});
  };
  if (media.readyState >= 1) go();
  else media.addEventListener("loadedmetadata", go, { once: true });
}

function toggle(card) {
  if (card.media && !card.media.paused) card.media.pause();
  else play(card, AROUND_S);
}

function follow(card) {
  const { media, data } = card;
  const time = media.currentTime - data.offset;
  if (card.until !== null && time >= card.until) {
    card.until = null;
    media.pause();
  }
  if (data.duration)
    card.bar.querySelector(".head").style.left = `${(100 * time) / data.duration}%`;
}

function name(card) {
  const playing = card.media && !card.media.paused;
  const { texts } = card.data;
  if (card.player) card.player.firstChild.textContent = playing ? texts.pause : texts.play;
}

// Drawing

function draw(card) {
  const { data, root } = card;
  card.rev = data.rev;
  card.edits = null;
  card.until = null;
  root.setAttribute("aria-label", data.region);
  const stretch = card.bar.querySelector(".stretch");
  stretch.hidden = data.whole || !data.duration;
  if (data.duration) {
    stretch.style.left = `${(100 * data.start) / data.duration}%`;
    stretch.style.width = `${(100 * (data.end - data.start)) / data.duration}%`;
  }
  card.list.setAttribute("aria-label", data.texts.lines);
  card.list.hidden = data.whole;
  card.list.replaceChildren(...data.lines.map(line));
  card.list.querySelector(".inside")?.scrollIntoView({ block: "nearest" });
  buttons(card);
}

function line(found) {
  const row = make("li", found.inside ? "inside" : "around");
  const body = make("span");
  if (found.who) body.append(make("b", "", found.who));
  const cuts = new Set([0, found.text.length]);
  for (const [first, end] of found.tint) cuts.add(first).add(end);
  if (found.within) cuts.add(found.within[0]).add(found.within[1]);
  const places = [...cuts].sort((one, other) => one - other);
  for (let n = 0; n + 1 < places.length; n += 1) {
    const [from, to] = [places[n], places[n + 1]];
    const part = make("span", "", found.text.slice(from, to));
    const tint = found.tint.find(([first, end]) => first <= from && to <= end);
    if (tint) {
      part.classList.add(`t${tint[2]}`);
      part.title = tint[3];
    }
    if (found.within && found.within[0] <= from && to <= found.within[1])
      part.classList.add("within");
    body.append(part);
  }
  row.append(make("time", "", found.clock), body);
  return row;
}

function button(words, key, action, kind = "") {
  const made = make("button", kind);
  made.append(make("span", "", words));
  if (key) made.append(make("kbd", "", key));
  if (key) made.setAttribute("aria-keyshortcuts", key);
  made.addEventListener("click", action);
  return made;
}

function buttons(card) {
  const { data } = card;
  const { texts } = data;
  const there = Boolean(card.media) && !data.whole;
  card.player = button(texts.play, "Space", () => toggle(card));
  const around = button(texts.around, "W", () => play(card, MORE_S));
  const speed = button(`${SPEEDS[card.speed]} ×`, "S", () => faster(card));
  speed.title = texts.speed;
  speed.setAttribute("aria-label", `${texts.speed}: ${SPEEDS[card.speed]} ×`);
  redrawn(card.tools, there ? [card.player, around, speed] : []);
  const acts = [];
  const others = [];
  if (card.edits) {
    acts.push(button(texts.save, "Ctrl+Enter", () => save(card), "main"));
    acts.push(button(texts.cancel, "Esc", () => leave(card)));
  } else {
    if (!data.whole) {
      acts.push(button(texts.accept, "A", () => decide(card, "accept"), "main"));
      acts.push(button(texts.fix, "E", () => edit(card)));
    }
    const all = button(texts.accept_all, "", () => decide(card, "accept_all"));
    if (data.whole) {
      all.className = "main";
      acts.push(all);
    } else others.push(all);
    acts.push(button(texts.next, "N", () => decide(card, "next")));
    const back = button(texts.back, "B", () => decide(card, "back"));
    back.disabled = !data.back;
    others.unshift(back);
  }
  card.others.replaceChildren(...others);
  card.acts.replaceChildren(...acts);
  card.help.textContent = card.edits ? texts.keys_edit : texts.keys;
  name(card);
}

function faster(card) {
  card.speed = (card.speed + 1) % SPEEDS.length;
  if (card.media) card.media.playbackRate = SPEEDS[card.speed];
  buttons(card);
}

// Decisions

function decide(card, kind, more = {}) {
  const { data } = card;
  if (card.waits === data.rev) return; // sent already: the next passage is on its way
  card.waits = data.rev;
  card.moved = true;
  card.media?.pause();
  card.send({ kind, rev: data.rev, item: data.item, start: data.start, end: data.end, ...more });
}

function edit(card) {
  const { data } = card;
  if (card.edits || data.whole) return;
  const inside = data.lines.filter((each) => each.inside);
  card.edits = [];
  data.lines.forEach((each, number) => {
    if (!each.inside) return;
    const row = card.list.children[number];
    const area = make("textarea");
    area.value = each.text;
    area.rows = Math.min(6, 1 + Math.ceil(each.text.length / 60));
    area.setAttribute("aria-label", `${data.texts.edit_line}, ${each.clock}`);
    row.lastChild.replaceWith(area);
    card.edits.push([each, area]);
  });
  if (!inside.length) {
    const row = make("li", "inside");
    const area = make("textarea");
    area.rows = 2;
    area.setAttribute("aria-label", data.texts.insert);
    area.placeholder = data.texts.insert;
    row.append(make("time", "", "+"), area);
    const before = data.lines.filter((each) => each.before).length;
    card.list.insertBefore(row, card.list.children[before] ?? null);
    card.edits.push([null, area]);
  }
  for (const [, area] of card.edits)
    area.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") leave(card);
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save(card);
      else if (event.key === " " && event.ctrlKey) toggle(card);
      else return;
      event.preventDefault();
    });
  buttons(card);
  card.edits[0][1].focus();
}

function leave(card) {
  draw(card);
  card.acts.querySelector("button")?.focus();
}

function save(card) {
  const lines = [];
  let inserted = "";
  for (const [each, area] of card.edits) {
    const text = area.value.trim();
    if (!each) inserted = text;
    else if (text !== each.text) lines.push({ line: each.index, was: each.text, text });
  }
  const changed = lines.length || inserted;
  decide(card, changed ? "fix" : "accept", changed ? { lines, inserted } : {});
}

// Keys

function pressed(card, event) {
  if (!card.root.isConnected) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || card.edits) return;
  const target = event.composedPath()[0];
  const own = event.composedPath().includes(card.root);
  // Keys belong to the passage while it has the focus, or nothing has.
  if (!own && target !== document.body && target.tagName !== "HTML") return;
  if (target.matches?.("input, textarea, select, [contenteditable]")) return;
  const onButton = target.matches?.("button, a, video, audio");
  const key = event.key.toLowerCase();
  if (key === " " && onButton) return;
  const media = card.media;
  if (key === " " || key === "k") toggle(card);
  else if (key === "w") play(card, MORE_S);
  else if (key === "s") faster(card);
  else if (key === "e") edit(card);
  else if (key === "a") decide(card, card.data.whole ? "accept_all" : "accept");
  else if (key === "n") decide(card, "next");
  else if (key === "b" && card.data.back) decide(card, "back");
  else if ((key === "arrowleft" || key === "arrowright") && media && !onButton)
    media.currentTime += key === "arrowleft" ? -2 : 2;
  else return;
  event.preventDefault();
}
