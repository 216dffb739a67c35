// The desk as one file: faders, meters and charts over the predictor, with the same parts as the page; no network.

const DATA = JSON.parse(document.getElementById("data").textContent);
const model = predictor(DATA.surrogate), { aggregate, scale, names, metrics } = DATA;
const mixture = DATA.kind !== "merge", byId = (id) => document.getElementById(id);
const minus = (text) => (Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−")); // nothing has no sign
const rounded = (x) => minus(Math.abs(x) < 1000 ? x.toFixed(3) : Math.round(x).toLocaleString("en"));
const number = (x, sign = "") => (sign && !rounded(x).startsWith("−") ? "+" : "") + rounded(x);
const halfWidth = (std) => DATA.z95 * std; // of a 95% interval
const of = (values) => aggregate.weights.reduce((total, w, m) => (w ? total + w * values[m] : total), 0);
const state = { values: DATA.start, reference: DATA.reference, reset: 0, focus: 0, tried: [] };
const normed = (values) => {
  const total = values.reduce((a, b) => a + b, 0);
  return mixture && total > 0 ? values.map((v) => v / total) : values;
};

// How far from the runs: the fraction of tokens that would have to change domain (half the sum of differences).
function nearest(point) {
  return Math.min(...DATA.runs.map((run) => run.reduce((total, x, d) => total + Math.abs(x - point[d]), 0) / 2));
}
const badge = (far) => (far <= DATA.touching ? "measured" : far <= DATA.reach ? "interpolated" : "extrapolated");

function drawNumbers() {
  const here = normed(state.values), there = DATA.points[state.reference];
  const { mean, std } = model.predict([here]), { gap, std: gapStd } = model.difference(here, there);
  const total = aggregate.sign * of(mean[0]), half = halfWidth(model.together(std[0], aggregate.weights));
  const change = of(gap), changeHalf = halfWidth(model.together(gapStd, aggregate.weights));
  byId("label").textContent = `${aggregate.title[0].toUpperCase()}${aggregate.title.slice(1)}, predicted (${aggregate.unit})`;
  byId("number").textContent = `${number(total)} ± ${number(half)}`;
  byId("change").textContent = `${number(aggregate.sign * change, "+")} ± ${number(changeHalf)} vs. ${state.reference}`;
  const inside = Math.abs(change) <= changeHalf, far = nearest(here), word = badge(far);
  byId("noise").textContent = DATA.few ? "Too few runs to claim a difference." : inside ? "Within noise: one run of each would not tell them apart." : "Beyond noise (95%).";
  Object.assign(byId("badge"), { textContent: word, className: `badge ${word}` });
  const base = there && model.mean(there), lower = scale.better === "lower";
  const rows = metrics.map((metric, m) => {
    const value = `${number(mean[0][m])} ± ${number(halfWidth(std[0][m]))}`, moved = scale.factor[m] * gap[m];
    const best = DATA.best?.losses[m];
    return {
      name: metric.name, colour: metric.colour, value, words: `${metric.name}: ${value} ${metric.unit}`,
      change: moved, half: Math.abs(scale.factor[m]) * halfWidth(gapStd[m]),
      best: best === null || best === undefined ? null : scale.factor[m] * (best - base[m]),
      better: moved < 0 === lower, counted: aggregate.weights[m] !== 0,
    };
  });
  const tick = DATA.best ? ` The tick: best measured, ${DATA.best.run}.` : "";
  drawMeters({ data: { rows, caption: `Difference to ${state.reference} with its 95% interval, ${scale.unit}; ${lower ? "left" : "right"} is better, pale is within noise.${tick}` }, parentElement: byId("meters") });
  byId("reach").textContent = `The nearest of ${DATA.runs.length} runs differs by ${mixture ? `${(100 * far).toFixed(0)}% of the tokens` : (2 * far).toFixed(2)}; runs are up to ${mixture ? `${(100 * DATA.reach).toFixed(0)}%` : (2 * DATA.reach).toFixed(2)} apart. Intervals are 95%, for one run.`;
}

// The positions of a fader along its track, the others as the desk moves them.
function along(i, steps) {
  const desk = { values: normed(state.values), locked: names.map(() => false), faders: DATA.faders, free: !mixture, giver: null };
  const { lower, upper } = DATA.faders[i];
  return Array.from({ length: steps + 1 }, (_, k) => {
    const x = lower + (upper - lower) * (mixture ? (k / steps) ** 2 : k / steps);
    return [x, after(desk, i, x)];
  });
}

const known = Math.min(...Object.values(DATA.points).map((point) => of(model.mean(point))));
function light() {
  const tracks = names.map((_, i) => along(i, 20).map(([x, point]) => [x, of(model.mean(point))]));
  const best = Math.min(known, ...tracks.flat().map(([, value]) => value));
  const lit = (value) => Math.max(0, 1 - (value - best) / DATA.near);
  return tracks.map((track) => track.map(([x, value]) => [x, lit(value)]));
}

const svg = (tag, attributes, parent) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
};

// The aggregate along one fader, with its 95% band.
function drawResponse() {
  const chart = byId("response"), points = along(state.focus, 40), W = 640, H = 220, LEFT = 56, BOTTOM = 30;
  const { mean, std } = model.predict(points.map(([, point]) => point));
  const middle = mean.map((row) => aggregate.sign * of(row)), half = std.map((row) => halfWidth(model.together(row, aggregate.weights)));
  const low = Math.min(...middle.map((y, k) => y - half[k])), high = Math.max(...middle.map((y, k) => y + half[k]));
  const { lower, upper } = DATA.faders[state.focus];
  const X = (x) => LEFT + ((W - LEFT - 24) * (x - lower)) / (upper - lower || 1), Y = (y) => H - BOTTOM - ((H - BOTTOM - 10) * (y - low)) / (high - low || 1);
  chart.replaceChildren();
  const path = (ys) => ys.map((y, k) => `${X(points[k][0]).toFixed(1)},${Y(y).toFixed(1)}`);
  const up = path(middle.map((y, k) => y + half[k])), down = path(middle.map((y, k) => y - half[k])).reverse();
  svg("polygon", { points: [...up, ...down].join(" "), class: "band" }, chart);
  svg("polyline", { points: path(middle).join(" "), class: "line" }, chart);
  const at = normed(state.values)[state.focus];
  svg("line", { x1: X(at), x2: X(at), y1: 10, y2: H - BOTTOM, class: "here" }, chart);
  const label = (x, y, text, anchor) => (svg("text", { x, y, "text-anchor": anchor }, chart).textContent = text);
  for (const y of [low, (low + high) / 2, high]) label(LEFT - 6, Y(y) + 4, number(y), "end");
  for (const x of [lower, (lower + upper) / 2, upper]) label(X(x), H - 10, mixture ? `${(100 * x).toFixed(0)}%` : minus(x.toFixed(2)), "middle");
  byId("response-words").textContent = `${aggregate.title} (${aggregate.unit}) along ${mixture ? "the share of " : ""}${names[state.focus]}, the others ${mixture ? "in proportion" : "as they are"}. The band is 95%, for one run.`;
}

// The share up to which tracks must reach: one after the other, since a call takes only so many arguments.
const needed = Math.min(1, [...DATA.runs, DATA.faders.map((fader) => fader.mark)].reduce((most, row) => Math.max(most, ...row), 0));

function drawDesk(lit = null) {
  const values = state.values;
  const faders = DATA.faders.map((fader, i) => ({ ...fader, value: values[i], low: null, high: null, lit: lit?.[i] ?? null }));
  const worst = state.tried.map((one) => one.value), span = Math.max(...worst) - Math.min(...worst) || 1;
  const tried = state.tried.filter((one) => one.values !== values).map((one) => ({ values: one.values, worse: (one.value - Math.min(...worst)) / span }));
  drawFaders({
    data: { faders, groups: DATA.groups, reset: String(state.reset), free: !mixture, giver: null, locked: null, scenes: {}, tried, needed },
    parentElement: byId("desk"),
    setStateValue: (name, sent) => name === "position" && moveTo(sent.weights, sent.settled),
  });
}

let waiting;
function moveTo(values, settled) {
  state.values = values;
  drawNumbers();
  if (!settled) return;
  if (!state.tried.some((one) => same(one.values, values))) state.tried = [...state.tried, { values, value: of(model.mean(normed(values))) }].slice(-30);
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    drawResponse();
    drawDesk(light());
  }, 50);
}

function setTo(point) {
  state.reset += 1;
  state.values = point;
  drawDesk();
  moveTo(point, true);
}

function build() {
  for (const name of Object.keys(DATA.points)) {
    const button = byId("presets").appendChild(document.createElement("button"));
    button.textContent = name;
    button.addEventListener("click", () => setTo(DATA.points[name]));
    byId("reference").append(new Option(name, name, name === state.reference, name === state.reference));
  }
  names.forEach((name, i) => byId("focus").append(new Option(name, i)));
  byId("reference").addEventListener("change", (event) => {
    state.reference = event.target.value;
    drawNumbers();
  });
  byId("focus").addEventListener("change", (event) => {
    state.focus = Number(event.target.value);
    drawResponse();
  });
  setTo(state.values);
}

build();
