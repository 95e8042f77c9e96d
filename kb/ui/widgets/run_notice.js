// The number of open runs in the page's title, and a notification when one ends.

const notices = new WeakMap();

export default function (component) {
  const { data: [data], parentElement } = component;
  let notice = notices.get(parentElement);
  if (!notice) {
    notice = { going: new Set() };
    notices.set(parentElement, notice);
    const button = parentElement.querySelector("button");
    button.addEventListener("click", () =>
      Notification.requestPermission().then(() => show(notice, parentElement)),
    );
  }
  notice.data = data;
  count(data.going.length);
  for (const run of data.ended) if (notice.going.has(run.id)) tell(run);
  notice.going = new Set(data.going);
  show(notice, parentElement);
}

// Streamlit sets the title too: the number is put back when it does. There is one number and one
// observer in a page, whatever is drawn anew: two that differ would set the title for ever.
function count(open) {
  const key = Symbol.for("kb.open-runs");
  const counted = (window[key] ??= { open: 0 });
  counted.open = open;
  const set = () => {
    const plain = document.title.replace(/^\(\d+\) /, "");
    const wanted = counted.open ? `(${counted.open}) ${plain}` : plain;
    if (document.title !== wanted) document.title = wanted;
  };
  set();
  const element = document.querySelector("title");
  if (!element || counted.element === element) return;
  counted.watch?.disconnect();
  counted.element = element;
  counted.watch = new MutationObserver(set);
  counted.watch.observe(element, { childList: true, characterData: true, subtree: true });
}

function tell(run) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  new Notification(run.title, { body: run.body, tag: run.id });
}

function show(notice, root) {
  const { data } = notice;
  const known = "Notification" in window ? Notification.permission : "denied";
  const button = root.querySelector("button");
  const said = root.querySelector("small");
  button.hidden = !data.offer || known !== "default";
  button.textContent = data.texts.button;
  said.textContent = known === "granted" ? data.texts.on : data.texts.denied;
  said.hidden = !data.offer || known === "default";
}
