// Changes the scale, hides lanes, shows details. All that is drawn has its moments in microseconds.
const lanes = document.getElementById("lanes");
const axis = document.getElementById("axis");
const details = document.getElementById("details");
const NAMES = 190, LETTER = 6, LABEL = 84, BAR = 5, MARGIN = 16;
const LAST = MOMENTS[MOMENTS.length - 1] || 1;
const WIDTH = PLACES[PLACES.length - 1] || 1;
let zoom = 1, even = true;

// Where a moment is, before the zoom.
function place(t) {
  if (!even) return MARGIN + t / LAST * (WIDTH - MARGIN);
  let low = 0, high = MOMENTS.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (MOMENTS[middle] <= t) low = middle; else high = middle - 1;
  }
  const next = low + 1;
  if (next >= MOMENTS.length) return PLACES[low];
  const part = (t - MOMENTS[low]) / (MOMENTS[next] - MOMENTS[low]);
  return PLACES[low] + part * (PLACES[next] - PLACES[low]);
}

// The moment at a place.
function moment(at) {
  if (!even) return (at - MARGIN) / (WIDTH - MARGIN) * LAST;
  let low = 0, high = PLACES.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (PLACES[middle] <= at) low = middle; else high = middle - 1;
  }
  const next = low + 1;
  if (next >= PLACES.length) return MOMENTS[low];
  const part = (at - PLACES[low]) / (PLACES[next] - PLACES[low]);
  return MOMENTS[low] + part * (MOMENTS[next] - MOMENTS[low]);
}

const x = t => place(t) * zoom;
const all = [...lanes.querySelectorAll("[data-t]")].map(el => ({
  el, tag: el.tagName, t: +el.dataset.t,
  e: el.dataset.e === undefined ? null : +el.dataset.e, label: el.dataset.label,
}));

function seconds(t) {
  return (Math.floor(t / 100) / 10000).toFixed(4) + " s";
}

function drawAxis(width) {
  axis.replaceChildren();
  const add = (tag, attributes, text) => {
    const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const name in attributes) el.setAttribute(name, attributes[name]);
    if (text) el.textContent = text;
    axis.append(el);
  };
  const label = (at, t) => {
    add("line", { x1: at, x2: at, y1: 16, y2: 26 });
    add("text", { x: at, y: 13 }, seconds(t));
  };
  if (even) {
    let free = 0;
    for (const t of MOMENTS) {
      const at = x(t);
      if (at < free) continue;
      free = at + LABEL;
      label(at, t);
    }
  } else {
    for (let at = MARGIN * zoom; at < width - LABEL; at += LABEL * 1.5) label(at, moment(at / zoom));
  }
}

function draw() {
  const width = Math.ceil(Math.max(WIDTH * zoom + 12 * MARGIN, lanes.clientWidth - NAMES));
  for (const svg of lanes.querySelectorAll("svg")) svg.setAttribute("width", width);
  for (const { el, tag, t, e, label } of all) {
    const from = x(t), to = e === null ? null : x(e);
    if (tag === "rect") {
      el.setAttribute("x", from);
      el.setAttribute("width", Math.max(to - from, BAR));
    } else if (tag === "line") {
      el.setAttribute("x1", from);
      el.setAttribute("x2", from);
    } else if (tag === "path") {
      el.setAttribute("transform", `translate(${from},${el.dataset.y})`);
    } else {
      const inside = el.parentNode.classList.contains("bar");
      el.setAttribute("x", from + (inside ? 3 : 8));
      const room = to === null ? Infinity : (Math.max(to - from, BAR) - 12) / LETTER;
      el.textContent = label.slice(0, Math.max(0, Math.min(label.length, Math.floor(room))));
    }
  }
  drawAxis(width);
}

// Zooms, and keeps what is in the middle, or at some place of the window, where it is.
function zoomTo(next, at) {
  const offset = at === undefined ? (lanes.clientWidth - NAMES) / 2 : at;
  const kept = moment((lanes.scrollLeft + offset) / zoom);
  zoom = Math.min(400, Math.max(0.01, next));
  draw();
  lanes.scrollLeft = x(kept) - offset;
}

function show(from, to) {
  const room = lanes.clientWidth - NAMES;
  zoom = Math.min(400, Math.max(0.01, room / Math.max(1, place(to) - place(from))));
  draw();
  lanes.scrollLeft = x(from) - 4;
}

const on = (id, act) => document.getElementById(id)?.addEventListener("click", act);
on("in", () => zoomTo(zoom * 1.6));
on("out", () => zoomTo(zoom / 1.6));
on("fit", () => { zoom = (lanes.clientWidth - NAMES - 40) / WIDTH; draw(); lanes.scrollLeft = 0; });
on("plain", () => zoomTo(1));
on("failing", () => {
  const line = lanes.querySelector(".failing");
  zoomTo(Math.max(zoom, 1));
  lanes.scrollLeft = x(+line.dataset.t) - (lanes.clientWidth - NAMES) * 0.7;
  lanes.querySelector(".lane.failed")?.scrollIntoView({ block: "center" });
});
document.getElementById("even").addEventListener("change", event => {
  const kept = moment(lanes.scrollLeft / zoom);
  even = event.target.checked;
  draw();
  lanes.scrollLeft = x(kept);
});
lanes.addEventListener("wheel", event => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  const at = event.clientX - lanes.getBoundingClientRect().left - NAMES;
  zoomTo(zoom * Math.exp(-event.deltaY / 300), at);
}, { passive: false });

// Dragging along the time line zooms into what was dragged over.
let dragged = null;
axis.addEventListener("pointerdown", event => {
  axis.setPointerCapture(event.pointerId);
  dragged = { from: event.offsetX, to: event.offsetX, box: null };
});
axis.addEventListener("pointermove", event => {
  if (!dragged) return;
  dragged.to = event.offsetX;
  if (!dragged.box) {
    dragged.box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    dragged.box.setAttribute("height", 26);
    axis.append(dragged.box);
  }
  dragged.box.setAttribute("x", Math.min(dragged.from, dragged.to));
  dragged.box.setAttribute("width", Math.abs(dragged.to - dragged.from));
});
axis.addEventListener("pointerup", () => {
  const { from, to } = dragged;
  dragged = null;
  if (Math.abs(to - from) > 6) show(moment(Math.min(from, to) / zoom), moment(Math.max(from, to) / zoom));
});

// Only the lanes of one session; what belongs to nobody alone stays.
document.getElementById("only").addEventListener("change", event => {
  const only = event.target.value;
  for (const lane of lanes.querySelectorAll("[data-session]")) {
    lane.classList.toggle("hidden", only !== "" && lane.dataset.session !== only);
  }
  for (const bar of lanes.querySelectorAll(".broker .bar, .client .response")) {
    const of = bar.dataset.link.split("-")[0];
    bar.style.display = only === "" || of === only ? "" : "none";
  }
});

let kept = false;
function light(link) {
  for (const el of lanes.querySelectorAll(".lit")) el.classList.remove("lit");
  if (!link) return;
  for (const el of lanes.querySelectorAll(`[data-link="${link}"]`)) el.classList.add("lit");
}
lanes.addEventListener("pointerover", event => {
  const hit = event.target.closest("[data-tip]");
  if (!hit || kept) return;
  details.textContent = hit.dataset.tip;
  light(hit.dataset.link);
});
lanes.addEventListener("click", event => {
  const hit = event.target.closest("[data-tip]");
  kept = Boolean(hit) && !hit.classList.contains("band");
  details.classList.toggle("kept", kept);
  if (!hit) return;
  details.textContent = hit.dataset.tip;
  light(hit.dataset.link);
});
