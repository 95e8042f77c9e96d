// Player and transcript. The media element is rebuilt only when its address changes, the lines
// only when their revision changes; other runs of the script change nothing.

const players = new WeakMap();
const NEAR_S = 0.05; // a player may stop slightly before the requested time
const AROUND_S = 0.5; // seconds played before and after a gap
const HANDS_OFF_MS = 4000; // after a scroll by the user, the list does not follow playback
const CHIPS = 12;
const WORD = /([\p{L}\p{N}]+)/u;

export default function (component) {
  const { data: [data], parentElement, setTriggerValue } = component;
  let player = players.get(parentElement);
  if (!player) {
    player = begin(parentElement.querySelector(".kb"));
    players.set(parentElement, player);
  }
  player.save = (edit) => setTriggerValue("edit", edit);
  player.texts = data.texts;
  if (player.src !== data.src || player.item !== data.item) load(player, data);
  if (player.rev !== data.rev) draw(player, data);
  if (player.wish !== data.wish) {
    player.wish = data.wish;
    if (data.start !== null) seek(player, data.start, false);
  }
  return listenOnPage(player.root, ["keydown"], player.keys);
}

function begin(root) {
  const player = { root, rev: null, src: null, item: null, wish: null, now: -1, active: 0 };
  const pick = (name) => root.querySelector(name);
  player.list = pick(".lines");
  player.input = pick(".find input");
  player.count = pick(".find output");
  player.input.addEventListener("input", () => find(player));
  player.input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") step(player, event.shiftKey ? -1 : 1);
    else if (event.key === "Escape" && player.input.value) {
      player.input.value = "";
      find(player);
    } else return;
    event.preventDefault();
  });
  pick(".find .before").addEventListener("click", () => step(player, -1));
  pick(".find .after").addEventListener("click", () => step(player, 1));
  pick(".bar").addEventListener("click", (event) => {
    const box = pick(".bar").getBoundingClientRect();
    seek(player, ((event.clientX - box.left) / box.width) * player.duration, true);
  });
  for (const kind of ["wheel", "touchmove", "pointerdown"])
    player.list.addEventListener(kind, () => (player.hands = Date.now()), { passive: true });
  player.list.addEventListener("keydown", (event) => move(player, event));
  player.list.addEventListener("focusin", (event) => {
    const number = (player.rows || []).indexOf(event.target.closest("li"));
    if (number >= 0 && number !== player.active) reach(player, number);
  });
  beginTools(player);
  beginClip(player);
  beginDock(player);
  return player;
}

// Playback

function load(player, data) {
  player.src = data.src;
  player.item = data.item;
  player.clipAddress = data.clip;
  player.duration = data.duration;
  player.offset = data.offset; // the medium's start on the browser's clock
  player.wish = null;
  player.until = null;
  player.input.value = "";
  const { screen } = player;
  screen.replaceChildren();
  player.media = null;
  dock(player);
  if (!data.src) {
    screen.append(make("div", "absent", data.texts.absent));
    loadWave(player, data);
    return;
  }
  const media = makeMedia(data);
  media.defaultPlaybackRate = player.pace;
  for (const kind of ["timeupdate", "seeking"]) media.addEventListener(kind, () => follow(player));
  media.addEventListener("play", () => useDock(player, true));
  screen.append(media);
  player.media = media;
  loadWave(player, data);
}

function seek(player, seconds, play, until = null) {
  const media = player.media;
  if (!media) return;
  const go = () => {
    player.until = until;
    media.currentTime = Math.max(0, seconds) + player.offset;
    player.hands = 0;
    follow(player);
    useDock(player, play);
    if (play) media.play().catch(() => {});
  };
  if (media.readyState >= 1) go();
  else media.addEventListener("loadedmetadata", go, { once: true });
}

function listen(player, start, end) {
  seek(player, start - AROUND_S, true, end + AROUND_S);
}

function follow(player) {
  const time = player.media.currentTime - player.offset + NEAR_S;
  if (player.until !== null && time >= player.until) {
    player.until = null;
    player.media.pause();
  }
  if (player.duration)
    for (const head of player.root.querySelectorAll(".head"))
      head.style.left = `${(100 * time) / player.duration}%`;
  let low = 0;
  let high = player.lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (player.lines[middle][0] <= time) low = middle + 1;
    else high = middle;
  }
  const now = low - 1;
  if (now === player.now) return;
  current(player, player.now, false);
  player.now = now;
  current(player, now, true);
  const busy = player.editing !== null || Date.now() - (player.hands || 0) < HANDS_OFF_MS;
  if (player.rows[now] && !busy) show(player, now);
}

function current(player, number, on) {
  const row = player.rows[number];
  if (!row) return;
  row.classList.toggle("now", on);
  const button = row.querySelector(".go");
  if (!button) return;
  if (on) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

function show(player, number) {
  const row = player.rows[number];
  const list = player.list;
  const top = row.offsetTop;
  if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight)
    list.scrollTop = top - list.clientHeight / 3;
}

// Drawing

function draw(player, data) {
  const same = player.drawn === data.item;
  const scrolled = player.list.scrollTop;
  const held = player.list.contains(player.root.getRootNode().activeElement);
  player.rev = data.rev;
  player.drawn = data.item;
  player.now = -1;
  player.editing = null;
  player.lines = data.lines;
  player.marks = new Set(data.marks);
  player.editable = data.editable;
  player.duration = data.duration;
  const { texts } = data;
  player.input.placeholder = texts.find;
  player.input.setAttribute("aria-label", texts.find);
  for (const [name, words] of [["before", texts.before], ["after", texts.after]]) {
    const button = player.root.querySelector(`.find .${name}`);
    button.title = words;
    button.setAttribute("aria-label", words);
  }
  player.root.querySelector(".find").hidden = !data.lines.length;
  drawTools(player);
  drawBar(player, data);
  drawChips(player, "gaps", texts.gaps, data.gaps, ([start, end, words, label]) =>
    chip(words, label, () => listen(player, start, end)),
  );
  drawChips(player, "doubts", texts.doubts, data.doubts, ([start, end, words, label]) =>
    chip(words, label, () => listen(player, start, end)),
  );
  drawChips(player, "chapters", texts.chapters, data.chapters, ([start, clock, title]) => {
    const button = make("button");
    button.append(make("time", "", clock), make("span", "", title));
    button.addEventListener("click", () => seek(player, start, true));
    return button;
  });
  player.list.setAttribute("aria-label", texts.lines);
  player.rows = data.lines.map((line, number) => drawLine(player, line, number));
  player.list.replaceChildren(...player.rows);
  if (!player.rows.length) player.list.append(make("li", "empty", texts.empty));
  player.active = same ? Math.min(player.active, player.rows.length - 1) : 0;
  reach(player, Math.max(0, player.active));
  if (held) player.rows[player.active]?.querySelector(".go").focus({ preventScroll: true });
  if (same) player.list.scrollTop = scrolled;
  find(player, same ? player.at : -1);
  if (player.media) follow(player);
  showStretch(player);
}

function chip(words, label, action) {
  const button = make("button", "", words);
  button.setAttribute("aria-label", label);
  button.title = label;
  button.addEventListener("click", action);
  return button;
}

function drawChips(player, name, heading, rows, made) {
  const part = player.root.querySelector(`.part.${name}`);
  part.hidden = !rows.length || (name !== "chapters" && !player.media);
  const head = part.querySelector("h4");
  head.replaceChildren(make("i"), heading);
  if (name === "chapters") head.firstChild.remove();
  const list = part.querySelector(".chips");
  const items = rows.map((row) => {
    const item = make("li");
    item.append(made(row));
    return item;
  });
  const few = name === "chapters" ? items.length : CHIPS;
  list.replaceChildren(...items.slice(0, few));
  if (items.length <= few) return;
  const more = make("li");
  const button = make("button", "", `+ ${items.length - few}`);
  button.setAttribute("aria-label", player.texts.more);
  button.addEventListener("click", () => {
    more.replaceWith(...items.slice(few));
    items[few].firstChild.focus();
  });
  more.append(button);
  list.append(more);
}

function drawBar(player, data) {
  const bar = player.root.querySelector(".bar");
  const shown = Boolean(data.src && data.duration);
  bar.hidden = !shown;
  bar.querySelectorAll(".gap, .doubt, .tick").forEach((each) => each.remove());
  if (!shown) return;
  const place = (name, start, end, label) => {
    const mark = make("span", name);
    mark.style.left = `${(100 * start) / data.duration}%`;
    if (end !== null) {
      mark.style.width = `${(100 * (end - start)) / data.duration}%`;
      mark.title = label;
      mark.addEventListener("click", (event) => {
        event.stopPropagation();
        listen(player, start, end);
      });
    }
    bar.prepend(mark);
  };
  for (const [start, end, , label] of data.gaps) place("gap", start, end, label);
  for (const [start, end, , label] of data.doubts) place("doubt", start, end, label);
  for (const [start] of data.chapters) if (start > 0) place("tick", start, null, "");
}

function drawLine(player, [start, clock, words, kind, who, tint], number) {
  const row = make("li", kind);
  const go = make("button", "go");
  go.tabIndex = -1;
  const body = make("span");
  go.append(make("time", "", clock), body);
  go.addEventListener("click", () => {
    reach(player, number);
    seek(player, start, true);
  });
  if (who) row.append(make("b", "who", who));
  row.append(go);
  mark(player, body, words, [], tint);
  if (player.editable) {
    const pen = make("button", "pen", "✎");
    pen.tabIndex = -1;
    pen.title = player.texts.edit;
    pen.setAttribute("aria-label", `${player.texts.edit}, ${clock}`);
    pen.addEventListener("click", () => edit(player, number));
    row.append(pen);
  }
  return row;
}

// Mark the words of a search, those that are unsure, and the places found by Find, in a line.
function mark(player, body, words, places, tint, chosen = -1) {
  body.replaceChildren();
  let from = 0;
  places.forEach(([start, end], number) => {
    tinted(player, body, words, tint, from, start);
    const name = number === chosen ? "this" : "found";
    body.append(make("mark", name, words.slice(start, end)));
    from = end;
  });
  tinted(player, body, words, tint, from, words.length);
}

// Append the characters `from` to `to` of a line, with its unsure words tinted.
function tinted(player, body, words, tint, from, to) {
  let at = from;
  for (const [first, end, strength, said] of tint) {
    const [start, stop] = [Math.max(first, at), Math.min(end, to)];
    if (start >= stop) continue;
    marked(player, body, words.slice(at, start));
    const part = make("span", `t${strength}`);
    part.title = said;
    marked(player, part, words.slice(start, stop));
    body.append(part);
    at = stop;
  }
  marked(player, body, words.slice(at, to));
}

function marked(player, place, words) {
  for (const part of words.split(WORD))
    place.append(player.marks.has(part.toLowerCase()) ? make("mark", "", part) : part);
}

// Only one line has a tab stop (roving tabindex); arrow keys move it to other lines.

function reach(player, number) {
  for (const [which, index] of [[player.active, -1], [number, 0]]) {
    const row = player.rows[which];
    row?.querySelectorAll("button").forEach((button) => (button.tabIndex = index));
  }
  player.active = number;
}

function move(player, event) {
  if (player.editing !== null || event.ctrlKey || event.metaKey || event.altKey) return;
  const last = player.rows.length - 1;
  const to = {
    ArrowDown: Math.min(last, player.active + 1),
    ArrowUp: Math.max(0, player.active - 1),
    Home: 0,
    End: last,
  }[event.key];
  if (event.key === "F2" || event.key === "e") edit(player, player.active);
  else if (to === undefined || last < 0) return;
  else {
    reach(player, to);
    player.rows[to].querySelector(".go").focus();
    show(player, to);
  }
  event.preventDefault();
}

// Find

function fold(words) {
  // Each letter is folded to one letter, so that positions in both texts are equal.
  return Array.from({ length: words.length }, (_, at) => {
    const letter = words[at].normalize("NFD")[0].toLowerCase();
    return letter.length === 1 ? letter : words[at];
  }).join("");
}

function find(player, at = -1) {
  const before = player.found || [];
  for (const [number] of before) redraw(player, number, []);
  const wanted = fold(player.input.value.trim());
  player.found = [];
  player.at = -1;
  if (wanted) {
    player.lines.forEach(([, , words], number) => {
      const text = fold(words);
      for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length))
        player.found.push([number, at, at + wanted.length]);
    });
  }
  for (const number of new Set(player.found.map(([row]) => row))) paint(player, number);
  player.root.querySelectorAll(".find button").forEach((b) => (b.disabled = !player.found.length));
  if (at >= 0 && player.found.length) player.at = Math.min(at, player.found.length) - 1;
  if (player.found.length) step(player, 1);
  else player.count.textContent = wanted ? "0" : "";
}

function step(player, by) {
  const { found } = player;
  if (!found.length) return;
  const before = player.at;
  player.at = (Math.max(player.at, by < 0 ? 0 : -1) + by + found.length) % found.length;
  if (before >= 0) paint(player, found[before][0]);
  const [row] = found[player.at];
  paint(player, row);
  player.hands = Date.now();
  reach(player, row);
  show(player, row);
  player.count.textContent = `${player.at + 1} / ${found.length}`;
}

function paint(player, number) {
  const here = player.found.filter(([row]) => row === number);
  const chosen = player.at < 0 ? -1 : here.indexOf(player.found[player.at]);
  redraw(player, number, here.map(([, start, end]) => [start, end]), chosen);
}

function redraw(player, number, places, chosen = -1) {
  const body = player.rows[number]?.querySelector(".go > span");
  if (body) mark(player, body, player.lines[number][2], places, player.lines[number][5], chosen);
}

// Edit

function edit(player, number) {
  if (!player.editable || player.editing !== null) return;
  const row = player.rows[number];
  const [start, clock, words] = player.lines[number];
  const { texts } = player;
  const before = [...row.childNodes];
  const form = make("div", "editor");
  const area = make("textarea");
  area.value = words;
  area.rows = Math.min(6, 1 + Math.ceil(words.length / 48));
  area.setAttribute("aria-label", `${texts.edit}, ${clock}`);
  const save = make("button", "save", texts.save);
  const cancel = make("button", "", texts.cancel);
  const hear = make("button", "", `▶ ${clock}`);
  const buttons = make("div");
  buttons.append(save, cancel, hear);
  form.append(area, buttons, make("small", "", texts.keys));
  const close = () => {
    player.editing = null;
    row.replaceChildren(...before);
    reach(player, number);
    row.querySelector(".go").focus();
  };
  const send = () => {
    const text = area.value.trim();
    if (!text || text === words) return close();
    for (const each of [area, save, cancel]) each.disabled = true;
    player.save({ item: player.drawn, line: number, start, was: words, text });
    // The next draw uses the server's text; until then the line shows the text of the edit.
    player.lines[number][2] = text;
    player.lines[number][5] = [];
    close();
    mark(player, row.querySelector(".go > span"), text, [], []);
  };
  save.addEventListener("click", send);
  cancel.addEventListener("click", close);
  hear.addEventListener("click", () => seek(player, start, true));
  form.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
    else return;
    event.preventDefault();
  });
  player.editing = number;
  reach(player, number);
  row.replaceChildren(form);
  area.focus();
}
