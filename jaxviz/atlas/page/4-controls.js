// Controls, keyboard, and the start of the page.

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  keep("theme", name);
}

// A page opened from disk may have no storage. A choice then lasts until the page is closed.
function keep(key, value) {
  try { localStorage.setItem(`jaxviz-${key}`, value); } catch { /* see above */ }
}

function kept(key) {
  try { return localStorage.getItem(`jaxviz-${key}`); } catch { return null; }
}

function resize(pixels) {
  $("size").value = pixels;
  document.documentElement.style.setProperty("--tile", `${$("size").value}px`);
  document.documentElement.style.setProperty("--gap", `${Math.round(6 + $("size").value / 24)}px`);
  keep("size", $("size").value);
}

function sort(column) {
  view.sort = $("sort").value = column;
  view.down = column !== "channel";
  fill();
}

function move(key) {
  const tiles = $("grid").children;
  const across = getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
  const at = document.activeElement.closest(".tile") ? view.at + by : view.at;
  if (tiles[at]) tiles[at].focus();
}

const shortcuts = {
  "[": () => step(-1),
  "]": () => step(1),
  0: () => (location.hash = "#"),
  s: () => view.layer && sort($("sort").options[($("sort").selectedIndex + 1) % $("sort").length].value),
  r: () => view.layer && $("order").click(),
  "+": () => resize(Number($("size").value) + 16),
  "=": () => resize(Number($("size").value) + 16),
  "-": () => resize(Number($("size").value) - 16),
  "/": () => $("find").focus(),
  t: () => $("theme").click(),
  i: () => $("about").showModal(),
  "?": () => $("help").showModal(),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if ($("viewer").open) {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (by) { event.preventDefault(); enlarge(view.enlarged + by); }
  } else if (document.querySelector("dialog[open]")) return;
  else if (/^(INPUT|SELECT)$/.test(event.target.tagName)) {
    if (event.key === "Escape") event.target.blur();
  } else if (event.key.startsWith("Arrow") && view.layer) {
    event.preventDefault();
    move(event.key);
  } else if (Object.hasOwn(shortcuts, event.key)) {
    event.preventDefault();
    shortcuts[event.key]();
  }
}

function start() {
  $("title").textContent = atlas.title;
  const units = atlas.layers.reduce((sum, layer) => sum + layer.channels.length, 0);
  $("totals").textContent = `${plural(atlas.layers.length, "layer")} · ${plural(units, "filter")}`;
  $("sort").append(make("option", { value: "channel", textContent: "Channel" }), ...atlas.columns.map((c) => make("option", { value: c.name, textContent: c.title })));
  side();
  facts();
  theme(kept("theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
  resize(kept("size") ?? 128);
  $("sort").addEventListener("change", () => sort($("sort").value));
  $("order").addEventListener("click", () => { view.down = !view.down; fill(); });
  $("size").addEventListener("input", () => resize($("size").value));
  $("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  $("about-open").addEventListener("click", () => $("about").showModal());
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("previous").addEventListener("click", () => enlarge(view.enlarged - 1));
  $("next").addEventListener("click", () => enlarge(view.enlarged + 1));
  $("find").addEventListener("input", () => {
    const wanted = $("find").value.toLowerCase();
    for (const link of $("layers").children) link.hidden = Boolean(link.layer) && !link.layer.name.toLowerCase().includes(wanted);
  });
  $("find").addEventListener("keydown", (event) => {
    const first = [...$("layers").children].find((link) => link.layer && !link.hidden);
    if (event.key === "Enter" && first) { location.hash = place(first.layer); $("find").blur(); }
  });
  $("viewer").addEventListener("close", () => {
    if (!view.layer) return;
    history.replaceState(null, "", place(view.layer));
    $("grid").children[view.enlarged]?.focus();
  });
  for (const dialog of document.querySelectorAll("dialog"))
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
  addEventListener("keydown", pressed);
  addEventListener("resize", () => view.layer || watch());
  addEventListener("hashchange", show);
  show();
}

start();
