// The viewer of an atlas. Its data is in the page's JSON block (document.py says what) and in the
// folders beside the page. Names come from model files and are untrusted: they reach the page as
// text nodes and attributes only, never as markup.
"use strict";

const atlas = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const statuses = new Map(atlas.statuses.map((status) => [status.code, status]));
const PENDING = "pending";
const DONE = "done";

// The state of the view. `layer` is null on the overview. `shown` holds unit numbers in order; `at`
// and `enlarged` are positions in `shown`.
const view = { layer: null, shown: [], sort: "channel", down: false, hidden: new Set(), at: 0, enlarged: 0 };

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const label = (layer, unit) => statuses.get(layer.status[unit]).label;
/** A filter's channel and, if it has several pictures, the number of this one. */
const title = (layer, unit) => (layer.values.replicate?.[unit] ? `${layer.channels[unit]}.${layer.values.replicate[unit]}` : `${layer.channels[unit]}`);
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${Number(seconds.toPrecision(2))} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function countsOf(layers) {
  return atlas.statuses.map((status) => ({
    ...status,
    count: layers.reduce((sum, layer) => sum + layer.status.filter((s) => s === status.code).length, 0),
  }));
}

function notes(layer) {
  const parts = [plural(layer.channels.length, "filter"), layer.size];
  if (layer.signal && layer.depth > 1) parts.push(plural(layer.depth, "channel"));
  else if (!layer.signal && layer.depth !== 1 && layer.depth !== 3) parts.push(`${layer.depth} input channels in false colour`);
  if (layer.preset) parts.push(`preset ${layer.preset}`);
  if (layer.seconds) parts.push(duration(layer.seconds));
  return parts.join(" · ");
}

/** The median of every measure over a layer's filters that are done or rescued. */
function typicals(layer) {
  const alive = layer.status.map((s) => [DONE, "rescued"].includes(statuses.get(s).label));
  const parts = atlas.columns.filter((column) => column.measure).map((column) => {
    const known = layer.values[column.name].filter((value, unit) => alive[unit] && value !== null).sort((a, b) => a - b);
    const middle = known.length >> 1;
    return known.length && `${column.title.toLowerCase()} ${number(known.length % 2 ? known[middle] : (known[middle - 1] + known[middle]) / 2)}`;
  });
  return parts.some(Boolean) ? `median ${parts.filter(Boolean).join(", ")}` : "";
}

// ---- Pictures: a strip is a file of several tiles, one below the other ----

const strips = new Map();

function strip(layer, index) {
  const address = `tiles/${encodeURIComponent(layer.key)}/${index}.${layer.strips.suffix}`;
  if (!strips.has(address)) {
    const image = new Image();
    image.src = address;
    strips.set(address, image.decode().then(() => image));
  }
  return strips.get(address);
}

async function paint(canvas) {
  const { layer, unit } = canvas;
  canvas.wanted = true;
  try {
    const image = await strip(layer, Math.floor(unit / layer.strips.tiles));
    if (!canvas.wanted) return;
    canvas.width = layer.width;
    canvas.height = layer.height;
    const top = (unit % layer.strips.tiles) * layer.height;
    canvas.getContext("2d").drawImage(image, 0, top, layer.width, layer.height, 0, 0, layer.width, layer.height);
  } catch {
    canvas.parentElement.title = "The file of this picture is missing from the folder 'tiles'. Delete that folder and run the same command again.";
  }
}

// Only tiles near the view are painted, so that a layer of a thousand scrolls smoothly.
const nearby = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      const canvas = target.querySelector("canvas");
      // On the overview, tiles that do not fit into the row have no height.
      if (isIntersecting && boundingClientRect.height) paint(canvas);
      else if (canvas.wanted) {
        canvas.wanted = false;
        canvas.width = canvas.height = 1;
      }
    }
  },
  { rootMargin: "600px" },
);

function watch() {
  nearby.disconnect();
  for (const holder of document.querySelectorAll(".grid > *, .strip > *"))
    if (holder.querySelector("canvas")) nearby.observe(holder);
}

function frame(layer, unit) {
  const box = make("span", { className: "frame" });
  // A picture of one row is shown as a band, because a single line of pixels is hardly visible.
  box.style.aspectRatio = `${Math.max(layer.width, layer.height / 4)} / ${Math.max(layer.height, layer.width / 4)}`;
  const status = statuses.get(layer.status[unit]);
  box.style.setProperty("--status", status.colour);
  if (status.label === PENDING || !layer.strips) box.classList.add("empty");
  else {
    const canvas = make("canvas", { width: 1, height: 1 });
    Object.assign(canvas, { layer, unit });
    box.append(canvas);
    if (Math.max(layer.width, layer.height) <= 64) box.classList.add("crisp");
    if (status.marked) {
      box.classList.add("marked");
      box.dataset.status = status.label;
    }
  }
  return box;
}
