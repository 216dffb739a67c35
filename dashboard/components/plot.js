// A Plotly figure drawn in place with Plotly.react, in the page's colours; returns brushes.

const CONFIG = {
  displaylogo: false,
  displayModeBar: matchMedia("(hover: none)").matches ? false : "hover",  // a finger does not hover: it would stay, over the legend
  modeBarButtonsToRemove: ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d", "autoScale2d"],
};

function plotly(url) {
  window.mixdeskPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("plotly.js did not load"));
    document.head.append(script);
  });
  return window.mixdeskPlotly;
}

const pen = document.createElement("canvas").getContext("2d");

// A title broken into lines of at most `width` pixels, as far as its words allow.
function wrapped(title, width, font) {
  pen.font = `${font.size}px ${font.family}`;
  return title.split("<br>").flatMap((line) => {
    const lines = [];
    for (const word of line.split(" ")) {
      const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
      if (lines.length && pen.measureText(longer).width <= width) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines;
  }).join("<br>");
}

// The axes' titles as they fit the plot that is drawn: {axis: title}. whole: as the figure has them.
function fitting(host, whole) {
  const drawn = host._fullLayout, found = {};
  for (const [axis, title] of Object.entries(whole)) {
    const room = axis.startsWith("x") ? drawn._size.w : drawn._size.h;
    if (drawn[axis]) found[axis] = wrapped(title, room, drawn[axis].title.font);
  }
  return found;
}

// Break titles that the plot has no room for.
function fitTitles(host, Plotly) {
  const changes = {};
  for (const [axis, title] of Object.entries(fitting(host, host.titles))) {
    if (host._fullLayout[axis].title.text !== title) changes[`${axis}.title.text`] = title;
  }
  if (Object.keys(changes).length) Plotly.relayout(host, changes);
}

const ONE_ROW = 26;  // pixels of a legend of one row: a figure has room for that

// A legend of several rows is not taken from the plot: its box becomes that much taller, and less once there is room;
// the drawing follows its box. Asked for a height, Plotly would keep the width of now for good.
function fitLegend(host) {
  const legend = host._fullLayout.showlegend && host._fullLayout.legend;
  const over = legend && legend.orientation === "h" && legend.yref === "paper" && legend.y > 1;
  const height = Math.round(host.asked + (over ? Math.max(0, legend._height - ONE_ROW) : 0));
  if (Math.abs(height - host._fullLayout.height) < 3) return;
  host.style.height = `${height}px`;
}

// Fit the titles and the legend after every drawing, and the drawing to its box whenever that changes: when a window or
// a sidebar does. In a later frame, since what is asked of Plotly while it draws can be lost.
function keepFitting(host, Plotly) {
  const fit = () => {
    fitTitles(host, Plotly);
    fitLegend(host);
  };
  const resize = () => host.offsetWidth && Plotly.Plots.resize(host).then(fit);
  host.on("plotly_afterplot", inNextFrame(fit));
  host.on("plotly_afterplot", () => {
    inkNumbers(host);
    minusSigns(host);
  });
  new ResizeObserver(inNextFrame(resize)).observe(host);
  fit();
  inkNumbers(host);
  minusSigns(host);
}

const NUMBERS = ".heatmap-label text, .bartext, .parcoords .axis text, .parcoords .axis-extent text";  // that Plotly writes with hyphens, beside hover

// A minus sign before every number, as elsewhere on the page; ticks of other axes have it already. What rounds to nothing
// has none.
function withMinus(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, nothing = node.data.replace(/(?<![\w-])[-−](?=0(?:\.0+)?%?(?![\d.]))/g, "");
    const text = nothing.replace(/(?<![\w-])-(?=[\d.])/g, "−");
    if (text !== node.data) node.data = text;
  }
}

// In the drawing, and in what is shown where the pointer is, whenever that changes.
function minusSigns(host) {
  host.querySelectorAll(NUMBERS).forEach(withMinus);
  const layer = host.querySelector(".hoverlayer");
  if (!layer || layer === host.hoverLayer) return;
  host.hoverLayer = layer;
  new MutationObserver(() => withMinus(layer)).observe(layer, { childList: true, subtree: true, characterData: true });
}

// The function, called once in the next frame however often it is asked for.
function inNextFrame(act) {
  let frame;
  return () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(act);
  };
}

function titlesOf(layout) {
  const axes = Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name) && layout[name].title?.text);
  return Object.fromEntries(axes.map((name) => [name, layout[name].title.text]));
}

function dressed(figure, style) {
  const colour = textColour(style), font = { ...figure.layout.font, color: colour, family: style.fontFamily };
  const hover = { bgcolor: style.getPropertyValue("--st-secondary-background-color"), font: { color: colour } };
  const modebar = { bgcolor: "rgba(0,0,0,0)", color: mixed(colour, 0.55, ground(style)), activecolor: colour };
  return { ...figure.layout, font, modebar, hoverlabel: { ...hover, ...figure.layout.hoverlabel }, uirevision: "keep" };
}

function textColour(style) {
  return style.getPropertyValue("--st-text-color") || style.color;
}

function ground(style) {
  return style.getPropertyValue("--st-background-color") || "#fff";
}

// Red, green, blue (0 to 255) and opacity (0 to 1) of a CSS colour.
function parts(colour) {
  pen.fillStyle = colour;
  const found = pen.fillStyle;  // "#rrggbb" or "rgba(r, g, b, a)", whatever was written
  if (found.startsWith("#")) return [1, 3, 5].map((at) => parseInt(found.slice(at, at + 2), 16)).concat(1);
  return found.match(/[\d.]+/g).map(Number);
}

// The opaque colour that one of this opacity, on top of its own, shows on a ground.
function mixed(colour, opacity, below) {
  const [over, under] = [parts(colour), parts(below)], part = opacity * over[3];
  return `rgb(${[0, 1, 2].map((i) => Math.round(part * over[i] + (1 - part) * under[i])).join(",")})`;
}

// Cells with numbers in opaque colours: a number's colour is chosen by its cell's.
function legible(traces, style) {
  const cells = (trace) => trace.type === "heatmap" && trace.texttemplate;
  const solid = (scale) => scale.map(([at, colour]) => [at, mixed(colour, 1, ground(style))]);
  return traces.map((trace) => (cells(trace) ? { ...trace, colorscale: solid(trace.colorscale) } : trace));
}

// Black or white, whichever stands out more from an opaque colour (4.58 to 1 or more, by WCAG's luminance).
function inkOn(colour) {
  const [red, green, blue] = parts(colour).map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

// The colour of a heat map's cell by its value.
function cellColour({ colorscale, zmin, zmax }, value) {
  const at = Math.min(1, Math.max(0, (value - zmin) / (zmax - zmin)));
  const next = Math.max(1, colorscale.findIndex(([stop]) => stop >= at));
  const [[from, low], [to, high]] = colorscale.slice(next - 1, next + 1);
  return mixed(high, (at - from) / (to - from), low);
}

// Numbers in bars and cells that can be read: Plotly's grey and white are as little as 3.2 to 1 on middling colours.
function inkNumbers(host) {
  const below = ground(getComputedStyle(host));
  for (const number of host.querySelectorAll(".bars .bartext-inside")) {
    const bar = getComputedStyle(number.parentNode.querySelector("path"));
    number.style.fill = inkOn(mixed(bar.fill, Number(bar.fillOpacity), below));
  }
  for (const map of host.querySelectorAll(".heatmaplayer .hm")) {
    for (const label of map.querySelectorAll(".heatmap-label")) {
      const value = label.__data__.z, [{ trace }] = map.__data__;
      if (Number.isFinite(value)) label.querySelector("text").style.fill = inkOn(cellColour(trace, value));
    }
  }
}

// The end of a scale that is the best: it must stand out most, from either ground.
const best = (style) => (inkOn(ground(style)) === "#fff" ? "#a5f0f7" : "#0b3d4a");

// A figure with the page's colours where it names them, as style.py does.
function read(figure, style) {
  const colour = (name) => (name === "--mixdesk-best" ? best(style) : style.getPropertyValue(name).trim());
  return JSON.parse(figure.replace(/"var\((--(?:st|mixdesk)-[a-z-]+)\)"/g, (_, name) => `"${colour(name)}"`));
}

function listen(host, setStateValue) {
  host.on("plotly_restyle", () => {
    const trace = host.data.find((one) => one.type === "parcoords");
    if (!trace) return;
    const brush = {};
    for (const axis of trace.dimensions) {
      if (axis.constraintrange) {
        const ranges = Array.isArray(axis.constraintrange[0]) ? axis.constraintrange : [axis.constraintrange];
        brush[axis.name ?? axis.label] = ranges;
      }
    }
    setStateValue("brush", brush);
  });
}

// Draw the host's figure in the page's colours. first: it has no size yet; later, titles are broken at once, not after
// they were seen whole.
function draw(host, Plotly, first) {
  const style = getComputedStyle(host), figure = read(host.drawn, style);
  host.colour = textColour(style);
  document.documentElement.style.setProperty("--mixdesk-page", ground(style)); // for what lies outside of components
  host.titles = titlesOf(figure.layout);
  if (!first) {
    for (const [axis, title] of Object.entries(fitting(host, host.titles))) figure.layout[axis].title.text = title;
    figure.layout.height = parseFloat(host.style.height);
  }
  Plotly.react(host, legible(figure.data, style), dressed(figure, style), CONFIG);
}

// Draw again once the page's theme has changed: the colours were read as the figure was drawn.
function keepColours(host, redraw) {
  const look = () => {
    if (!host.isConnected) watcher.disconnect();
    else if (textColour(getComputedStyle(host)) !== host.colour) redraw();
  };
  const watcher = new MutationObserver(() => setTimeout(look, 100));
  watcher.observe(document.querySelector('[data-testid="stApp"]'), { attributes: true, attributeFilter: ["class"] });
}

// How far from what is seen a chart is drawn already: a turn of the wheel does not outrun it.
const AHEAD = "600px 0px";

// Whether a place is in sight or nearly so, told whenever that changes. What nobody sees is not drawn: a page of many
// charts stands sooner, and a fader waits for those in sight only. On paper all of them are.
function watchPlace(host, told) {
  const root = host.closest('[role="dialog"], [data-testid="stMain"]');
  const seen = new IntersectionObserver((entries) => told(entries.at(-1).isIntersecting), { root, rootMargin: AHEAD });
  seen.observe(host);
  const paper = () => (host.isConnected ? told(true) : removeEventListener("beforeprint", paper));
  addEventListener("beforeprint", paper);
}

const RUNNING = '[data-testid="stApp"][data-test-script-state="running"]', LONGEST = 250; // milliseconds

// Act once the browser has read the page's answer, or after LONGEST: while it draws a chart it reads nothing else. At
// once where no answer is on its way.
function onceRead(host, act) {
  if (host.waits) return;
  const from = performance.now();
  const look = () => {
    host.waits = document.querySelector(RUNNING) !== null && performance.now() < from + LONGEST;
    if (host.waits) setTimeout(look, 10);
    else act();
  };
  look();
}

// Draw what the host is to show, unless it is drawn or out of sight: then once it comes near.
function show(host, Plotly, setStateValue) {
  if (!host.near || host.drawn === host.wanted || !host.isConnected) return;
  const first = host.drawn === undefined;
  host.drawn = host.wanted;
  draw(host, Plotly, first);
  if (!first) return;
  listen(host, setStateValue);
  keepFitting(host, Plotly);
  keepColours(host, () => draw(host, Plotly, false));
}

export default function ({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".mixdesk-plot");
  if (host.asked !== data.height) host.style.height = `${data.height}px`;
  host.asked = data.height;
  host.style.minWidth = `${data.narrowest}px`;
  parentElement.style.overflowX = data.narrowest ? "auto" : "";
  let gone = false;
  plotly(data.plotly).then(
    (Plotly) => {
      if (gone) return;
      const known = host.wanted !== undefined;
      host.wanted = data.figure;
      const shown = () => onceRead(host, () => show(host, Plotly, setStateValue));
      if (known && host.near !== undefined) shown();
      if (known) return;
      watchPlace(host, (near) => {
        host.near = near;
        host.toggleAttribute("data-out-of-sight", !near);
        shown();
      });
    },
    () => { host.textContent = "The chart script did not load. Reload the page."; },
  );
  return () => { gone = true; };
}
