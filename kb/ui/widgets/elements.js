// Elements that every component makes. One module with the component's own script.

function make(tag, name, words) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (words) element.textContent = words;
  if (tag === "button") element.type = "button";
  return element;
}

// The browser's own player of a recording; nothing is fetched but its length.
function makeMedia(data) {
  const media = make(data.picture ? "video" : "audio");
  media.controls = true;
  media.preload = "metadata";
  media.playsInline = true;
  media.setAttribute("aria-label", data.label);
  media.src = data.src;
  return media;
}

// Draw the buttons of a place again: the focus stays on the button of the same number.
function redrawn(place, buttons) {
  const number = [...place.children].indexOf(place.getRootNode().activeElement);
  place.replaceChildren(...buttons);
  if (number >= 0) (buttons[number] || buttons.at(-1))?.focus({ preventScroll: true });
}

// Let a component listen to the whole document. Its script returns what this returns: Streamlit
// calls it when the component has gone, and for a call that a newer one has overtaken; then the
// component is still there. The document would keep each item that was ever opened otherwise.
function listenOnPage(root, types, listener) {
  for (const type of types) document.addEventListener(type, listener);
  return () => {
    if (root.isConnected) return;
    for (const type of types) document.removeEventListener(type, listener);
  };
}
