// The command palette: Ctrl+K lists pages, actions and more, letters narrow the list, Enter goes there; ? asks for help.

const WHAT = "Go to a page, study, candidate, run or word, or do something";

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

function make(tag, parent, attributes = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

// Whether all words of a wish are parts of a label.
export const fits = (label, wish) => wish.toLowerCase().split(/\s+/).every((word) => label.toLowerCase().includes(word));

const SHOWN = 12;

// The study's runs whose numbers begin as what was typed: "run 1", "12".
function runsOf(count, wish) {
  const [, digits] = /^(?:run\s*)?(\d*)$/i.exec(wish) ?? [];
  const found = [];
  for (let n = 1; digits !== undefined && wish && n <= count && found.length < SHOWN; n++) {
    if (String(n).startsWith(digits)) found.push({ id: `run ${n}`, kind: "run", label: `run ${n}` });
  }
  return found;
}

function draw(host) {
  const { list, input, data } = host.palette, wish = input.value.trim();
  const named = data.items.filter((item) => fits(`${item.kind} ${item.label}`, wish));
  host.palette.found = [...runsOf(data.runs, wish), ...named].slice(0, SHOWN);
  host.palette.at = Math.max(0, Math.min(host.palette.at, host.palette.found.length - 1));
  list.replaceChildren(...host.palette.found.map((item, place) => {
    const row = make("li", null, { role: "option", id: `mixdesk-option-${place}`, "aria-selected": String(place === host.palette.at) });
    make("span", row, { class: "kind" }).textContent = item.kind;
    row.append(item.label);
    row.addEventListener("click", () => go(host, item));
    return row;
  }));
  if (!host.palette.found.length) make("li", list, { class: "none" }).textContent = "Nothing has that name.";
  input.setAttribute("aria-activedescendant", host.palette.found.length ? `mixdesk-option-${host.palette.at}` : "");
}

function go(host, item) {
  close(host);
  host.palette.choose("chosen", { id: item.id, count: (host.palette.count = (host.palette.count ?? 0) + 1) });
}

function close(host) {
  host.palette.box.hidden = true;
  host.palette.before?.focus?.();
}

function open(host) {
  const { box, input } = host.palette;
  host.palette.before = document.activeElement;
  host.palette.at = 0;
  box.hidden = false;
  input.value = "";
  draw(host);
  input.focus();
}

function build(host) {
  const box = make("div", host, { class: "ground", hidden: "" });
  const dialog = make("div", box, { class: "palette", role: "dialog", "aria-modal": "true", "aria-label": "Go to" });
  const input = make("input", dialog, { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "mixdesk-options", "aria-label": WHAT, placeholder: WHAT, autocomplete: "off" });
  const list = make("ul", dialog, { role: "listbox", id: "mixdesk-options", "aria-label": "Found" });
  host.palette = { box, input, list, at: 0 };
  box.addEventListener("click", (event) => event.target === box && close(host));
  input.addEventListener("input", () => draw(host));
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) host.palette.at = (host.palette.at + step + host.palette.found.length) % (host.palette.found.length || 1);
    if (event.key === "Escape") close(host);
    if (event.key === "Enter" && host.palette.found[host.palette.at]) go(host, host.palette.found[host.palette.at]);
    if (step || ["Escape", "Enter"].includes(event.key)) event.preventDefault();
    if (step) draw(host);
    event.stopPropagation();
  });
  const onKeyDown = (event) => {
    if (!host.isConnected) return document.removeEventListener("keydown", onKeyDown);
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (box.hidden) open(host);
      else close(host);
    } else if (event.key === "?" && !typing(event.target)) {
      host.palette.choose("chosen", { id: "help", count: (host.palette.count = (host.palette.count ?? 0) + 1) });
    }
  };
  document.addEventListener("keydown", onKeyDown);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const host = parentElement.querySelector(".mixdesk-palette");
  if (!host.palette) build(host);
  Object.assign(host.palette, { data, choose: setTriggerValue });
}
