// The grid of one layer, the overview of all layers, and the addresses of both.

function tile(layer, unit, place) {
  const channel = layer.channels[unit];
  const column = view.sort === "channel" ? atlas.columns[0].name : view.sort;
  const value = number(layer.values[column][unit]);
  const caption = make("span", { className: "caption" }, make("b", { textContent: channel }), make("span", { textContent: value }));
  const status = label(layer, unit);
  if (status !== DONE) {
    caption.firstChild.className = "tinted";
    caption.style.setProperty("--status", statuses.get(layer.status[unit]).colour);
  }
  const button = make("button", { type: "button", className: "tile" }, frame(layer, unit), caption);
  button.setAttribute("aria-label", `Filter ${title(layer, unit)}, ${status}, ${column} ${value}`);
  button.tabIndex = place === 0 ? 0 : -1;
  button.addEventListener("click", () => enlarge(place));
  button.addEventListener("focus", () => (view.at = place));
  return button;
}

function ordered(layer) {
  const units = layer.channels.map((_, unit) => unit).filter((unit) => !view.hidden.has(layer.status[unit]));
  const values = view.sort === "channel" ? layer.channels : layer.values[view.sort];
  const sign = view.down ? -1 : 1;
  const missing = (unit) => values[unit] === null;
  return units.sort((a, b) => missing(a) - missing(b) || (missing(a) ? 0 : sign * (values[a] - values[b])) || a - b);
}

function fill() {
  const layer = view.layer;
  view.shown = layer ? ordered(layer) : [];
  view.at = 0;
  $("grid").replaceChildren(...view.shown.map((unit, place) => tile(layer, unit, place)));
  watch();
  $("nothing").hidden = !layer || view.shown.length > 0;
  $("order").textContent = view.down ? "↓" : "↑";
  $("order").title = view.down ? "Largest first" : "Smallest first";
}

function chips(layer) {
  const present = countsOf([layer]).filter((status) => status.count);
  $("chips").replaceChildren(
    ...present.map((status) => {
      const chip = make("button", { type: "button", textContent: `${status.count} ${status.label}` });
      chip.style.setProperty("--status", status.colour);
      chip.setAttribute("aria-pressed", !view.hidden.has(status.code));
      chip.addEventListener("click", () => {
        if (!view.hidden.delete(status.code)) view.hidden.add(status.code);
        chips(layer);
        fill();
      });
      return chip;
    }),
  );
}

// ---- The overview: the first filters of every layer ----

function card(layer) {
  const best = atlas.columns[0].name;
  const strip = make("div", { className: "strip" });
  const order = layer.channels
    .map((_, unit) => unit)
    .filter((unit) => label(layer, unit) !== PENDING && !statuses.get(layer.status[unit]).marked)
    .sort((a, b) => layer.values[best][b] - layer.values[best][a]);
  for (const unit of order.slice(0, 24)) {
    strip.append(make("div", {}, frame(layer, unit)));
  }
  const header = make("header", {}, make("h3", { textContent: layer.name }), make("span", { className: "quiet", textContent: notes(layer) }));
  for (const status of countsOf([layer]).filter((s) => s.count && s.label !== DONE)) {
    const count = make("span", { className: "tinted", textContent: `${status.count} ${status.label}` });
    count.style.setProperty("--status", status.colour);
    header.append(count);
  }
  const typical = make("p", { className: "quiet", textContent: typicals(layer) });
  return make("a", { className: "card", href: place(layer) }, header, ...(typical.textContent ? [typical] : []), strip);
}

// ---- Addresses: after the # stand the layer's key and the enlarged channel ----

const place = (layer, unit) =>
  `#${encodeURIComponent(layer.key)}${unit === undefined ? "" : `/${title(layer, unit)}`}`;

function show() {
  const [key, channel] = location.hash.slice(1).split("/");
  const layer = atlas.layers.find((candidate) => encodeURIComponent(candidate.key) === key) ?? null;
  if (layer !== view.layer || !$("name").textContent) {
    view.layer = layer;
    strips.clear();
    $("grid").hidden = $("controls").hidden = !layer;
    $("overview").hidden = Boolean(layer);
    $("name").textContent = layer ? layer.name : "All layers";
    $("note").textContent = layer ? [notes(layer), typicals(layer)].filter(Boolean).join(" · ") : "The filters with the highest scores of each layer. Choose a layer to see all its filters.";
    $("overview").replaceChildren(...(layer ? [] : atlas.layers.map(card)));
    fill();
    if (layer) {
      chips(layer);
      $("sheet").href = `sheets/${encodeURIComponent(layer.key)}.png`;
    }
    $("main").scrollTop = 0;
    scrollTo(0, 0);
    mark();
  }
  const unit = layer && channel !== undefined ? layer.channels.findIndex((_, unit) => title(layer, unit) === channel) : -1;
  const at = view.shown.indexOf(unit);
  if (at >= 0) detail(at);
  else $("viewer").close();
}

function mark() {
  for (const link of $("layers").children) {
    if (link.layer === view.layer) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

function side() {
  const everything = make("a", { href: "#" }, make("span", { className: "row" }, make("span", { className: "label", textContent: "All layers" }), make("span", { className: "quiet", textContent: atlas.layers.length })));
  everything.layer = null;
  const links = atlas.layers.map((layer) => {
    const shares = make("span", { className: "share" });
    const counts = countsOf([layer]);
    for (const status of counts.filter((s) => s.label !== PENDING)) {
      const share = make("i");
      share.style.cssText = `--status: ${status.colour}; width: ${(100 * status.count) / layer.channels.length}%`;
      shares.append(share);
    }
    const link = make("a", { href: place(layer), title: layer.name }, make("span", { className: "row" }, make("span", { className: "label", textContent: layer.name }), make("span", { className: "quiet", textContent: layer.channels.length })), shares);
    link.title += `\n${counts.filter((s) => s.count).map((s) => `${s.count} ${s.label}`).join(", ")}`;
    link.layer = layer;
    return link;
  });
  $("layers").replaceChildren(everything, ...links);
}

function step(by) {
  const all = [null, ...atlas.layers];
  const target = all[Math.min(Math.max(all.indexOf(view.layer) + by, 0), all.length - 1)];
  location.hash = target ? place(target) : "#";
}
