"use strict";
// One object of data, written by featx; whatever comes from it reaches the page as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}
const number = (value) => value.toLocaleString("en");
const percent = (value) => `${(100 * value).toFixed(1)}\u00a0%`;
const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
const bdi = (text) => make("bdi", {}, text);
// A path, which is wrapped after its folders rather than inside a name.
const whole = (path) => make("bdi", {}, ...path.split(/(?<=[/])/).flatMap((part) => [part, make("wbr")]).slice(0, -1));

// ---- images

function shown(row) {
  const { rows } = data;
  return {
    path: rows.path[row],
    label: data.classes[rows.label[row]],
    predicted: data.classes[rows.predicted[row]],
    confidence: rows.confidence ? rows.confidence[row] : null,
    picture: rows.picture[row],
  };
}

function picture(image, alt) {
  const frame = make("div", { class: "picture" });
  if (image.picture >= 0) {
    frame.append(make("img", { src: `data:image/jpeg;base64,${data.pictures[image.picture]}`, alt, decoding: "async" }));
  } else {
    frame.append(make("span", {}, "no small picture in this page"));
  }
  return frame;
}

function figure(image) {
  const file = image.path.split("/").pop();
  const right = image.label === image.predicted;
  const sure = typeof image.confidence === "number" ? ` (${percent(image.confidence)})` : "";
  const words = right ? `predicted ${image.predicted}, right` : `labelled ${image.label}, predicted ${image.predicted}`;
  const caption = make("figcaption");
  if (right) caption.append("right: ", make("b", {}, bdi(image.predicted)), sure);
  else caption.append("labelled ", make("b", {}, bdi(image.label)), make("br"), "predicted ", make("b", {}, bdi(image.predicted)), sure);
  caption.append(make("span", { class: "file", title: image.path }, whole(image.path)));
  return make("figure", {}, picture(image, `${file}: ${words}`), caption);
}

// Fills a list step by step, so that a cell of a thousand images opens at once.
function fill(list, more, things, step, item = (image) => make("li", {}, figure(image))) {
  let done = 0;
  const next = () => {
    const first = done;
    for (const thing of things.slice(done, done + step)) list.append(item(thing));
    done = Math.min(done + step, things.length);
    more.hidden = done >= things.length;
    more.textContent = `Show more (${number(things.length - done)} left)`;
    return list.children[first];
  };
  list.replaceChildren();
  more.onclick = () => {
    const first = next();
    if (more.hidden && first) {
      first.tabIndex = -1;
      first.focus();
    }
  };
  next();
}

const galleries = { mistakes: () => data.mistakes.map(shown), suspects: () => data.suspects };
for (const list of document.querySelectorAll("[data-gallery]")) {
  fill(list, list.nextElementSibling, galleries[list.dataset.gallery](), 12);
}

const pairs = byId("pairs");
if (pairs) {
  const side = (image) => {
    const where = image.place === "training" ? "in training" : "scored";
    const file = image.path.split("/").pop() || "name unknown";
    const caption = make("figcaption", {}, where, image.label ? ": " : "", make("b", {}, bdi(image.label)));
    caption.append(make("span", { class: "file", title: image.path }, whole(image.path || file)));
    return make("figure", {}, picture(image, `${file}, ${where}`), caption);
  };
  const pair = (leak) => make("li", { class: "pair" }, make("p", {}, leak.words), ...leak.sides.map(side));
  fill(pairs, pairs.nextElementSibling, data.leaks, 12, pair);
}

// ---- the images behind a cell

const viewer = byId("viewer");
function view(title, images, missing) {
  byId("viewer-title").replaceChildren(...title);
  byId("viewer-note").textContent = missing > 0 ? `${count(images.length, "image")} of this cell; ${number(missing)} more are left out to keep the page small.` : count(images.length, "image");
  fill(byId("viewer-images"), byId("viewer-more"), images, 60);
  viewer.showModal();
  viewer.scrollTop = 0;
}
byId("viewer-close").addEventListener("click", () => viewer.close());
viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // the backdrop
});

const cells = new Map(data.confusion.map(([row, column, n]) => [`${row} ${column}`, n]));
const behind = new Map();
data.rows.label.forEach((label, row) => {
  const key = `${label} ${data.rows.predicted[row]}`;
  if (!behind.has(key)) behind.set(key, []);
  behind.get(key).push(row);
});

function open(row, column) {
  const key = `${row} ${column}`;
  const images = (behind.get(key) || []).map(shown);
  const title = row === column
    ? [bdi(data.classes[row]), ", predicted right"]
    : [bdi(data.classes[row]), " predicted as ", bdi(data.classes[column])];
  view(title, images, cells.get(key) - images.length);
}

// ---- the list of images

// A spreadsheet would take such a text for a formula.
const formula = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;
const safe = (text) => (formula.test(text) ? `'${text}` : text);
const quoted = (text) => `"${safe(text).replaceAll('"', '""')}"`;

// The bytes of names as they are: one that isn't UTF-8 stands here as a lone surrogate.
function encoded(text) {
  return text.split(/([\ud800-\udfff])/u).map((part, index) => {
    if (index % 2 === 0) return encodeURIComponent(part);
    const byte = part.charCodeAt(0) - 0xdc00;
    return byte >= 0x80 && byte <= 0xff ? `%${byte.toString(16)}` : encodeURIComponent("\ufffd");
  }).join("");
}

function list() {
  const lines = [["path", "label", "predicted", "confidence", "right", "set"].map(quoted).join(",")];
  data.rows.path.slice(0, data.listed).forEach((path, row) => {
    const image = shown(row);
    const sure = typeof image.confidence === "number" ? String(image.confidence) : "";
    const where = typeof data.rows.set === "string" ? data.rows.set : `fold ${data.rows.set[row]}`;
    const right = data.rows.label[row] === data.rows.predicted[row];
    lines.push([path, image.label, image.predicted, sure, String(right), where].map(quoted).join(","));
  });
  return `${lines.join("\n")}\n`;
}

const save = byId("save");
if (save) {
  save.hidden = false;
  save.addEventListener("click", () => {
    make("a", { href: `data:text/csv;charset=utf-8,${encoded(list())}`, download: `${save.dataset.file}.csv` }).click();
  });
}

// ---- the confusion matrix

const support = new Array(data.classes.length).fill(0);
const errors = new Array(data.classes.length).fill(0);
const partners = data.classes.map(() => []);
for (const [row, column, n] of data.confusion) {
  support[row] += n;
  if (row === column) continue;
  errors[row] += n;
  errors[column] += n;
  partners[row].push([n, column]);
  partners[column].push([n, row]);
}

// Off the diagonal, the most frequent first.
const confused = data.confusion.filter(([row, column]) => row !== column).sort((a, b) => b[2] - a[2]);

// Classes that no image has and none was predicted as aren't shown unless they are asked for.
const every = data.classes.map((_, index) => index);
const present = every.filter((index) => support[index] || errors[index]);

function chosen(most, words) {
  const worst = (a, b) => errors[b] - errors[a] || support[b] - support[a] || a - b;
  if (every.length <= most) return [...every];
  if (!words) return [...new Set([...confused.flatMap(([row, column]) => [row, column]), ...[...present].sort(worst)])].slice(0, most);
  const found = every.filter((index) => data.classes[index].toLowerCase().includes(words)).sort(worst).slice(0, most);
  const near = found.flatMap((index) => partners[index]).sort((a, b) => b[0] - a[0]).map(([, other]) => other);
  return [...new Set([...found, ...near])].slice(0, Math.max(most, found.length));
}

function drawMatrix() {
  const table = byId("matrix");
  const most = byId("matrix-size") ? Number(byId("matrix-size").value) : data.classes.length;
  const words = byId("matrix-filter") ? byId("matrix-filter").value.trim().toLowerCase() : "";
  const classes = chosen(most, words).sort((a, b) => a - b);
  const short = classes.every((one) => data.classes[one].length <= 3);
  const few = classes.length <= (window.innerWidth < 480 ? 3 : 6); // of more, names don't fit side by side
  table.classList.toggle("dense", !few && !short);
  table.classList.toggle("short", short);
  table.classList.toggle("wide", few);
  table.classList.toggle("many", classes.length > 12);
  table.parentElement.classList.toggle("boxed", classes.length > 20);
  const head = make("tr", {}, make("td", { class: "axis" }, "true \\ predicted"));
  for (const column of classes) {
    head.append(make("th", { scope: "col" }, make("span", { title: data.classes[column] }, bdi(data.classes[column]))));
  }
  const body = make("tbody");
  for (const row of classes) {
    const line = make("tr", {}, make("th", { scope: "row" }, make("span", { title: data.classes[row] }, bdi(data.classes[row]))));
    for (const column of classes) line.append(cell(row, column, classes.length > 6));
    body.append(line);
  }
  table.replaceChildren(make("thead", {}, head), body);
  const said = byId("matrix-said");
  if (said) {
    let which = "those most often confused with one another";
    if (words) which = "those with this in their name, and those that they are confused with";
    else if (present.length <= most) which = "the others have no images here";
    said.textContent = classes.length ? `${number(classes.length)} of ${count(data.classes.length, "class", "classes")}: ${which}.` : "No class has such a name.";
  }
}

function cell(row, column, dense) {
  const n = cells.get(`${row} ${column}`) || 0;
  if (!n) return make("td", {}, dense ? "" : "0"); // most of many cells are empty, and say so best by being it
  // By the square root, so that a few per cent are seen beside a diagonal near 100 %.
  const level = Math.min(5, Math.floor(6 * Math.sqrt(n / support[row])));
  const kind = row === column ? "right" : "wrong";
  const words = row === column
    ? `${count(n, "image")} of ${data.classes[row]} predicted right`
    : `${count(n, "image")} of ${data.classes[row]} predicted as ${data.classes[column]}`;
  const shade = `${kind}-${level} ${level > 3 ? "high" : "low"}`;
  if (!data.rows.path.length) return make("td", { class: shade, title: words }, number(n));
  const button = make("button", { type: "button", class: shade, "aria-label": words, title: words }, number(n));
  button.addEventListener("click", () => open(row, column));
  return make("td", {}, button);
}

const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
if (byId("matrix")) {
  const size = byId("matrix-size");
  if (size && window.innerWidth < 480) size.value = "10"; // more don't fit beside their names
  byId("matrix").addEventListener("keydown", (event) => {
    const place = event.target.closest("td");
    if (!place || !(event.key in arrows)) return;
    const [down, across] = arrows[event.key];
    const rows = [...byId("matrix").tBodies[0].rows];
    let r = rows.indexOf(place.parentElement) + down;
    let c = place.cellIndex + across;
    for (; rows[r] && rows[r].cells[c]; r += down, c += across) {
      const button = rows[r].cells[c].querySelector("button");
      if (button) {
        button.focus();
        break;
      }
    }
    event.preventDefault();
  });
  for (const id of ["matrix-size", "matrix-filter"]) {
    if (byId(id)) byId(id).addEventListener("input", drawMatrix);
  }
  drawMatrix();
  const region = byId("matrix-scroll");
  const sizes = new ResizeObserver(() => {
    byId("matrix-wide").hidden = region.scrollWidth <= region.clientWidth;
  });
  for (const one of [region, byId("matrix")]) sizes.observe(one);
  for (const [row, column, n] of confused.slice(0, 6)) {
    const words = [bdi(data.classes[row]), " as ", bdi(data.classes[column]), `: ${number(n)}`];
    if (!data.rows.path.length) {
      byId("confusions").append(make("li", {}, ...words)); // there is nothing to open
      continue;
    }
    const button = make("button", { type: "button", class: "plain" }, ...words);
    button.addEventListener("click", () => open(row, column));
    byId("confusions").append(make("li", {}, button));
  }
}

// ---- the table of classes

const table = byId("classes-table");
const body = table.tBodies[0];
for (const button of table.querySelectorAll("button.sort")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = head.cellIndex;
    const text = column === 0;
    const before = head.getAttribute("aria-sort");
    // Of figures the lowest first, since the weakest classes are what one looks for; names from A.
    const direction = before === "ascending" ? "descending" : "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    const value = (row) => (text ? row.cells[column].textContent : Number(row.cells[column].dataset.value));
    const compare = text ? (a, b) => value(a).localeCompare(value(b), "en", { numeric: true }) : (a, b) => value(a) - value(b);
    const sorted = [...body.rows].sort(direction === "ascending" ? compare : (a, b) => compare(b, a));
    body.append(...sorted);
  });
}
const all = byId("classes-all");
if (all) {
  table.classList.add("folded");
  all.hidden = false;
  all.addEventListener("click", () => {
    table.classList.remove("folded");
    all.hidden = true;
    table.querySelector("button.sort").focus();
  });
}
if (byId("classes-filter")) {
  byId("classes-filter").addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase();
    // What is searched for is shown wherever it stands.
    table.classList.toggle("folded", !words && !all.hidden);
    let left = 0;
    for (const row of body.rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(words);
      left += row.hidden ? 0 : 1;
    }
    byId("classes-said").textContent = `${number(left)} of ${count(body.rows.length, "class", "classes")}`;
  });
}
