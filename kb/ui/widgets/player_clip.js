// The waveform, and a clip of a chosen stretch. One module with `player.js`.

const LEAST_CLIP_S = 0.2;
const WAVE_PX = 56;

function beginClip(player) {
  player.wave = player.root.querySelector(".wave");
  player.clip = player.root.querySelector(".clip");
  player.peaks = null;
  player.stretch = null; // [first second, last second] of the clip
  player.clipRow = null;
  const canvas = player.wave.querySelector("canvas");
  new ResizeObserver(() => drawWave(player)).observe(canvas);
  const second = (event) => {
    const box = canvas.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return share * player.duration;
  };
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = second(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = second(event);
    const moved = (Math.abs(to - from) / player.duration) * canvas.clientWidth;
    if (moved > 4) choose(player, from, to);
  });
  canvas.addEventListener("pointerup", (event) => {
    const to = second(event);
    const moved = (Math.abs(to - from) / player.duration) * canvas.clientWidth;
    from = null;
    if (moved > 4) choose(player, player.stretch[0], player.stretch[1], true);
    else seek(player, to, true);
  });
  canvas.addEventListener("pointercancel", () => (from = null));
  // The press gives the line the focus, which makes it the active one before the click arrives.
  player.list.addEventListener("pointerdown", () => (player.anchor = player.active), true);
  // Shift and a click choose the lines from the active one to this one.
  player.list.addEventListener(
    "click",
    (event) => {
      const number = (player.rows || []).indexOf(event.target.closest("li"));
      if (!event.shiftKey || number < 0 || !player.media || player.editing !== null) return;
      event.preventDefault();
      event.stopPropagation();
      const ends = [player.anchor ?? player.active, number].sort((a, b) => a - b);
      choose(player, player.lines[ends[0]][0], player.lines[ends[1]][6], true);
    },
    true,
  );
}

function loadWave(player, data) {
  player.peaks = null;
  player.wave.hidden = true;
  openClip(player, null);
  if (!data.peaks || !data.src) return;
  const asked = data.src;
  fetch(data.peaks)
    .then((answer) => (answer.status === 200 ? answer.json() : null))
    .then((found) => {
      if (!found || player.src !== asked || !Array.isArray(found.peaks)) return;
      player.peaks = found;
      player.wave.hidden = false;
      drawWave(player);
    })
    .catch(() => {}); // the player works without it
}

function drawWave(player) {
  const canvas = player.wave.querySelector("canvas");
  const width = canvas.clientWidth;
  if (!player.peaks || !width || !player.duration) return;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(WAVE_PX * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(player.root);
  const [plain, chosen] = ["--st-primary-color", "--gap"].map((name) => style.getPropertyValue(name));
  const { peaks } = player.peaks;
  const each_s = player.peaks.duration_s / peaks.length;
  const bars = Math.max(1, Math.floor(width / 3));
  for (let bar = 0; bar < bars; bar += 1) {
    const [start, end] = [bar, bar + 1].map((n) => (n * player.duration) / bars);
    const part = peaks.slice(Math.floor(start / each_s), Math.max(1, Math.ceil(end / each_s)));
    const height = Math.max(1, (Math.max(0, ...part) / 100) * (WAVE_PX - 4));
    const inside = player.stretch && end > player.stretch[0] && start < player.stretch[1];
    context.fillStyle = (inside ? chosen : plain).trim();
    context.globalAlpha = inside ? 1 : 0.65;
    context.fillRect((bar * width) / bars, (WAVE_PX - height) / 2, 2, height);
  }
}

// Choose a stretch; `open` shows the fields with its times.
function choose(player, one, other, open = false) {
  const [start, end] = [Math.min(one, other), Math.max(one, other)];
  player.stretch = [start, Math.max(end, start + LEAST_CLIP_S)];
  showStretch(player);
  if (open || player.clipRow) openClip(player, player.stretch);
}

function showStretch(player) {
  (player.rows || []).forEach((row, number) => {
    const line = player.lines[number];
    const inside = player.stretch && line[0] < player.stretch[1] && line[6] > player.stretch[0];
    row.classList.toggle("chosen", Boolean(inside));
  });
  drawWave(player);
}

// Show the fields of a clip with these times, or close them.
function openClip(player, stretch) {
  if (!stretch) {
    const wasOpen = player.clipRow !== null;
    player.stretch = null;
    player.clipRow = null;
    player.clip.hidden = true;
    player.clip.replaceChildren();
    if (player.rows) showStretch(player);
    if (wasOpen) drawTools(player);
    return;
  }
  if (!player.clipRow) drawClip(player);
  const { from, to } = player.clipRow;
  [from.value, to.value] = stretch.map(clockOf);
  player.clip.hidden = false;
  drawTools(player);
}

function drawClip(player) {
  const { texts } = player;
  const field = (label) => {
    const input = make("input");
    input.type = "text";
    input.inputMode = "decimal";
    input.setAttribute("aria-label", label);
    input.addEventListener("change", () => takeTimes(player));
    return input;
  };
  const [from, to] = [field(texts.clip_from), field(texts.clip_to)];
  const here = (input, label) => {
    const button = make("button", "", label);
    button.addEventListener("click", () => {
      input.value = clockOf(Math.max(0, player.media.currentTime - player.offset));
      takeTimes(player);
    });
    return button;
  };
  const said = make("output");
  said.setAttribute("aria-live", "polite");
  const hear = make("button", "", texts.clip_hear);
  hear.addEventListener("click", () => takeTimes(player) && seek(player, ...spanOf(player)));
  const get = make("button", "get", texts.clip_get);
  get.addEventListener("click", () => getClip(player));
  const close = make("button", "", texts.cancel);
  close.addEventListener("click", () => openClip(player, null));
  const head = make("h4", "", texts.clip);
  const times = make("div", "times");
  times.append(from, here(from, texts.clip_here_from), make("span", "", "–"), to,
    here(to, texts.clip_here_to)); // prettier-ignore
  const buttons = make("div", "times");
  buttons.append(get, hear, close, said);
  player.clip.setAttribute("aria-label", texts.clip);
  player.clip.replaceChildren(head, times, buttons, make("small", "", texts.clip_help));
  player.clipRow = { from, to, said, get };
}

function spanOf(player) {
  return [player.stretch[0], true, player.stretch[1]];
}

// Take the times of the fields; return false, and say so, if they are none.
function takeTimes(player) {
  const { from, to, said } = player.clipRow;
  const [start, end] = [from, to].map((input) => secondsOf(input.value));
  const good = start !== null && end !== null && end > start;
  said.textContent = good ? "" : player.texts.clip_times;
  if (good) {
    player.stretch = [start, end];
    showStretch(player);
  }
  return good;
}

async function getClip(player) {
  if (!takeTimes(player)) return;
  const { said, get } = player.clipRow;
  const { texts } = player;
  const [start, end] = player.stretch;
  get.disabled = true;
  said.textContent = texts.clip_busy;
  try {
    const answer = await fetch(
      `${player.clipAddress}&from=${start.toFixed(3)}&to=${end.toFixed(3)}`,
    );
    if (!answer.ok) {
      said.textContent = answer.status >= 500 ? texts.clip_failed : await answer.text();
      return;
    }
    const name = /filename\*?=(?:utf-8'')?"?([^";]+)/i.exec(
      answer.headers.get("content-disposition") || "",
    );
    const link = make("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = name ? decodeURIComponent(name[1]) : "clip";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    said.textContent = texts.clip_done;
  } catch {
    said.textContent = texts.clip_failed;
  } finally {
    get.disabled = false;
  }
}

// The line that is active, or a few seconds from here on.
function stretchHere(player) {
  const line = player.lines[player.now >= 0 ? player.now : player.active];
  if (line) return [line[0], line[6]];
  const at = Math.max(0, player.media.currentTime - player.offset);
  return [at, Math.min(player.duration || at + 10, at + 10)];
}

function clockOf(seconds) {
  const tenths = Math.round(seconds * 10);
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  const second = (rest / 10).toFixed(1).padStart(4, "0");
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${second}` : `${minutes}:${second}`;
}

function secondsOf(words) {
  const parts = words.trim().replace(",", ".").split(":");
  if (!words.trim() || parts.length > 3 || parts.some((part) => !/^\d+(\.\d+)?$/.test(part)))
    return null;
  return parts.reduce((sum, part) => sum * 60 + Number(part), 0);
}
