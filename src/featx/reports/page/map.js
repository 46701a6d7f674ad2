// ---- the map of the features

const plot = byId("plot");
// Told apart by colour and by shape; each colour has a contrast of 3 with both grounds.
const styles = [
  ["#0072b2", "circle"], ["#d55e00", "square"], ["#009473", "diamond"], ["#c2619a", "triangle-up"], ["#3a94cf", "cross"],
  ["#b37700", "star"], ["#8064c0", "triangle-down"], ["#7c8a2a", "hexagon"], ["#a5673f", "pentagon"], ["#7a828c", "x"],
];
const spot = { traces: [], at: -1 };

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function groups() {
  const { row } = data.map;
  const label = row.map((one) => data.rows.label[one]);
  const sizes = new Map();
  for (const one of label) sizes.set(one, (sizes.get(one) || 0) + 1);
  const asked = byId("map-class") ? Number(byId("map-class").value) : -1;
  let named = [...sizes.keys()].sort((a, b) => a - b);
  if (asked >= 0) named = [asked];
  else if (named.length > styles.length) named = named.sort((a, b) => errors[b] - errors[a] || a - b).slice(0, 8).sort((a, b) => a - b);
  const found = named.map((one, index) => ({ name: data.classes[one], style: styles[index], points: [] }));
  const others = { name: "other classes", style: [colour("--edge"), "circle"], faint: true, points: [] };
  label.forEach((one, point) => {
    const index = named.indexOf(one);
    (index < 0 ? others : found[index]).points.push(point);
  });
  return others.points.length ? [others, ...found] : found;
}

// The library takes some markup in names, which are to be shown as they are.
const plainly = (text) => (text.length > 28 ? `${text.slice(0, 27)}…` : text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function traces() {
  const { row, x, y } = data.map;
  spot.traces = groups();
  const [small, large] = row.length > 600 ? [5, 8] : [7, 11];
  const wrong = (point) => data.rows.label[row[point]] !== data.rows.predicted[row[point]];
  const drawn = spot.traces.map((group) => ({
    type: "scatter", mode: "markers", name: plainly(group.name), hoverinfo: "none",
    x: group.points.map((point) => x[point]), y: group.points.map((point) => y[point]), customdata: group.points,
    marker: {
      color: group.style[0], symbol: group.style[1], opacity: group.faint ? 0.45 : 0.9,
      size: group.points.map((point) => (wrong(point) ? large : small)),
      line: { color: colour("--ink"), width: group.points.map((point) => (wrong(point) ? 1.5 : 0)) },
    },
  }));
  const at = spot.at < 0 ? [] : [spot.at];
  drawn.push({
    type: "scatter", mode: "markers", name: "", showlegend: false, hoverinfo: "skip", x: at.map((p) => x[p]), y: at.map((p) => y[p]),
    marker: { symbol: "circle-open", size: 22, color: colour("--accent"), line: { width: 3 } },
  });
  return drawn;
}

function layout() {
  const axis = { visible: false, zeroline: false, showgrid: false };
  return {
    autosize: true, margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
    xaxis: axis, yaxis: { ...axis }, hovermode: "closest", // A finger scrolls the page; the buttons zoom.
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "pan", showlegend: true,
    legend: { orientation: "h", y: 0, yanchor: "top", itemsizing: "constant", bgcolor: "rgba(0,0,0,0)" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--quiet"), activecolor: colour("--accent") },
    hoverdistance: 24,
  };
}

const settings = {
  responsive: true, displaylogo: false, scrollZoom: false, displayModeBar: true,
  modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d"]],
};

function pick(point) {
  if (point === spot.at) return;
  spot.at = point;
  byId("map-image").replaceChildren(figure(shown(data.map.row[point])));
  window.Plotly.restyle(plot, { x: [[data.map.x[point]]], y: [[data.map.y[point]]] }, [spot.traces.length]);
}

function step(key) {
  const { x, y } = data.map;
  const on = spot.traces.flatMap((group) => group.points);
  if (spot.at < 0) return pick(on[0]);
  const [down, across] = arrows[key];
  let best = -1;
  let least = Infinity;
  for (const point of on) {
    const ahead = across * (x[point] - x[spot.at]) - down * (y[point] - y[spot.at]);
    const aside = Math.abs(across ? y[point] - y[spot.at] : x[point] - x[spot.at]);
    if (point === spot.at || ahead <= 0 || aside > ahead) continue;
    const far = ahead + aside;
    if (far < least) [best, least] = [point, far];
  }
  return best < 0 ? undefined : pick(best);
}

async function drawMap() {
  try {
    const code = await unpack(byId("plotting").textContent);
    document.head.append(make("script", {}, code));
    plot.replaceChildren();
    await window.Plotly.newPlot(plot, traces(), layout(), settings);
  } catch (error) {
    plot.replaceChildren(make("p", {}, "This browser is too old to draw the map."));
    return;
  }
  const redraw = () => window.Plotly.react(plot, traces(), layout(), settings);
  for (const event of ["plotly_hover", "plotly_click"]) {
    plot.on(event, ({ points }) => points[0].customdata !== undefined && pick(points[0].customdata));
  }
  plot.addEventListener("keydown", (event) => {
    if (!(event.key in arrows)) return;
    event.preventDefault();
    step(event.key);
  });
  if (byId("map-class")) byId("map-class").addEventListener("input", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  plot.dataset.state = "drawn";
}

// When it comes near the screen, so that a phone needn't unpack what nobody looks at; else in time for print.
if (plot) {
  let begun = false;
  const begin = () => {
    if (!begun) drawMap();
    begun = true;
  };
  const near = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) begin();
  }, { rootMargin: "800px" });
  near.observe(plot);
  window.addEventListener("load", () => setTimeout(begin, 4000));
}
