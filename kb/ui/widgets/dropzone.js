// Upload of files, one after the other, each as the body of one request: no copy in memory.
const zones = new WeakMap();

export default function (component) {
  const { data: [data], parentElement, setStateValue } = component;
  let zone = zones.get(parentElement);
  if (!zone) {
    zone = { files: [], waiting: [], busy: null, round: null };
    zones.set(parentElement, zone);
    wire(zone, parentElement);
  }
  zone.tell = (files) => setStateValue("files", files);
  zone.data = data;
  parentElement.querySelector(".words").textContent = data.texts.drop;
  const pick = parentElement.querySelector(".pick");
  pick.textContent = data.texts.pick;
  pick.hidden = false; // a button without a name is none
  if (zone.round !== data.round) {
    zone.round = data.round;
    zone.waiting = [];
    zone.busy?.request.abort();
    zone.busy = null;
    zone.files = [];
    parentElement.querySelector(".list").replaceChildren();
  }
}

function wire(zone, root) {
  const input = root.querySelector("input");
  const box = root.querySelector(".zone");
  root.querySelector(".pick").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    add(zone, root, input.files);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    box.addEventListener(name, (event) => {
      event.preventDefault();
      box.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    box.addEventListener(name, () => box.classList.remove("over"));
  }
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    add(zone, root, event.dataTransfer.files);
  });
}

function add(zone, root, files) {
  for (const file of files) {
    const row = make("li");
    const bar = make("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    const state = make("span", "state", zone.data.texts.waits);
    const remove = make("button", "remove", "×");
    remove.type = "button";
    remove.setAttribute("aria-label", `${zone.data.texts.remove} ${file.name}`);
    row.append(make("span", "name", file.name), bar, state, remove);
    const entry = { file, row, bar, state, request: null, kept: null };
    remove.addEventListener("click", () => {
      drop(zone, entry);
      root.querySelector(".pick").focus({ preventScroll: true });
    });
    root.querySelector(".list").append(row);
    zone.waiting.push(entry);
  }
  next(zone);
}

function drop(zone, entry) {
  entry.row.remove();
  zone.waiting = zone.waiting.filter((each) => each !== entry);
  if (zone.busy === entry) {
    entry.request.abort();
    zone.busy = null;
    next(zone);
  }
  if (entry.kept) {
    zone.files = zone.files.filter((each) => each !== entry.kept);
    zone.tell(zone.files);
  }
}

function next(zone) {
  if (zone.busy || !zone.waiting.length) return;
  const entry = zone.waiting.shift();
  const request = new XMLHttpRequest();
  entry.request = request;
  zone.busy = entry;
  const end = (words, failed) => {
    entry.state.textContent = words;
    entry.row.classList.toggle("failed", failed);
    if (zone.busy === entry) zone.busy = null;
    next(zone);
  };
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    entry.bar.value = event.loaded / event.total;
    entry.state.textContent = `${Math.floor((100 * event.loaded) / event.total)} %`;
  });
  request.addEventListener("load", () => {
    if (request.status !== 200) {
      const reasons = { 507: "full", 413: "large", 503: "busy" };
      end(zone.data.texts[reasons[request.status] || "failed"], true);
      return;
    }
    entry.kept = JSON.parse(request.responseText);
    entry.bar.value = 1;
    zone.files = [...zone.files, entry.kept];
    zone.tell(zone.files);
    end("✓", false);
  });
  request.addEventListener("error", () => end(zone.data.texts.failed, true));
  request.open("PUT", `${zone.data.address}&name=${encodeURIComponent(entry.file.name)}`);
  request.send(entry.file);
}
