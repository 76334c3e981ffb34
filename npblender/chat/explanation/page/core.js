"use strict";
// What every part of the page uses: the data, elements, numbers, heat. Texts are set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const state = { run: 0 };
const parts = []; // each {id, title, has(run), draw(place, run)}

function add(place, children) {
  for (const child of children.flat(9)) {
    if (child !== null && child !== undefined && child !== false) place.append(child);
  }
  return place;
}

function set(place, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) place.addEventListener(name.slice(2), value);
    else if (name === "w") place.style.setProperty("--w", value);
    else if (name === "columns") place.style.gridTemplateColumns = value;
    else place.setAttribute(name, value === true ? "" : value);
  }
  return place;
}

function el(tag, attributes, ...children) {
  return add(set(document.createElement(tag), attributes), children);
}

function drawn(tag, attributes, ...children) {
  return add(set(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes), children);
}

// --- Arrays: whole numbers of 16 bits in units of a power of ten.

const unpacked = new Map();

function array(number) {
  if (number === null || number === undefined) return null;
  if (!unpacked.has(number)) {
    const packed = data.arrays[number];
    const text = atob(packed.data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    const view = new DataView(bytes.buffer);
    const unit = 10 ** packed.digits;
    const size = bytes.length / 2;
    const values = new Float64Array(size);
    for (let i = 0; i < size; i += 1) {
      const whole = view.getInt16(2 * i, true);
      if (whole === -32768) values[i] = NaN;
      else if (Math.abs(whole) === 32767) values[i] = Math.sign(whole) * Infinity;
      else values[i] = whole / unit;
    }
    unpacked.set(number, { shape: packed.shape, digits: Math.max(0, packed.digits), values });
  }
  return unpacked.get(number);
}

// The matrix at the leading indices of an array: {rows, columns, at(i, j), digits}.
function matrix(source, ...leading) {
  const [rows, columns] = source.shape.slice(-2);
  let start = 0;
  leading.forEach((index, axis) => {
    start += index * source.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  });
  return { rows, columns, digits: source.digits, at: (i, j) => source.values[start + i * columns + j] };
}

function shown(value, digits) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (!Number.isFinite(value)) return String(value);
  return value.toFixed(digits).replace(/^-(0(?:\.0*)?)$/, "$1").replace("-", "\u2212");
}

function percent(p) {
  if (typeof p !== "number") return shown(p, 4);
  return p > 0 && p < 0.00005 ? "< 0.0001" : shown(p, 4);
}

// --- Words.

function word(run, id) {
  if (id === null || id === undefined) return "";
  return run.tokens[id] === undefined ? `#${id}` : run.tokens[id];
}

function token(run, id, attributes) {
  return el("span", { class: "token", ...attributes }, word(run, id));
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

// --- Tables.

function table(caption, heads, rows, attributes) {
  const head = heads.map((each) => (typeof each === "object"
    ? el("th", { scope: "col", class: "n" }, each.n) : el("th", { scope: "col" }, each)));
  return captioned(caption, el("table", attributes, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

// A table with its caption above it, where it may be wider than the table.
function captioned(caption, made) {
  captioned.count = (captioned.count || 0) + 1;
  const id = `caption-${captioned.count}`;
  made.setAttribute("aria-labelledby", id);
  return el("div", {}, el("p", { class: "caption", id }, caption), el("div", { class: "scroll" }, made));
}

function row(...cells) {
  return el("tr", {}, cells.map((cell, at) => {
    if (cell && cell.n !== undefined) return el("td", { class: "n" }, cell.n);
    return at === 0 ? el("th", { scope: "row" }, cell) : el("td", {}, cell);
  }));
}

// Text on heat: the classes say from where on the other color of text has the better contrast, in the dark and in the light.
function strong(cell, heat) {
  const [dark, light] = cell.classList.contains("minus") ? [0.528, 0.892] : [0.628, 0.844];
  if (heat > dark) cell.classList.add("strong");
  if (heat > light) cell.classList.add("strongest");
  return cell;
}

// In a table of heat one cell at a time takes the Tab key; the arrow keys go from cell to cell.
function walkable(place) {
  const cells = (line) => [...line.querySelectorAll("td[tabindex]")];
  const lines = [...place.querySelectorAll("tbody tr")].map(cells).filter((line) => line.length);
  if (!lines.length) return place;
  lines[0][0].tabIndex = 0;
  place.addEventListener("keydown", (event) => {
    const move = {
      ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e6], End: [0, 1e6],
    }[event.key];
    const i = lines.findIndex((line) => line.includes(event.target));
    if (!move || i < 0) return;
    const j = lines[i].indexOf(event.target);
    const line = lines[Math.min(lines.length - 1, Math.max(0, i + move[0]))];
    const to = line[Math.min(line.length - 1, Math.max(0, j + move[1]))];
    event.target.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
    event.preventDefault();
  });
  return place;
}

function choose(label, options, current, chosen) {
  const list = el("select", { onchange: (event) => chosen(event.target.value) },
    options.map(([value, text]) => el("option", { value, selected: String(value) === String(current) }, text)));
  return el("label", {}, label, list);
}

// Draws a matrix into a small canvas, heat from 0 to `largest`.
function picture(cells, largest, size) {
  const scale = Math.max(1, Math.floor(size / Math.max(cells.rows, cells.columns)));
  const canvas = el("canvas", { width: cells.columns * scale, height: cells.rows * scale, "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  const colors = getComputedStyle(document.documentElement);
  pen.fillStyle = colors.getPropertyValue("--card");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < cells.rows; i += 1) {
    for (let j = 0; j < cells.columns; j += 1) {
      const value = cells.at(i, j);
      pen.globalAlpha = Number.isFinite(value) ? Math.min(1, Math.abs(value) / largest) : 1;
      pen.fillStyle = colors.getPropertyValue(value < 0 ? "--other" : Number.isFinite(value) ? "--heat" : "--bad");
      pen.fillRect(j * scale, i * scale, scale, scale);
    }
  }
  return canvas;
}
