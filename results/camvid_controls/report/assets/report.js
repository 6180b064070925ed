"use strict";

// Dark mode of the table library follows the reader's setting.
document.documentElement.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------- tables: sort, search, filter by column, export

function csvCell(text) {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function exportRows(table, api) {
  const lines = [[...table.querySelectorAll("thead th")].map((head) => head.textContent.trim())];
  api.rows({ search: "applied", order: "applied" }).nodes().toArray().forEach((row) => {
    lines.push([...row.cells].map((cell) => cell.textContent.trim()));
  });
  const text = lines.map((cells) => cells.map(csvCell).join(",")).join("\n") + "\n";
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type: "text/csv" })),
    download: `${table.id}-shown.csv`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function escapeRegex(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function columnFilter(table, api, head) {
  const index = head.cellIndex;
  const values = [...table.tBodies[0].rows].map((row) => row.cells[index].textContent.trim());
  const distinct = [...new Set(values)];
  if (distinct.length < 2) return null;
  const choice = element("select", {}, element("option", { value: "", textContent: "all" }));
  distinct.forEach((value) => choice.append(element("option", { value, textContent: value })));
  choice.addEventListener("change", () => {
    const pattern = choice.value === "" ? "" : `^\\s*${escapeRegex(choice.value)}\\s*$`;
    api.column(index).search(pattern, { regex: true, smart: false }).draw();
  });
  return element("label", {}, head.dataset.title, choice);
}

function enhance(table) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head) => { head.dataset.title = head.textContent.trim(); });
  const filters = heads.filter((head) => "filter" in head.dataset);
  const long = table.tBodies[0].rows.length > 60;
  const api = new DataTable(table, {
    order: [], paging: long, pageLength: 50, lengthChange: false, autoWidth: false,
    layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: long ? { paging: { buttons: 5, firstLast: false } } : null },
  });
  const search = element("input", { type: "search" });
  search.addEventListener("input", () => api.search(search.value).draw());
  const save = element("button", { type: "button", textContent: "Export as CSV" });
  save.addEventListener("click", () => exportRows(table, api));
  const chosen = filters.map((head) => columnFilter(table, api, head)).filter(Boolean);
  const tools = element("div", { className: "tools" }, element("label", {}, "Search", search), ...chosen, save);
  table.closest(".dt-container").before(tools);
  const frame = table.closest(".dt-layout-table") || table.parentElement;
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `${table.getAttribute("aria-label") || table.id.replaceAll("_", " ")}, scrolls sideways`);
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
    show();
  }
  function slideTo(event) {
    const box = at("stage").getBoundingClientRect();
    slide.value = Math.round(100 * (event.clientX - box.left) / box.width);
    divide();
  }
  const move = (by) => { slide.value = Number(slide.value) + by; divide(); };
  const keys = {
    n: () => step(1), p: () => step(-1), l: () => cycle(left), r: () => cycle(right), v: () => cycle(view),
    ArrowLeft: () => move(-5), ArrowRight: () => move(5),
  };

  const names = sources(data.images[0]).map((one) => one.name);
  fill(left, names, names[2]);
  fill(right, names, names[names.length - 1]);
  fill(view, ["prediction", "errors", "confidence"], "prediction");
  [left, right, view].forEach((choice) => choice.addEventListener("change", show));
  slide.addEventListener("input", divide);
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
  show();
}

document.querySelectorAll("table.data").forEach(enhance);
const pictures = document.getElementById("pictures");
if (pictures) viewer(JSON.parse(pictures.textContent));
