// Below the player: speed, steps, the keys of the page and their list. One module with `player.js`.

const PACES = [0.75, 1, 1.25, 1.5, 2];
const STEP_S = 5;
const LEAP_S = 10;

function beginTools(player) {
  player.pace = 1;
  player.tools = player.root.querySelector(".tools");
  player.help = player.root.querySelector(".keylist");
  player.keys = (event) => typed(player, event);
}

function drawTools(player) {
  const { texts } = player;
  const pace = make("button", "pace", `${player.pace} ×`);
  pace.setAttribute("aria-label", `${texts.speed}: ${player.pace} ×`);
  pace.title = `${texts.speed} (< >)`;
  pace.addEventListener("click", () => setPace(player, 1, true));
  const steps = [
    [`−${LEAP_S}`, "J", () => jump(player, -LEAP_S), texts.back],
    [`+${LEAP_S}`, "L", () => jump(player, LEAP_S), texts.forward],
  ].map(([words, key, action, said]) => {
    const button = make("button", "", `${words} s`);
    button.setAttribute("aria-keyshortcuts", key);
    button.setAttribute("aria-label", said);
    button.title = `${said} (${key})`;
    button.addEventListener("click", action);
    return button;
  });
  const keys = make("button", "", texts.keys_title);
  keys.setAttribute("aria-keyshortcuts", "?");
  keys.setAttribute("aria-expanded", String(!player.help.hidden));
  keys.addEventListener("click", () => showKeys(player));
  const clip = make("button", "cut", texts.clip);
  clip.setAttribute("aria-expanded", String(!player.clip.hidden));
  clip.addEventListener("click", () => {
    openClip(player, player.clip.hidden ? player.stretch || stretchHere(player) : null);
    (player.clipRow ? player.clipRow.from : player.tools.querySelector(".cut")).focus();
  });
  const playing = player.media ? [...steps, pace, ...(player.clipAddress ? [clip] : [])] : [];
  redrawn(player.tools, [...playing, keys]);
  const rows = texts.keys_list.split("\n").map((line) => {
    const row = make("li");
    const [names, ...said] = line.split(": ");
    for (const name of names.split(" ")) row.append(make("kbd", "", name));
    row.append(make("span", "", said.join(": ")));
    return row;
  });
  player.help.setAttribute("aria-label", texts.keys_title);
  player.help.replaceChildren(...rows);
}

function showKeys(player) {
  player.help.hidden = !player.help.hidden;
  drawTools(player);
}

function jump(player, seconds) {
  if (!player.media) return;
  player.until = null;
  player.hands = 0;
  player.media.currentTime = Math.max(0, player.media.currentTime + seconds);
}

// The next speed; behind the last one the first, if `around`.
function setPace(player, by, around = false) {
  const place = PACES.indexOf(player.pace) + by;
  const last = PACES.length - 1;
  const next = around ? (place + PACES.length) % PACES.length : Math.min(last, Math.max(0, place));
  player.pace = PACES[next];
  if (player.media) player.media.playbackRate = player.pace;
  drawTools(player);
}

function typed(player, event) {
  if (!player.root.isConnected) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const target = event.composedPath()[0];
  const own = event.composedPath().includes(player.root);
  // The keys belong to the player while it has the focus, or nothing has.
  if (!own && target !== document.body && target.tagName !== "HTML") return;
  if (target.matches?.("input, textarea, select, [contenteditable]")) return;
  const { media } = player;
  const key = event.key.toLowerCase();
  if (key === "/") {
    player.input.focus();
    player.input.select();
  } else if (key === "?") showKeys(player);
  else if (key === "escape" && !player.help.hidden) showKeys(player);
  else if (!media) return;
  else if (key === "k") media.paused ? media.play().catch(() => {}) : media.pause();
  else if (key === "j" || key === "l") jump(player, key === "j" ? -LEAP_S : LEAP_S);
  else if (key === "<" || key === ">") setPace(player, key === "<" ? -1 : 1);
  else if ((key === "arrowleft" || key === "arrowright") && target !== media)
    jump(player, key === "arrowleft" ? -STEP_S : STEP_S);
  else return;
  event.preventDefault();
}
