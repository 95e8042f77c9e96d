// The player stays in view: once it was used, it is shown in a corner while its place is scrolled
// away. One module with `player.js`. The medium stays where it is in the document: a move would
// stop it.

function beginDock(player) {
  player.screen = player.root.querySelector(".screen");
  player.gone = false; // its place is above the window
  player.used = false; // played, or sent to a place from below
  const seen = ([...all]) => {
    const { isIntersecting, boundingClientRect, rootBounds } = all.at(-1);
    player.gone = !isIntersecting && boundingClientRect.top < (rootBounds?.top ?? 0);
    if (!player.gone && player.media?.paused) player.used = false;
    dock(player);
  };
  new IntersectionObserver(seen).observe(player.screen);
}

function useDock(player, played) {
  if (played || player.gone) player.used = true;
  dock(player);
}

function dock(player) {
  const { screen } = player;
  const on = Boolean(player.media && player.gone && player.used);
  if (on === screen.classList.contains("docked")) return;
  screen.style.height = on ? `${screen.offsetHeight}px` : "";
  screen.classList.toggle("docked", on);
  screen.querySelector(".undock")?.remove();
  if (!on) return;
  const close = make("button", "undock", "×");
  close.setAttribute("aria-label", player.texts.undock);
  close.title = player.texts.undock;
  close.addEventListener("click", () => {
    player.media.pause();
    player.used = false;
    dock(player);
  });
  screen.append(close);
}
