// A Plotly figure drawn in place with Plotly.react, in the page's colours; returns brushes.

const CONFIG = {
  displaylogo: false,
  responsive: true,
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

function dressed(figure, element) {
  const style = getComputedStyle(element);
  const colour = style.getPropertyValue("--st-text-color") || style.color;
  const font = { ...figure.layout.font, color: colour, family: style.fontFamily };
  const hover = { bgcolor: style.getPropertyValue("--st-secondary-background-color"), font: { color: colour } };
  return { ...figure.layout, font, hoverlabel: { ...hover, ...figure.layout.hoverlabel }, uirevision: "keep" };
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

export default function ({ data, parentElement, setStateValue }) {
  const host = parentElement.querySelector(".mixdesk-plot");
  host.style.height = `${data.height}px`;
  let gone = false;
  plotly(data.plotly).then(
    (Plotly) => {
      if (gone || host.drawn === data.figure) return;
      const first = host.drawn === undefined;
      host.drawn = data.figure;
      const figure = JSON.parse(data.figure);
      Plotly.react(host, figure.data, dressed(figure, host), CONFIG);
      if (first) listen(host, setStateValue);
    },
    () => { host.textContent = "The chart script did not load. Reload the page."; },
  );
  return () => { gone = true; };
}
