// The mixing desk: vertical faders over a simplex, or over a box. On a simplex, moving one renormalises the unlocked
// others in proportion, or one chosen fader alone gives way; in a box every fader moves alone, on its own scale.

const SEND_EVERY = 120; // milliseconds between two messages to the server while a fader moves

const PER_ROW = 10; // faders; more of them stand in rows of one length
const MANY = 8; // faders from which on most shares are small: then the tracks are square-root scales
const power = (desk) => (!desk.free && desk.faders.length > MANY ? 2 : 1);
const ends = (desk, i) => (desk.free ? [desk.faders[i].lower, desk.faders[i].upper] : [0, desk.top]);
const text = (desk, x) => (desk.free ? x.toFixed(2) : `${(100 * x).toFixed(1)}%`);

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// Give `wanted` to fader i and what is left to the unlocked others, in proportion to what they have; with a giver, give
// or take the difference from that one alone.
export function moved(values, locked, i, wanted, giver = null) {
  if (giver !== null && giver !== i) {
    if (locked[giver]) return values;
    const both = values[i] + values[giver];
    const value = clamp(wanted, 0, both);
    return values.map((v, j) => (j === i ? value : j === giver ? both - value : v));
  }
  const fixed = values.reduce((sum, v, j) => sum + (locked[j] && j !== i ? v : 0), 0);
  const others = values.map((v, j) => (j === i || locked[j] ? 0 : v));
  const free = locked.filter((is, j) => !is && j !== i).length;
  if (!free) return values;
  const value = clamp(wanted, 0, 1 - fixed);
  const sum = others.reduce((a, b) => a + b, 0);
  return values.map((v, j) => {
    if (j === i) return value;
    if (locked[j]) return v;
    const part = sum > 1e-9 ? v / sum : 1 / free;
    return part * (1 - fixed - value);
  });
}

function build(host, faders, free) {
  host.replaceChildren();
  const rows = Math.ceil(faders.length / PER_ROW);
  host.style.setProperty("--columns", Math.ceil(faders.length / rows));
  host.classList.toggle("tall", rows > 2);
  return faders.map((fader) => {
    const box = document.createElement("div");
    box.className = "fader";
    box.style.setProperty("--colour", fader.colour);
    const part = (tag, name, parent = box) => {
      const element = document.createElement(tag);
      element.className = name;
      parent.append(element);
      return element;
    };
    const share = part("div", "share");
    const track = part("div", "track");
    part("div", "slot", track);
    const near = part("div", "near", track), level = part("div", "level", track);
    const mark = part("div", "mark", track), cap = part("div", "cap", track);
    const name = part("div", "name");
    const lock = part("button", "lock");
    name.title = fader.name;
    name.textContent = fader.name.replaceAll("_", "_\u200b"); // long names break at their underscores
    lock.textContent = "lock";
    lock.title = "Keep this share fixed while others move";
    track.tabIndex = 0;
    track.setAttribute("role", "slider");
    track.setAttribute("aria-orientation", "vertical");
    track.setAttribute("aria-label", free ? fader.name : `Share of ${fader.name}`);
    lock.hidden = free;
    host.append(box);
    return { box, share, track, near, level, mark, cap, lock };
  });
}

function draw(host) {
  const desk = host.desk, { parts, faders, values, locked } = desk;
  parts.forEach((part, i) => {
    const [low, high] = ends(desk, i);
    const percent = (x) => `${100 * clamp((x - low) / (high - low), 0, 1) ** (1 / power(desk))}%`;
    part.share.textContent = text(desk, values[i]);
    part.level.style.height = part.cap.style.bottom = percent(values[i]);
    part.mark.style.bottom = percent(faders[i].mark);
    part.mark.title = `${faders[i].mark_name}: ${text(desk, faders[i].mark)}`;
    part.near.hidden = faders[i].low === null;
    part.near.style.bottom = percent(faders[i].low ?? 0);
    part.near.style.height = `${parseFloat(percent(faders[i].high ?? 0)) - parseFloat(percent(faders[i].low ?? 0))}%`;
    part.lock.setAttribute("aria-pressed", String(locked[i]));
    part.box.classList.toggle("locked", locked[i]);
    part.track.setAttribute("aria-valuemin", desk.free ? String(low) : "0");
    part.track.setAttribute("aria-valuemax", desk.free ? String(high) : "100");
    part.track.setAttribute("aria-valuenow", desk.free ? values[i].toFixed(3) : (100 * values[i]).toFixed(1));
  });
}

function send(host, now) {
  const desk = host.desk;
  clearTimeout(desk.timer);
  const wait = now ? 0 : Math.max(0, desk.sent + SEND_EVERY - performance.now());
  desk.timer = setTimeout(() => {
    desk.sent = performance.now();
    desk.tell("weights", desk.values.map((v) => Math.round(v * 1e5) / 1e5));
  }, wait);
}

function listen(host, i) {
  const { track, lock } = host.desk.parts[i];
  const set = (value, now) => {
    if (host.desk.locked[i]) return;
    const desk = host.desk;
    desk.values = desk.free
      ? desk.values.map((v, j) => (j === i ? clamp(value, ...ends(desk, i)) : v))
      : moved(desk.values, desk.locked, i, value, desk.giver);
    draw(host);
    send(host, now);
  };
  const at = (event) => {
    const box = track.getBoundingClientRect();
    const [low, high] = ends(host.desk, i);
    return low + (high - low) * clamp((box.bottom - event.clientY) / box.height, 0, 1) ** power(host.desk);
  };
  track.addEventListener("pointerdown", (event) => {
    track.setPointerCapture(event.pointerId);
    track.focus();
    set(at(event), false);
  });
  track.addEventListener("pointermove", (event) => {
    if (track.hasPointerCapture(event.pointerId)) set(at(event), false);
  });
  track.addEventListener("pointerup", (event) => set(at(event), true));
  track.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const [low, high] = ends(host.desk, i);
    set(host.desk.values[i] + step * (host.desk.free ? high - low : 1), true);
  });
  lock.addEventListener("click", () => {
    host.desk.locked[i] = !host.desk.locked[i];
    draw(host);
    host.desk.tell("locked", [...host.desk.locked]);
  });
}

export default function ({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".mixdesk-desk");
  const names = data.faders.map((fader) => fader.name).join("\n");
  if (host.desk?.names !== names) {
    const parts = build(host, data.faders, data.free);
    host.desk = { names, parts, locked: data.faders.map((_, i) => Boolean(data.locked?.[i])), sent: 0 };
    data.faders.forEach((_, i) => listen(host, i));
  }
  const desk = host.desk;
  if (desk.reset !== data.reset) {
    desk.reset = data.reset;
    desk.values = data.faders.map((fader) => fader.value);
  }
  const top = Math.max(...data.faders.map((fader) => fader.upper));
  Object.assign(desk, { faders: data.faders, free: data.free, giver: data.giver, tell: setStateValue, top });
  draw(host);
}
