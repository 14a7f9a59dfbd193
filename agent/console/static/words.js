// How numbers are said, and small helpers for the page.

export const by = (id) => document.getElementById(id);

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "not known";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size >= -3 && size < 5) return String(Number(value.toPrecision(digits)));
  const power = String(Math.abs(size)).replace(/\d/g, (figure) => RAISED[figure]);
  return `${Number((value / 10 ** size).toPrecision(digits))}·10${size < 0 ? "⁻" : ""}${power}`;
}

export function seconds(value) {
  if (value < 10) return `${value.toFixed(1)} s`;
  return value < 120 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}

export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// A canvas as sharp as the screen: its context, and its size in CSS pixels.
export function sharp(canvas) {
  const box = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const draw = canvas.getContext("2d");
  draw.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw.clearRect(0, 0, box.width, box.height);
  return [draw, box.width, box.height];
}
