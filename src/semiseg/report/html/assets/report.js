"use strict";

// Dark mode of the table library follows the reader's setting.
document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------- what the reader chose stands in the address

// #key=value&...: Back, a reload and a copied link show the same. An address without "=" is a place on the page.
const address = {
  restores: [],
  restoring: false,  // what is drawn meanwhile is no choice of the reader's
  read: () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : ""),
  write(key, value, standard) {
    if (this.restoring) return;
    const all = this.read();
    if (value === standard) all.delete(key); else all.set(key, value);
    const text = all.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  },
  restore() {
    this.restoring = true;
    this.restores.forEach((one) => one());
    this.restoring = false;
  },
  // A form element whose value is `key` in the address; `apply` shows what it says.
  bind(key, control, apply, event = "change") {
    const standard = control.value;
    control.autocomplete = "off";
    control.addEventListener(event, () => { this.write(key, control.value, standard); apply(); });
    this.restores.push(() => {
      control.value = this.read().get(key) ?? standard;
      if (control.selectedIndex === -1) control.value = standard;
      apply();
    });
  },
};
window.addEventListener("hashchange", () => address.restore());
window.addEventListener("pageshow", () => address.restore());

// ---------------------------------------------------------------- tabs: one part of the page at a time

function tabs(box) {
  const parts = [...box.querySelectorAll(":scope > [data-tab]")];
  if (parts.length < 2) return;
  const key = box.dataset.tabs;
  const buttons = parts.map((part) => element("button", {
    type: "button", role: "tab", id: `tab-${part.id}`, textContent: part.getAttribute("aria-label"),
  }));
  const list = element("div", { className: "tabs", role: "tablist" }, ...buttons);
  const show = (name) => parts.forEach((part, index) => {
    const chosen = part.dataset.tab === name;
    part.classList.toggle("away", !chosen);
    buttons[index].setAttribute("aria-selected", chosen);
    buttons[index].tabIndex = chosen ? 0 : -1;
  });
  const choose = (index) => {
    address.write(key, parts[index].dataset.tab, parts[0].dataset.tab);
    show(parts[index].dataset.tab);
    buttons[index].focus();
  };
  parts.forEach((part, index) => {
    part.setAttribute("role", "tabpanel");
    buttons[index].setAttribute("aria-controls", part.id);
    buttons[index].addEventListener("click", () => choose(index));
  });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) choose((buttons.indexOf(document.activeElement) + by + parts.length) % parts.length);
  });
  box.prepend(list);
  address.restores.push(() => {
    const wanted = address.read().get(key);
    show(parts.some((part) => part.dataset.tab === wanted) ? wanted : parts[0].dataset.tab);
  });
}

// ---------------------------------------------------------------- tables: sort, search, filter by column, export

// Figures by size, words by the alphabet, and what is missing last in both directions.
function compare(one, other, sign) {
  if (one === "" || other === "") return (one === "") - (other === "");
  const numbers = one !== "" && other !== "" && !isNaN(one) && !isNaN(other);
  return sign * (numbers ? one - other : String(one).localeCompare(String(other), "en", { sensitivity: "base" }));
}
Object.assign(DataTable.ext.type.order, {
  "shown-pre": (value) => { const text = String(value ?? "").trim(); return text === "–" ? "" : text; },
  "shown-asc": (one, other) => compare(one, other, 1),
  "shown-desc": (one, other) => compare(one, other, -1),
});

function exportRows(table, api) {
  const cell = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const text = (one) => (one.querySelector("details") ? [...one.querySelectorAll("a[title]")].map((link) => link.textContent).join(", ") : one.textContent).trim();
  const lines = [[...table.querySelectorAll("thead th")].map((head) => head.dataset.title)];
  api.rows({ search: "applied", order: "applied" }).nodes().toArray().forEach((row) => lines.push([...row.cells].map(text)));
  const written = lines.map((cells) => cells.map(cell).join(",")).join("\n") + "\n";
  const link = element("a", {
    href: URL.createObjectURL(new Blob([written], { type: "text/csv" })),
    download: `${table.id}-shown.csv`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function columnFilter(table, api, head) {
  const index = head.cellIndex;
  const distinct = [...new Set([...table.tBodies[0].rows].map((row) => row.cells[index].textContent.trim()))];
  if (distinct.length < 2) return null;
  const choice = element("select", {}, element("option", { value: "", textContent: "all" }));
  distinct.forEach((value) => choice.append(element("option", { value, textContent: value })));
  address.bind(`${table.id}.${head.dataset.title}`, choice, () => {
    const whole = choice.value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    api.column(index).search(choice.value === "" ? "" : `^\\s*${whole}\\s*$`, { regex: true, smart: false }).draw();
  });
  return element("label", {}, head.dataset.title, choice);
}

function order(table, api) {
  const key = `${table.id}.order`;
  api.on("order", () => {
    const [first] = api.order();
    address.write(key, first && first[1] ? `${first[0]}.${first[1]}` : "", "");
  });
  address.restores.push(() => {
    const [column, way] = (address.read().get(key) ?? "").split(".");
    api.order(way ? [[Number(column), way]] : []).draw();
  });
}

function enhance(table) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head) => { head.dataset.title = head.textContent.trim(); });
  const filters = heads.filter((head) => "filter" in head.dataset);
  const rows = table.tBodies[0].rows.length;
  const api = new DataTable(table, {
    order: [], paging: rows > 60, pageLength: 50, lengthChange: false, autoWidth: false,
    columnDefs: [{ targets: "_all", type: "shown" }],
    layout: { topStart: null, topEnd: null, bottomStart: rows > 12 ? "info" : null, bottomEnd: rows > 60 ? { paging: { buttons: 5, firstLast: false } } : null },
  });
  const save = element("button", { type: "button", textContent: "Export as CSV" });
  save.addEventListener("click", () => exportRows(table, api));
  const search = element("input", { type: "search" });
  address.bind(`${table.id}.search`, search, () => api.search(search.value).draw(), "input");
  order(table, api);
  const chosen = filters.map((head) => columnFilter(table, api, head)).filter(Boolean);
  const tools = element("div", { className: "tools" }, element("label", {}, "Search", search), ...chosen, save);
  table.closest(".dt-container").before(tools);
  const frame = table.closest(".dt-layout-table") || table.parentElement;
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  const title = document.getElementById(table.getAttribute("aria-labelledby"));
  const tab = table.closest("[data-tab]");
  const words = [table.getAttribute("aria-label") ?? title.textContent, tab && tab.getAttribute("aria-label")];
  frame.setAttribute("aria-label", `${words.filter(Boolean).join(", ")}, scrolls sideways`);
}

// ---------------------------------------------------------------- two runs: what their settings differ in

function differences(data) {
  const choices = ["first", "second"].map((id) => document.getElementById(id));
  const show = () => {
    const [one, other] = choices.map((choice) => data.runs[choice.value]);
    const rows = data.keys.flatMap((key, place) => {
      const [left, right] = [one, other].map((run) => data.values[run.values[place]]);
      if (left === right) return [];
      return [element("tr", {}, element("th", { scope: "row", textContent: key }),
        element("td", { textContent: left }), element("td", { textContent: right }))];
    });
    document.querySelector("#differences tbody").replaceChildren(...rows);
    document.getElementById("equal").textContent = rows.length ? `${rows.length} settings differ.` : "No setting differs.";
    choices.forEach((choice) => {
      const link = document.getElementById(`page-${choice.id}`);
      link.href = `runs/${choice.value}.html`;
      link.textContent = data.runs[choice.value].title;
    });
  };
  choices.forEach((choice) => address.bind(choice.id, choice, show));
}

// ---------------------------------------------------------------- pictures: two methods, a slider between them

function viewer(data) {
  const at = (id) => document.getElementById(id);
  const [left, right, view, slide] = ["left", "right", "view", "slide"].map(at);
  let index = 0;

  const sources = (image) => [
    { name: "image", views: { prediction: image.image } },
    { name: "ground truth", views: { prediction: image.truth } },
    ...image.methods,
  ];
  const fill = (choice, names, value) => {
    choice.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
    choice.value = names.includes(value) ? value : names[0];
  };
  const source = (choice) => sources(data.images[index]).find((one) => one.name === choice.value);
  const file = (one) => one.views[view.value] || one.views.prediction;
  const describe = (one) => one.accuracy == null ? one.name
    : `${one.name}: ${one.accuracy.toFixed(1)} % of the pixels right (${one.network}, seed ${one.seed})`;

  function show() {
    const image = data.images[index];
    at("reason").textContent = `Image ${index + 1} of ${data.images.length}, ${image.id}: ${image.reason}`;
    for (const [id, choice] of [["under", right], ["over", left]]) {
      at(id).src = file(source(choice));
      at(id).alt = `${view.value} of ${choice.value} for image ${image.id}`;
    }
    for (const [id, words] of [["image", "image"], ["truth", "ground truth"]]) {
      at(`given-${id}`).src = image[id];
      at(`given-${id}`).alt = `${words} of ${image.id}`;
    }
    at("stage").style.aspectRatio = `${image.width} / ${image.height}`;
    at("scores").textContent = [left, right].map((choice) => describe(source(choice))).join(" · ");
    divide();
    address.write("image", String(index + 1), "1");
  }
  function divide() {
    at("over").style.clipPath = `inset(0 ${100 - slide.value}% 0 0)`;
    at("edge").style.left = `${slide.value}%`;
  }
  function step(by) {
    index = (index + by + data.images.length) % data.images.length;
    show();
  }
  function cycle(choice) {
    choice.selectedIndex = (choice.selectedIndex + 1) % choice.options.length;
    choice.dispatchEvent(new Event("change"));
  }
  function slideTo(event) {
    const box = at("stage").getBoundingClientRect();
    slide.value = Math.round(100 * (event.clientX - box.left) / box.width);
    slide.dispatchEvent(new Event("input"));
  }
  const move = (by) => { slide.value = Number(slide.value) + by; slide.dispatchEvent(new Event("input")); };
  const keys = {
    n: () => step(1), p: () => step(-1), l: () => cycle(left), r: () => cycle(right), v: () => cycle(view),
    ArrowLeft: () => move(-5), ArrowRight: () => move(5),
  };

  const names = sources(data.images[0]).map((one) => one.name);
  fill(left, names, names[2]);
  fill(right, names, names[names.length - 1]);
  fill(view, ["prediction", "errors", "confidence"], "prediction");
  address.restores.push(() => { index = Math.min(data.images.length, Math.max(1, Number(address.read().get("image")) || 1)) - 1; });
  [left, right, view].forEach((choice) => address.bind(choice.id, choice, show));
  address.bind("slide", slide, divide, "input");
  at("next").addEventListener("click", () => step(1));
  at("previous").addEventListener("click", () => step(-1));
  at("stage").addEventListener("pointermove", (event) => { if (event.buttons) slideTo(event); });
  at("stage").addEventListener("pointerdown", (event) => { event.preventDefault(); slideTo(event); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input:not(#slide)")) return;
    if (event.target === slide && event.key.startsWith("Arrow")) return;
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  document.querySelectorAll(".swatch").forEach((swatch) => {
    const colour = data.palette[Number(swatch.dataset.class)];
    if (colour) swatch.style.background = `rgb(${colour.join(",")})`;
  });
}

document.querySelectorAll("[data-tabs]").forEach(tabs);
document.querySelectorAll("table.data").forEach(enhance);
for (const [id, start] of [["pictures", viewer], ["settings", differences]]) {
  const data = document.getElementById(id);
  if (data) start(JSON.parse(data.textContent));
}
address.restore();
