// The number of open runs in the page's title, and a notification when one ends.

const notices = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  let notice = notices.get(parentElement);
  if (!notice) {
    notice = { going: new Set(), title: "" };
    notices.set(parentElement, notice);
    const button = parentElement.querySelector("button");
    button.addEventListener("click", () =>
      Notification.requestPermission().then(() => show(notice, parentElement)),
    );
  }
  notice.data = data;
  title(notice);
  for (const run of data.ended) if (notice.going.has(run.id)) tell(run);
  notice.going = new Set(data.going);
  show(notice, parentElement);
}

// Streamlit sets the title too: the number is put back when it does.
function title(notice) {
  const open = notice.data.going.length;
  const plain = document.title.replace(/^\(\d+\) /, "");
  const wanted = open ? `(${open}) ${plain}` : plain;
  if (document.title !== wanted) document.title = wanted;
  if (notice.watch) return;
  const element = document.querySelector("title");
  if (!element) return;
  notice.watch = new MutationObserver(() => title(notice));
  notice.watch.observe(element, { childList: true, characterData: true, subtree: true });
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
