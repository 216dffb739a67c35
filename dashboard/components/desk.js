// The mixing desk: vertical faders over a simplex, or over a box, with mute, solo, lock, undo and scenes. How faders
// move each other is in moves.js, the scenes are in scenes.js, and the tree of groups is in tree.js. A group's fader stands
// behind those of the domains: its place is that of the first group plus its own.

const SEND_EVERY = 120; // milliseconds between two messages to the server while a fader moves

const PER_ROW = 12; // faders; more of them stand in rows of one length
const MANY = 8; // faders from which on most shares are small: then the tracks are square-root scales
const KEPT = 200; // positions that can be undone
const power = (desk) => (!desk.free && desk.faders.length > MANY ? 2 : 1);
const ends = (desk, i) => (desk.free ? [desk.faders[i].lower, desk.faders[i].upper] : [0, desk.top]);
const faderAt = (desk, i) => desk.faders[i] ?? desk.groups[i - desk.faders.length];
const valueIn = (desk, values, i) => (i < desk.faders.length ? values[i] : totalOf(values, faderAt(desk, i).members));
const isLocked = (desk, i) => (faderAt(desk, i).members ?? [i]).every((j) => desk.locked[j]);
const text = (desk, x) => (desk.free ? x.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "−") : `${(100 * x).toFixed(1)}%`);

// An element of a class inside another; attributes are set as they are given.
function add(parent, tag, name, attributes = {}) {
  const element = document.createElement(tag);
  element.className = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function buttonOf(parent, letter, word, name) {
  const button = add(parent, "button", word.toLowerCase(), { type: "button", title: word, "aria-label": `${word} ${name}` });
  button.textContent = letter;
  return button;
}

function buildFader(row, fader, free) {
  const box = add(row, "div", "fader", { style: `--colour: ${fader.colour}` });
  const label = free ? fader.name : `Share of ${fader.members ? `${fader.level} ` : ""}${fader.name}`;
  const entry = add(box, "input", "entry", { "aria-label": `${label}, typed`, inputmode: "decimal", spellcheck: "false" });
  const track = add(box, "div", "track", { tabindex: "0", role: "slider", "aria-orientation": "vertical", "aria-label": label });
  const slot = add(track, "div", "slot"), tried = add(track, "div", "tried");
  const near = add(track, "div", "near"), level = add(track, "div", "level");
  const mark = add(track, "div", "mark"), cap = add(track, "div", "cap");
  const name = add(box, "div", "name", { title: fader.name });
  name.textContent = fader.name.replaceAll("_", "_\u200b"); // long names break at their underscores
  const switches = add(box, "div", "switches");
  const parts = { box, entry, track, slot, tried, near, level, mark, cap };
  if (fader.members) {
    box.classList.add("group");
    parts.open = buttonOf(switches, "▸", "Open", fader.name);
  } else {
    parts.mute = buttonOf(switches, "M", "Mute", fader.name);
    parts.solo = buttonOf(switches, "S", "Solo", fader.name);
  }
  return { ...parts, lock: buttonOf(switches, "L", "Lock", fader.name) };
}

function build(host, faders, groups, free) {
  host.replaceChildren();
  const rows = Math.ceil(faders.length / PER_ROW);
  const row = add(host, "div", "faders", { style: `--columns: ${Math.ceil(faders.length / rows)}` });
  row.classList.toggle("tall", rows > 2);
  host.classList.toggle("low", rows === 1); // low enough to stay in sight while the page is read
  const parts = [...faders, ...groups].map((fader) => buildFader(row, fader, free));
  const foot = add(host, "div", "foot");
  return { parts, row, foot };
}

const DEEP = 55; // per cent of its colour that the slot has where it is lit most

// The slot as a gradient: lit where the predicted aggregate is near the best there is. lit: (value, 0 to 1) pairs.
function valley(desk, lit, percent) {
  if (!lit) return "";
  const stops = lit.map(([x, light]) => `color-mix(in srgb, var(--lit) ${Math.round(DEEP * light)}%, transparent) ${percent(x)}`);
  return `linear-gradient(to top, ${stops.join(", ")})`;
}

function drawTried(desk, tried, i, percent) {
  const marks = desk.tried.filter(({ values }) => values.length === desk.values.length).map(({ values, worse }) => {
    const mark = document.createElement("i");
    mark.style.bottom = percent(valueIn(desk, values, i));
    mark.style.background = `color-mix(in srgb, var(--bad) ${Math.round(100 * worse)}%, var(--good))`;
    return mark;
  });
  tried.replaceChildren(...marks);
}

function drawFader(desk, i) {
  const part = desk.parts[i], fader = faderAt(desk, i), value = valueIn(desk, desk.values, i);
  const [low, high] = ends(desk, i), locked = isLocked(desk, i);
  const height = (x) => 100 * clamp((x - low) / (high - low || 1), 0, 1) ** (1 / power(desk));
  const percent = (x) => `${height(x)}%`;
  if (document.activeElement !== part.entry) part.entry.value = text(desk, value);
  part.level.style.height = part.cap.style.bottom = percent(value);
  part.mark.style.bottom = percent(fader.mark);
  part.mark.title = `${fader.mark_name}: ${text(desk, fader.mark)}`;
  part.near.hidden = fader.low === null;
  part.near.title = fader.members ? "Between the bounds of the group" : "";
  part.near.style.bottom = percent(fader.low ?? 0);
  part.near.style.height = `${height(fader.high ?? 0) - height(fader.low ?? 0)}%`;
  part.slot.style.backgroundImage = valley(desk, fader.lit, percent);
  drawTried(desk, part.tried, i, percent);
  part.mute?.setAttribute("aria-pressed", String(desk.muted.has(i)));
  part.solo?.setAttribute("aria-pressed", String(desk.solo?.fader === i));
  part.lock.setAttribute("aria-pressed", String(locked));
  part.box.classList.toggle("locked", locked);
  part.track.setAttribute("aria-valuemin", desk.free ? String(low) : "0");
  part.track.setAttribute("aria-valuemax", desk.free ? String(high) : "100");
  part.track.setAttribute("aria-valuenow", desk.free ? value.toFixed(3) : (100 * value).toFixed(1));
  part.track.setAttribute("aria-valuetext", `${text(desk, value)}; ${fader.mark_name} ${text(desk, fader.mark)}`);
}

function draw(desk) {
  const places = desk.parts.map((_, i) => i).filter((i) => !desk.parts[i].box.hidden);
  const seen = places.map((i) => valueIn(desk, desk.values, i));
  if (!desk.held && !desk.free) desk.top = topOf(desk.needed, seen); // not under the finger that drags
  places.forEach((i) => drawFader(desk, i));
  desk.drawScenes();
}

// Tell the server where the faders stand; settled: they stay there, so the position can be undone and linked.
function send(desk, settled) {
  if (settled && !same(desk.past.at(-1), desk.values)) {
    desk.past = [...desk.past.slice(-KEPT), desk.values];
    desk.future = [];
  }
  clearTimeout(desk.timer);
  const wait = settled ? 0 : Math.max(0, desk.sent + SEND_EVERY - performance.now());
  desk.timer = setTimeout(() => {
    desk.sent = performance.now();
    const weights = desk.values.map((v) => Math.round(v * 1e5) / 1e5);
    desk.tell("position", { weights, reset: desk.reset, settled });
  }, wait);
}

// Put all faders somewhere. What was muted or soloed is forgotten unless this is what did it.
function put(desk, values, settled = true, switches = {}) {
  desk.muted = switches.muted ?? new Map();
  desk.solo = switches.solo ?? null;
  desk.values = values;
  draw(desk);
  send(desk, settled);
}

function mute(desk, i) {
  if (desk.locked[i]) return;
  const muted = new Map(desk.muted), kept = muted.get(i);
  if (muted.delete(i)) return put(desk, after(desk, i, kept), true, { muted });
  muted.set(i, desk.values[i]);
  put(desk, after(desk, i, 0), true, { muted });
}

function solo(desk, i) {
  if (desk.solo?.fader === i) return put(desk, desk.solo.before);
  put(desk, alone(desk, i), true, { solo: { fader: i, before: desk.solo?.before ?? desk.values } });
}

function lock(desk, i) {
  const locked = !isLocked(desk, i);
  for (const j of faderAt(desk, i).members ?? [i]) desk.locked[j] = locked;
  draw(desk);
  desk.tell("locked", [...desk.locked]);
}

// What was undone can be redone until a fader is moved by hand.
function undo(desk) {
  if (desk.past.length < 2) return;
  const future = [...desk.future, desk.past.pop()];
  put(desk, desk.past.at(-1));
  desk.future = future;
  desk.drawScenes();
}

function redo(desk) {
  const values = desk.future.pop(), future = desk.future;
  if (!values) return;
  put(desk, values);
  desk.future = future;
  desk.drawScenes();
}

// Typed text as a value: percent on a simplex, a coefficient in a box; null if it is no number.
function typed(desk, words) {
  const number = Number(words.replace("%", "").replace(",", ".").replace("−", "-").trim());
  return words.trim() === "" || !Number.isFinite(number) ? null : desk.free ? number : number / 100;
}

const STEPS = { ArrowUp: 0.01, ArrowDown: -0.01, ArrowRight: 0.01, ArrowLeft: -0.01, PageUp: 0.1, PageDown: -0.1 };

function onKey(desk, i, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const [low, high] = desk.free ? ends(desk, i) : [0, 1];
  const step = STEPS[event.key] && STEPS[event.key] * (event.shiftKey ? 0.1 : 1) * (high - low);
  const does = {
    Home: () => put(desk, after(desk, i, low)),
    End: () => put(desk, after(desk, i, high)),
    Enter: () => desk.parts[i].entry.focus(),
    m: desk.parts[i].mute && (() => mute(desk, i)),
    s: desk.parts[i].solo && (() => solo(desk, i)),
    l: () => lock(desk, i),
  }[event.key] ?? (step && (() => put(desk, after(desk, i, valueIn(desk, desk.values, i) + step))));
  if (!does) return;
  event.preventDefault();
  event.stopPropagation();
  does();
}

function listen(desk, i) {
  const { track, entry, ...part } = desk.parts[i];
  const at = (event) => {
    const box = track.getBoundingClientRect();
    const [low, high] = ends(desk, i);
    return low + (high - low) * clamp((box.bottom - event.clientY) / box.height, 0, 1) ** power(desk);
  };
  track.addEventListener("pointerdown", (event) => {
    track.setPointerCapture(event.pointerId);
    track.focus();
    desk.held = true;
    put(desk, after(desk, i, at(event)), false);
  });
  track.addEventListener("pointermove", (event) => {
    if (track.hasPointerCapture(event.pointerId)) put(desk, after(desk, i, at(event)), false);
  });
  track.addEventListener("pointerup", (event) => {
    desk.held = false;
    put(desk, after(desk, i, at(event)));
  });
  track.addEventListener("pointercancel", () => {
    desk.held = false;
    put(desk, desk.values);
  });
  track.addEventListener("keydown", (event) => onKey(desk, i, event));
  entry.addEventListener("focus", () => entry.select());
  entry.addEventListener("keydown", (event) => {
    if (event.key === "Escape") entry.value = text(desk, valueIn(desk, desk.values, i));
    if (event.key === "Enter" || event.key === "Escape") track.focus();
  });
  entry.addEventListener("blur", () => {
    const value = typed(desk, entry.value);
    if (value !== null && entry.value !== text(desk, valueIn(desk, desk.values, i))) put(desk, after(desk, i, value));
    draw(desk);
  });
  part.mute?.addEventListener("click", () => mute(desk, i));
  part.solo?.addEventListener("click", () => solo(desk, i));
  part.lock.addEventListener("click", () => lock(desk, i));
}

// The faders in sight, in the order in which they stand.
const shown = (desk) => desk.parts.filter(({ box }) => !box.hidden).sort((one, other) => one.box.style.order - other.box.style.order);

// Keys that work wherever nothing is being typed: numbers focus faders, Ctrl+Z undoes.
function listenEverywhere(host) {
  const onKeyDown = (event) => {
    const desk = host.desk;
    if (!host.isConnected) return document.removeEventListener("keydown", onKeyDown);
    if (event.target.closest?.("input:not([type=range]), textarea, select, [contenteditable], [role=dialog]")) return;
    const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (control && key === "z") (event.shiftKey ? redo : undo)(desk);
    else if (control && key === "y") redo(desk);
    else if (!control && !event.altKey && /^\d$/.test(key)) shown(desk)[(Number(key) + 9) % 10]?.track.focus();
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", onKeyDown);
}

function setUp(host, data) {
  const { faders, groups = [], free } = data;
  const { parts, row, foot } = build(host, faders, groups, free);
  const first = !host.desk;
  host.desk = { parts, faders, groups, free, locked: data.faders.map((_, i) => Boolean(data.locked?.[i])), sent: 0, past: [], future: [] };
  host.desk.muted = new Map();
  host.desk.solo = null;
  host.desk.scenes = { ...data.scenes };
  host.desk.drawScenes = buildScenes(foot, host.desk, {
    put: (values, settled) => put(host.desk, values, settled),
    undo: () => undo(host.desk),
    redo: () => redo(host.desk),
  });
  parts.forEach((_, i) => listen(host.desk, i));
  if (!free && (groups.length || faders.length > PER_ROW)) buildTree(host, row, host.desk, () => draw(host.desk));
  if (first) listenEverywhere(host);
}

// The page's colour, for what lies outside of components: only these are told it.
const tellColour = (host) =>
  document.documentElement.style.setProperty("--mixdesk-page", getComputedStyle(host).getPropertyValue("--st-background-color"));

export default function ({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".mixdesk-desk");
  const names = [...data.faders, ...(data.groups ?? [])].map((fader) => fader.name).join("\n");
  if (host.desk?.names !== names || host.desk.free !== data.free) setUp(host, data);
  tellColour(host);
  const desk = host.desk;
  const { faders, groups = [], free, giver, tried, needed } = data;
  Object.assign(desk, { names, faders, groups, free, giver, tried, needed, tell: setStateValue });
  if (desk.reset !== data.reset) {
    Object.assign(desk, { reset: data.reset, muted: new Map(), solo: null, values: faders.map((fader) => fader.value) });
    if (!desk.past.length || !same(desk.past.at(-1), desk.values)) desk.past = [...desk.past, desk.values];
  }
  draw(desk);
}
