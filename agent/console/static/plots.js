// Dose over time, and the spectrum with its edges.

import { by, colour, number } from "./words.js";

const axis = (label, values) => ({
  label, values, stroke: () => colour("quiet"), grid: { stroke: () => colour("line"), width: 1 },
  ticks: { stroke: () => colour("line"), size: 4 }, size: 44, labelSize: 16, font: "11px system-ui", labelFont: "11px system-ui",
});

function plot(id, options, data) {
  const place = by(id), width = Math.max(place.clientWidth, 200);
  const made = new uPlot({ width, height: 170, cursor: { drag: { x: true, y: false } }, legend: { show: false }, ...options }, data, place);
  new ResizeObserver(() => made.setSize({ width: Math.max(place.clientWidth, 200), height: 170 })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.redraw());
  return made;
}

// A logarithmic axis has a line and a label a power of ten.
const powers = (_, __, low, high) => {
  const first = Math.ceil(Math.log10(low)), count = Math.max(1, Math.floor(Math.log10(high)) - first + 1);
  return Array.from({ length: count }, (_, at) => 10 ** (first + at));
};
const decades = (_, splits) => splits.map((value) => (value === null ? "" : value < 1e4 ? String(value) : number(value)));

let dose, spectrum, known = {};

export function drawDose(turns, run) {
  let sum = 0;
  const data = [turns.map((turn) => turn.clock_s - run.start_s), turns.map((turn) => ((sum += turn.electrons) / run.max_electrons) * 100)];
  dose ??= plot("dose-plot", {
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high || 0, 1)] } },
    axes: [axis("specimen time (s)"), axis("dose (% of the budget)")],
    series: [{}, { stroke: () => colour("blue"), width: 2, fill: () => colour("blue-faint") }],
  }, data);
  dose.setData(data);
}

// Onsets of edges as the console knows them; a label goes to the first row where it meets no other.
function edges(made) {
  const { ctx: context, bbox } = made, ends = [];
  context.save();
  context.strokeStyle = context.fillStyle = colour("quiet");
  context.font = `${11 * devicePixelRatio}px system-ui`;
  for (const [name, at_eV] of Object.entries(known).sort(([, one], [, other]) => one - other)) {
    if (at_eV < made.scales.x.min || at_eV > made.scales.x.max) continue;
    const x = made.valToPos(at_eV, "x", true), wide = context.measureText(name).width + 8 * devicePixelRatio;
    context.globalAlpha = 0.35;
    context.fillRect(x, bbox.top, 1, bbox.height);
    context.globalAlpha = 1;
    const left = Math.min(x + 3, bbox.left + bbox.width - wide), free = ends.findIndex((end) => end < left), row = free < 0 ? ends.length : free;
    ends[row] = left + wide;
    context.fillText(name, left, bbox.top + (12 + 13 * row) * devicePixelRatio);
  }
  context.restore();
}

export function drawSpectrum(told) {
  known = told.edges;
  by("spectrum-told").textContent = `${told.mode}, turn ${told.turn}`;
  const data = [told.counts.map((_, channel) => told.offset_eV + channel * told.step_eV), told.counts.map((count) => (count > 0 ? count : null))];
  spectrum ??= plot("spectrum", {
    scales: { x: { time: false }, y: { distr: 3 } },
    axes: [axis("energy (eV)"), { ...axis("counts", decades), splits: powers }],
    series: [{}, { stroke: () => colour("blue"), width: 1, spanGaps: true }],
    hooks: { draw: [edges] },
  }, data);
  spectrum.setData(data);
}
