// A virtual list: it is as long as all rows, and has elements for those in view. The script sends
// the rows of one window; when others come into view, it is asked for theirs.

const lists = new WeakMap();
const AROUND = 6; // rows drawn above and below those in view
const ASK_MS = 90; // after the last scroll
const EMPTY_PX = 40;

export default function (component) {
  const { data: [data], parentElement, setTriggerValue } = component;
  let list = lists.get(parentElement);
  if (!list) {
    list = begin(parentElement.querySelector(".kb"));
    lists.set(parentElement, list);
  }
  list.send = setTriggerValue;
  take(list, data);
}

function begin(root) {
  const list = { root, rows: new Map(), drawn: new Map(), chosen: new Set(), turn: 0, active: 0 };
  list.grid = make("div", "grid");
  list.grid.setAttribute("role", "grid");
  list.grid.setAttribute("aria-multiselectable", "true");
  list.headings = make("div", "rowgroup");
  list.headings.setAttribute("role", "rowgroup");
  list.head = make("div", "head");
  list.head.setAttribute("role", "row");
  list.head.setAttribute("aria-rowindex", "1");
  list.headings.append(list.head);
  list.body = make("div", "body");
  list.body.setAttribute("role", "presentation");
  list.all = make("div", "all");
  list.all.setAttribute("role", "rowgroup");
  list.body.append(list.all);
  list.grid.append(list.headings, list.body);
  list.menu = make("div", "menu");
  list.menu.popover = "auto";
  list.menu.setAttribute("role", "menu");
  root.append(list.grid, list.menu);
  list.body.addEventListener("scroll", () => scrolled(list), { passive: true });
  list.body.addEventListener("keydown", (event) => pressed(list, event));
  list.body.addEventListener("click", (event) => clicked(list, event));
  list.body.addEventListener("focusin", () => (list.touched = true));
  list.menu.addEventListener("keydown", (event) => walk(list, event));
  list.body.addEventListener("contextmenu", (event) => {
    const row = rowOf(list, event.target);
    if (!row || !row.menu.length || event.target.closest("a")) return;
    event.preventDefault();
    openMenu(list, row, event.clientX, event.clientY);
  });
  new ResizeObserver(() => fit(list)).observe(root);
  return list;
}

// Data

function take(list, data) {
  const first = !list.data;
  const moved = !first && list.data.top !== data.top;
  const held = first ? null : heldPlace(list);
  list.data = data;
  // Data of a run that began before the last click does not have that click's selection.
  if (data.turn >= list.turn || first) list.chosen = new Set(data.selected);
  list.turn = Math.max(list.turn, data.turn);
  list.rows.clear();
  data.rows.forEach((row, place) => list.rows.set(data.offset + place, row));
  list.asked = null;
  list.active = Math.min(list.active, Math.max(0, data.total - 1));
  list.grid.setAttribute("aria-label", data.label);
  list.grid.setAttribute("aria-rowcount", String(data.total + 1));
  const heading = JSON.stringify([data.columns, data.sorted, data.descending, data.selectable]);
  if (list.heading !== heading) {
    list.heading = heading;
    for (const element of list.drawn.values()) element.remove();
    list.drawn.clear();
    drawHead(list);
  }
  if (moved) {
    list.body.scrollTop = 0;
    list.active = 0;
  }
  fit(list);
  if (held) giveBack(list, held, moved);
}

// The keyboard's place in a list that changes: the row by its id, and what of it has the focus.
function heldPlace(list) {
  const focused = list.root.getRootNode().activeElement;
  const inHead = list.head.contains(focused);
  const inRows = list.all.contains(focused);
  return {
    column: inHead ? focused.dataset.column : undefined,
    kind: inRows ? focusKind(list, list.drawn.get(list.active)) : "",
    id: list.touched ? list.rows.get(list.active)?.id : undefined,
  };
}

// A row that moved keeps the focus and its place on the screen: the list is scrolled with it.
function giveBack(list, held, moved) {
  const place = list.data.rows.findIndex((row) => row.id === held.id) + list.data.offset;
  if (held.id !== undefined && !moved && list.rows.get(place)?.id === held.id) {
    const by = place - list.active;
    list.active = place;
    if (by && held.kind) list.body.scrollTop += by * list.size;
    if (by) show(list);
  }
  if (held.column !== undefined)
    [...list.head.querySelectorAll("button, input")]
      .find((each) => each.dataset.column === held.column)
      ?.focus({ preventScroll: true });
  if (!held.kind) return;
  const row = list.drawn.get(list.active);
  (row?.querySelector(held.kind) || row)?.focus({ preventScroll: true });
}

function drawHead(list) {
  const { data, head } = list;
  const tracks = data.columns.map((column) => column.width);
  if (data.selectable) tracks.unshift("1.4rem");
  tracks.push("2rem");
  list.root.style.setProperty("--tracks", tracks.join(" "));
  list.root.style.setProperty("--narrow", data.selectable ? "1.6rem 1fr 2.75rem" : "1fr 2.75rem");
  list.root.style.setProperty("--first", data.selectable ? "2" : "1");
  // On a phone these cells are cut where the line is full, the others are not.
  const shares = data.columns.map((column, number) =>
    number && !column.minor ? parseFloat(/([\d.]+)fr/.exec(column.width)?.[1] || "0") : 0);
  list.long = shares.map((share) => share > 0 && share === Math.max(...shares));
  head.replaceChildren();
  if (data.selectable) {
    const cell = make("div", "pick");
    cell.setAttribute("role", "columnheader");
    list.every = make("input");
    list.every.type = "checkbox";
    list.every.dataset.column = "";
    list.every.setAttribute("aria-label", data.texts.select_all);
    list.every.addEventListener("change", () => chooseAll(list, list.every.checked));
    cell.append(list.every, make("span", "unseen", data.texts.select));
    head.append(cell);
  }
  for (const column of data.columns) {
    const cell = make("div", column.end ? "cell end" : "cell");
    cell.setAttribute("role", "columnheader");
    if (column.sort) {
      const on = data.sorted === column.name;
      const arrow = on ? (data.descending ? " ↓" : " ↑") : "";
      const button = make("button", "", column.label + arrow);
      button.dataset.column = column.name;
      button.addEventListener("click", () => list.send("sort", { column: column.name }));
      cell.setAttribute("aria-sort", on ? (data.descending ? "descending" : "ascending") : "none");
      cell.append(button);
    } else cell.textContent = column.label;
    head.append(cell);
  }
  const last = make("div", "");
  last.setAttribute("role", "columnheader");
  last.append(make("span", "unseen", data.texts.menu));
  head.append(last);
}

function fit(list) {
  if (!list.data) return;
  const size = parseFloat(getComputedStyle(list.root).getPropertyValue("--row")) || EMPTY_PX;
  if (list.size && list.size !== size) list.body.scrollTop *= size / list.size;
  list.size = size;
  list.all.style.height = `${list.data.total * size}px`;
  list.body.style.height = `${Math.min(list.data.total, list.data.shown) * size}px`;
  list.root.style.setProperty("--bar", `${list.body.offsetWidth - list.body.clientWidth}px`);
  show(list);
}

// Rows in view

function inView(list) {
  const from = Math.floor(list.body.scrollTop / list.size);
  const count = Math.ceil(list.body.clientHeight / list.size);
  return [Math.max(0, from), Math.min(list.data.total, from + count + 1)];
}

function show(list) {
  const [from, to] = inView(list);
  const focused = list.root.getRootNode().activeElement;
  for (const [place, element] of list.drawn) {
    const away = place < from - AROUND || place >= to + AROUND || place >= list.data.total;
    if (!away || (element.contains(focused) && place < list.data.total)) continue;
    element.remove();
    list.drawn.delete(place);
  }
  for (let place = Math.max(0, from - AROUND); place < to + AROUND; place++)
    if (place < list.data.total) drawRow(list, place);
  order(list);
  mark(list);
}

// Screen readers and Tab follow the order of the elements.
function order(list) {
  let before = null;
  for (const place of [...list.drawn.keys()].sort((a, b) => a - b)) {
    const element = list.drawn.get(place);
    if (element.previousElementSibling !== before) {
      if (before) before.after(element);
      else list.all.prepend(element);
    }
    before = element;
  }
}

function drawRow(list, place) {
  const row = list.rows.get(place);
  const content = row ? JSON.stringify(row) : "";
  let element = list.drawn.get(place);
  if (element && (element.content === content || !row)) return;
  const focus = element && hasFocus(list, element);
  const kind = focus ? focusKind(list, element) : "";
  const made = make("div", `row ${row ? row.tone : "waits"}`.trim());
  made.content = content;
  made.place = place;
  made.setAttribute("role", "row");
  made.setAttribute("aria-rowindex", String(place + 2));
  made.style.top = `${place * list.size}px`;
  made.tabIndex = -1;
  if (row) fill(list, made, row);
  else {
    const cell = make("div", "cell", list.data.texts.loading);
    cell.setAttribute("role", "gridcell");
    made.append(cell);
  }
  if (element) element.replaceWith(made);
  else list.all.append(made);
  list.drawn.set(place, made);
  if (focus) (made.querySelector(kind) || made).focus({ preventScroll: true });
}

function hasFocus(list, element) {
  return element.contains(list.root.getRootNode().activeElement);
}

function focusKind(list, element) {
  const focused = list.root.getRootNode().activeElement;
  if (focused === element) return ":scope";
  for (const kind of [".pick input", ".title button", ".more", "a"])
    if (focused.matches(kind)) return kind;
  return ":scope";
}

function fill(list, element, row) {
  const { data } = list;
  if (data.selectable) {
    const cell = make("div", "pick");
    cell.setAttribute("role", "gridcell");
    const box = make("input");
    box.type = "checkbox";
    box.tabIndex = -1;
    box.setAttribute("aria-label", `${data.texts.select}: ${row.cells[0].text}`);
    cell.append(box);
    element.append(cell);
  }
  const rest = make("div", "rest");
  rest.setAttribute("role", "presentation");
  row.cells.forEach((cell, number) => {
    const made = drawCell(data.columns[number], cell, row, number === 0);
    if (list.long[number]) made.classList.add("long");
    (number === 0 ? element : rest).append(made);
  });
  element.append(rest);
  const last = make("div", "");
  last.setAttribute("role", "gridcell");
  if (row.menu.length) {
    const button = make("button", "more", "⋯");
    button.tabIndex = -1;
    button.setAttribute("aria-haspopup", "menu");
    button.setAttribute("aria-label", `${data.texts.menu}: ${row.cells[0].text}`);
    last.append(button);
  }
  element.append(last);
}

function drawCell(column, cell, row, first) {
  const made = make("div", first ? "title" : "cell");
  made.setAttribute("role", "gridcell");
  if (column.end) made.classList.add("end");
  if (column.minor) made.classList.add("minor");
  if (cell.tone) made.classList.add(cell.tone);
  const words = cell.note || (cell.share === undefined ? cell.text : "");
  if (words) made.title = words;
  if (first) {
    if (row.picture) {
      const picture = make("img");
      picture.src = row.picture;
      picture.alt = "";
      picture.loading = "lazy";
      picture.addEventListener("error", () => picture.remove());
      made.append(picture);
    }
    const title = make(row.opens ? "button" : "span", "", cell.text);
    if (row.opens) title.tabIndex = -1;
    made.append(title);
  } else if (cell.share !== undefined) {
    made.classList.add("share");
    const bar = make("i");
    const part = make("b");
    part.style.width = `${100 * cell.share}%`;
    bar.append(part);
    made.append(bar, make("span", "", cell.text));
  } else if (cell.link) {
    const link = make("a", "", cell.text);
    link.href = cell.link;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.tabIndex = -1;
    made.append(link);
  } else made.textContent = cell.text;
  return made;
}

// The active row alone is a stop of the Tab key, with its controls.
function mark(list) {
  for (const [place, element] of list.drawn) {
    const row = list.rows.get(place);
    const on = Boolean(row && list.chosen.has(row.id));
    const box = element.querySelector(".pick input");
    if (list.data.selectable) element.setAttribute("aria-selected", String(on));
    if (box) box.checked = on;
    const active = place === list.active;
    element.tabIndex = active ? 0 : -1;
    for (const each of element.querySelectorAll("button, a, input"))
      each.tabIndex = active ? 0 : -1;
  }
  if (list.every) {
    const own = list.data.rows;
    const count = own.filter((row) => list.chosen.has(row.id)).length;
    list.every.checked = own.length > 0 && count === own.length;
    list.every.indeterminate = count > 0 && count < own.length;
  }
}

function scrolled(list) {
  show(list);
  clearTimeout(list.timer);
  list.timer = setTimeout(() => ask(list), ASK_MS);
}

function ask(list) {
  const [from, to] = inView(list);
  let lacks = false;
  for (let place = from; place < to; place++) lacks = lacks || !list.rows.has(place);
  const spare = Math.floor((list.data.window - (to - from)) / 2);
  const offset = Math.max(0, from - Math.max(0, spare));
  if (!lacks || list.asked === offset) return;
  list.asked = offset;
  list.send("window", { offset });
}

// Selection

function choose(list, ids, on) {
  if (!ids.length) return;
  for (const id of ids) {
    if (on) list.chosen.add(id);
    else list.chosen.delete(id);
  }
  tell(list, false);
}

function tell(list, cleared) {
  const own = list.data.rows.map((row) => row.id);
  const chosen = own.filter((id) => list.chosen.has(id));
  list.turn += 1;
  list.send("select", { own, chosen, clear: cleared, turn: list.turn });
  mark(list);
}

function chooseAll(list, on) {
  choose(list, list.data.rows.map((row) => row.id), on);
}

function clear(list) {
  if (!list.chosen.size) return;
  list.chosen.clear();
  tell(list, true);
}

function toggle(list, place, span) {
  const row = list.rows.get(place);
  if (!row || !list.data.selectable) return;
  const on = !list.chosen.has(row.id);
  const ids = [];
  const from = span && list.anchor !== undefined ? list.anchor : place;
  for (let each = Math.min(from, place); each <= Math.max(from, place); each++)
    if (list.rows.has(each)) ids.push(list.rows.get(each).id);
  choose(list, ids, span ? true : on);
  list.anchor = place;
}

// Pointer and keys

function rowOf(list, target) {
  const element = target.closest(".row");
  return element ? list.rows.get(element.place) : undefined;
}

function clicked(list, event) {
  const element = event.target.closest(".row");
  if (!element) return;
  const row = list.rows.get(element.place);
  list.active = element.place;
  if (!row || event.target.closest("a")) return mark(list);
  if (event.target.closest(".pick")) {
    if (event.target.tagName === "INPUT") event.preventDefault();
    // After the browser has put the box back, because its own change is prevented.
    setTimeout(() => toggle(list, element.place, event.shiftKey), 0);
  } else if (event.target.closest(".more")) {
    const box = event.target.getBoundingClientRect();
    openMenu(list, row, box.right, box.bottom, true);
  } else if (event.target.closest(".title button")) open(list, row);
  else element.focus({ preventScroll: true });
  mark(list);
}

function open(list, row) {
  if (row.opens) list.send("act", { name: "open", ids: [row.id] });
}

function pressed(list, event) {
  const element = event.target.closest(".row");
  if (!element) return;
  const page = Math.max(1, Math.floor(list.body.clientHeight / list.size) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
  const row = list.rows.get(list.active);
  const inControl = event.target !== element;
  if (event.key in steps) go(list, list.active + steps[event.key], event.shiftKey);
  else if (event.key === "Home") go(list, 0, false);
  else if (event.key === "End") go(list, list.data.total - 1, false);
  else if (event.key === "Escape" && list.chosen.size) clear(list);
  else if ((event.key === "a" || event.key === "A") && (event.ctrlKey || event.metaKey))
    chooseAll(list, true);
  else if (event.key === "ContextMenu" || event.key === "." || (event.key === "F10" && event.shiftKey)) {
    if (!row || !row.menu.length) return;
    const box = element.getBoundingClientRect();
    openMenu(list, row, box.left + 40, box.bottom);
  } else if (inControl) return;
  else if (event.key === " ") toggle(list, list.active, event.shiftKey);
  else if (event.key === "Enter" && row) open(list, row);
  else return;
  event.preventDefault();
}

function go(list, place, span) {
  const before = list.active;
  list.active = Math.min(list.data.total - 1, Math.max(0, place));
  const top = list.active * list.size;
  const { scrollTop, clientHeight } = list.body;
  if (top < scrollTop) list.body.scrollTop = top;
  else if (top + list.size > scrollTop + clientHeight)
    list.body.scrollTop = top + list.size - clientHeight;
  show(list);
  list.drawn.get(list.active)?.focus({ preventScroll: true });
  if (span && list.data.selectable) {
    if (list.anchor === undefined) list.anchor = before;
    toggle(list, list.active, true);
  }
}

// Menu

function openMenu(list, row, x, y, right = false) {
  const { menu, data } = list;
  menu.replaceChildren();
  for (const name of row.menu) {
    const button = make("button", "", data.menu[name] || name);
    button.setAttribute("role", "menuitem");
    button.tabIndex = -1;
    button.addEventListener("click", () => {
      menu.hidePopover();
      focusActive(list);
      list.send("act", { name, ids: [row.id] });
    });
    menu.append(button);
  }
  menu.setAttribute("aria-label", `${data.texts.menu}: ${row.cells[0].text}`);
  menu.showPopover();
  const box = menu.getBoundingClientRect();
  const left = right ? x - box.width : x;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - box.width - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(y, innerHeight - box.height - 8))}px`;
  menu.firstElementChild.focus();
}

function walk(list, event) {
  const entries = [...list.menu.children];
  const at = entries.indexOf(list.root.getRootNode().activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (to !== undefined) {
    entries[(to + entries.length) % entries.length].focus();
    event.preventDefault();
  } else if (event.key === "Escape" || event.key === "Tab") {
    list.menu.hidePopover();
    focusActive(list);
    event.preventDefault();
  }
}

function focusActive(list) {
  list.drawn.get(list.active)?.focus({ preventScroll: true });
}
