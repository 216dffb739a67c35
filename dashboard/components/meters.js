// Level meters of the metrics at the faders: the difference to a reference with its 95% interval, one line each.

const clamped = (x) => Math.min(100, Math.max(0, x));

// Elements at x per cent of a scale that runs from -limit to limit.
function scaleOf(row, limit) {
  const scale = document.createElement("div");
  scale.className = "scale";
  const place = (x) => clamped(50 + (50 * x) / limit);
  const add = (name, from, to) => {
    const mark = document.createElement("span");
    mark.className = name;
    mark.style.left = `${from}%`;
    if (to !== undefined) mark.style.width = `${to - from}%`;
    scale.append(mark);
  };
  scale.append(Object.assign(document.createElement("span"), { className: "zero" }));
  add("bar", Math.min(50, place(row.change)), Math.max(50, place(row.change)));
  add("half", place(row.change - row.half), place(row.change + row.half));
  if (row.best !== null) add("best", place(row.best));
  return scale;
}

function cell(line, tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  line.append(element);
  return element;
}

function lineOf(row, limit) {
  const line = document.createElement("tr");
  const sure = Math.abs(row.change) > row.half;
  line.className = [row.total && "total", !row.counted && "uncounted", !sure && "unsure"].filter(Boolean).join(" ");
  line.style.setProperty("--colour", row.colour);
  line.style.setProperty("--meter", sure ? `var(--${row.better ? "good" : "bad"})` : "var(--st-text-color)");
  const name = cell(line, "th", "name", "");
  name.scope = "row";
  name.title = row.name;
  name.append(Object.assign(document.createElement("span"), { className: "dot" }));
  name.append(row.name);
  cell(line, "td", "value", row.value).title = row.words;
  const meter = cell(line, "td", "meter", "");
  meter.title = row.words;
  meter.append(scaleOf(row, limit));
  return line;
}

// The reach of a scale over some rows: what is furthest from the reference, with its interval.
const reach = (rows) => Math.max(1e-9, ...rows.map((row) => Math.max(Math.abs(row.change) + row.half, Math.abs(row.best ?? 0)))) * 1.05;

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector(".mixdesk-meters");
  const table = document.createElement("table");
  const caption = document.createElement("caption");
  caption.textContent = data.caption;
  const body = document.createElement("tbody");
  const compared = [...data.rows, ...(data.beside ?? [])];  // meters side by side have one scale
  const append = (counted) => {
    const limit = reach(compared.filter((row) => row.counted === counted));
    body.append(...data.rows.filter((row) => row.counted === counted).map((row) => lineOf(row, limit)));
  };
  append(true);
  if (data.rows.some((row) => !row.counted)) {
    const line = document.createElement("tr");
    line.className = "split";
    cell(line, "td", "", "Not counted, on a scale of their own").colSpan = 3;
    body.append(line);
    append(false);
  }
  table.classList.toggle("many", data.rows.length > 12);
  table.classList.toggle("ends", data.rows.some((row) => row.value.includes("(")));  // an interval by both of its ends
  table.append(caption, body);
  host.replaceChildren(table);
}
