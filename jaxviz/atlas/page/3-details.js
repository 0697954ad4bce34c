// One enlarged filter, and the facts about the atlas.

function enlarge(at) {
  // Replaced instead of added, because leafing through filters must not fill the history.
  if (at < 0 || at >= view.shown.length) return;
  history.replaceState(null, "", place(view.layer, view.shown[at]));
  detail(at);
}

function detail(at) {
  const layer = view.layer;
  const unit = view.shown[at];
  view.enlarged = at;
  const picture = frame(layer, unit);
  const most = Math.min(innerWidth * 0.52, (innerHeight * 0.82 * layer.width) / layer.height, 720);
  $("stage").style.setProperty("--wide", `${Math.max(160, Math.floor(most))}px`);
  $("stage").replaceChildren(picture);
  if (picture.querySelector("canvas")) paint(picture.querySelector("canvas"));
  $("viewer-name").textContent = `${layer.name} · ${title(layer, unit)}`;
  const status = make("dd", { className: "tinted", textContent: label(layer, unit) });
  status.style.setProperty("--status", statuses.get(layer.status[unit]).colour);
  $("details").replaceChildren(
    make("dt", { textContent: "Channel" }), make("dd", { textContent: layer.channels[unit] }),
    make("dt", { textContent: "Status" }), status,
    ...atlas.columns.flatMap((column) => measure(layer, unit, column)),
  );
  $("previous").disabled = at === 0;
  $("next").disabled = at === view.shown.length - 1;
  if (!$("viewer").open) $("viewer").showModal();
}

function measure(layer, unit, column) {
  const values = layer.values[column.name];
  const known = values.filter((value) => value !== null);
  const value = values[unit];
  const rows = [
    make("dt", { textContent: column.title, title: column.meaning }),
    make("dd", { textContent: column.words[value] || number(value) }),
  ];
  // Leave out columns without any value, and replicates if every filter has one picture.
  if (known.length === 0 || (column.name === "replicate" && !known.some(Boolean))) return [];
  if (column.words[value] !== undefined) return column.words[value] ? rows : [];
  if (value === null || known.length < 2) return rows;
  const rank = known.filter((other) => other > value).length + 1;
  return [
    ...rows,
    make("dt", { textContent: "Rank in layer" }),
    make("dd", { textContent: `${rank} of ${known.length}` }),
    spread(known, value),
  ];
}

/** A histogram of a layer's values, with one unit's bar marked. */
function spread(values, here) {
  const bins = Math.min(40, Math.max(8, Math.round(Math.sqrt(values.length) * 2)));
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const bin = (value) => Math.min(bins - 1, Math.floor(((value - low) / span) * bins));
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[bin(value)] += 1;
  const most = Math.max(...counts);
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${bins} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spread");
  counts.forEach((count, index) => {
    const bar = document.createElementNS(space, "rect");
    const height = count ? Math.max(0.06, count / most) : 0.03;
    for (const [name, value] of Object.entries({ x: index + 0.08, y: 1 - height, width: 0.84, height })) bar.setAttribute(name, value);
    if (index === bin(here)) bar.setAttribute("class", "here");
    svg.append(bar);
  });
  return svg;
}

// ---- About ----

function flat(value, path = "") {
  if (value === null || typeof value !== "object" || (Array.isArray(value) && value.every((v) => v === null || typeof v !== "object")))
    return [[path, Array.isArray(value) ? value.join(", ") : String(value)]];
  return Object.entries(value).flatMap(([key, entry]) => flat(entry, path ? `${path}.${key}` : key));
}

function facts() {
  const table = (rows) => make("table", {}, make("tbody", {}, ...rows.map(([key, value]) => make("tr", {}, make("th", { scope: "row", textContent: key }), make("td", { textContent: value })))));
  const seconds = atlas.layers.reduce((sum, layer) => sum + layer.seconds, 0);
  const heading = (text) => make("h4", { textContent: text });
  $("facts").replaceChildren(
    table([
      ["Made", new Date(atlas.created).toLocaleString()],
      ["Updated", new Date(atlas.updated).toLocaleString()],
      ["Time", duration(seconds)],
      ["jaxviz", atlas.jaxviz_version],
      ["Exact pixels", "The Zarr arrays layers/KEY/image beside this page. Larger pictures on the page are JPEG."],
    ]),
    heading("Model and recipe"), table(flat(atlas.identity)),
    ...atlas.runs.flatMap((run) => [heading(`Run of ${new Date(run.started).toLocaleString()}`), table(flat(run.record))]),
    heading("Columns"), table(atlas.columns.map((column) => [column.title, column.meaning])),
  );
}
