// The map of the specimen: where it looked, what is proposed, the dose under it; and the belief beside it.

import { by, colour, number, sharp } from "./words.js";
import { colourMap } from "./colours.js";

const STATUS = { approved: "blue", edited: "violet", refused: "quiet", timed_out: "quiet", rejected: "red", failed: "red", proposed: "mark" };
export const SPOKEN = { approved: "seen", edited: "edited by a person", failed: "failed (crossed)", proposed: "proposed" };

export class SpecimenMap {
  constructor(moved) {
    this.canvas = by("map");
    this.moved = moved; // called with x_nm, y_nm when somebody drags the marker
    this.turns = [];
    this.choices = [];
    this.chosen = 0;
    this.doses = null; // what each cell was charged
    this.rival = null; // what another policy would have chosen
    this.drags = false;
    this.dragged = null;
    this.draws = false; // the next drag draws a region, which goes to ``drawn``
    this.drawn = () => {};
    this.regions = [];
    this.corner = null;
    by("under").addEventListener("input", () => this.draw());
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event, true));
    this.canvas.addEventListener("pointermove", (event) => event.buttons && this.drag(event, false));
    this.canvas.addEventListener("pointerup", () => this.drop());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    for (const [verdict, told] of Object.entries(SPOKEN)) {
      const item = document.createElement("li"), box = document.createElement("span");
      box.style.borderColor = `var(--${STATUS[verdict]})`;
      item.append(box, told);
      by("legend").append(item);
    }
  }

  get scale() {
    const box = this.canvas.getBoundingClientRect();
    return Math.min(box.width, box.height) / (this.extent_nm * 1.12);
  }

  // Specimen frame to CSS pixels: x along columns, y along rows.
  at(x_nm, y_nm) {
    const box = this.canvas.getBoundingClientRect();
    return [box.width / 2 + x_nm * this.scale, box.height / 2 + y_nm * this.scale];
  }

  drag(event, begins) {
    const choice = this.choices[this.chosen];
    if (!this.draws && (!this.drags || !choice)) return;
    if (begins) this.canvas.setPointerCapture(event.pointerId);
    const box = this.canvas.getBoundingClientRect();
    const at = { x: (event.clientX - box.left - box.width / 2) / this.scale, y: (event.clientY - box.top - box.height / 2) / this.scale };
    if (!this.draws) return this.shift(at.x, at.y);
    if (begins) this.corner = at;
    const side = (name) => ({ low: Math.min(this.corner[name], at[name]), high: Math.max(this.corner[name], at[name]) });
    this.rubber = { x: side("x"), y: side("y") };
    this.draw();
  }

  shift(x_nm, y_nm) {
    this.dragged = { x_nm, y_nm };
    this.draw();
  }

  drop() {
    if (this.draws && this.rubber) {
      const region = this.rubber;
      this.rubber = null;
      return this.drawn(region);
    }
    if (this.dragged) this.moved(this.dragged.x_nm, this.dragged.y_nm);
  }

  draw() {
    if (!this.extent_nm) return;
    const [context] = sharp(this.canvas), edge = this.extent_nm * this.scale, [left, top] = this.at(-this.extent_nm / 2, -this.extent_nm / 2);
    by("map-told").textContent = "";
    if (by("under").value === "dose") this.dose(context);
    context.lineWidth = 1;
    context.strokeStyle = colour("line");
    context.strokeRect(left, top, edge, edge);
    for (const turn of this.turns) this.field(context, turn, colour(STATUS[turn.failure ? "failed" : turn.verdict] ?? "quiet"));
    for (const { x, y } of [...this.regions, ...(this.rubber ? [this.rubber] : [])]) this.region(context, x, y);
    this.choices.forEach((choice, number) => number !== this.chosen && this.marker(context, choice, number, false));
    if (this.rival) this.marker(context, this.rival, "", false, "green");
    const chosen = this.choices[this.chosen];
    if (chosen) this.marker(context, { ...chosen, ...this.dragged }, this.chosen, true);
    this.bar(context);
  }

  // All that is to be looked at, where somebody said so.
  region(context, x, y) {
    const [left, top] = this.at(x.low, y.low), [right, bottom] = this.at(x.high, y.high);
    context.strokeStyle = colour("green");
    context.lineWidth = 2;
    context.setLineDash([8, 4]);
    context.strokeRect(left, top, right - left, bottom - top);
    context.setLineDash([]);
    context.lineWidth = 1;
  }

  field(context, turn, stroke) {
    if (!turn.mode) return;
    const [x, y] = this.at(turn.x_nm, turn.y_nm), w = turn.width_nm * this.scale, h = turn.height_nm * this.scale;
    context.strokeStyle = stroke;
    context.globalAlpha = 0.75;
    if (w > 3) context.strokeRect(x - w / 2, y - h / 2, w, h);
    else context.strokeRect(x - 3, y - 3, 6, 6);
    if (turn.failure) {
      const [r, d] = [Math.max(w / 2, 3), Math.max(h / 2, 3)];
      context.beginPath();
      context.moveTo(x - r, y - d);
      context.lineTo(x + r, y + d);
      context.moveTo(x - r, y + d);
      context.lineTo(x + r, y - d);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  marker(context, choice, number, chosen, other = "ink") {
    const [x, y] = this.at(choice.x_nm, choice.y_nm), w = Math.max(choice.width_nm * this.scale, 8), h = Math.max(choice.height_nm * this.scale, 8);
    context.strokeStyle = context.fillStyle = colour(chosen ? "mark" : other);
    context.lineWidth = chosen ? 3 : 1.5;
    context.setLineDash(chosen ? [] : [4, 3]);
    context.strokeRect(x - w / 2, y - h / 2, w, h);
    context.setLineDash([]);
    context.font = "600 12px system-ui, sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = colour("card");
    context.strokeText(number === 0 ? "A" : String(number), x + w / 2 + 3, y - h / 2 + 10);
    context.fillText(number === 0 ? "A" : String(number), x + w / 2 + 3, y - h / 2 + 10);
  }

  // What the ledger of the console charged to each cell.
  dose(context) {
    if (!this.doses) return;
    const { rows, columns, cell_nm, x_nm, y_nm, charged } = this.doses, most = Math.max(...charged);
    const [left, top] = this.at(x_nm, y_nm), edge = cell_nm * this.scale;
    if (most) paint(context, charged.map(Math.sqrt), [columns, rows], 0, Math.sqrt(most), "inferno", left, top, edge * columns, edge * rows, true);
    by("map-told").textContent = `dose (its root) up to ${number(most)} e/Å²`;
  }

  bar(context) {
    const length = 10 ** Math.floor(Math.log10(this.extent_nm / 2)), [x, y] = this.at(-this.extent_nm / 2, this.extent_nm * 0.535);
    context.fillStyle = colour("ink");
    context.fillRect(x, y, length * this.scale, 3);
    context.font = "12px system-ui, sans-serif";
    context.fillText(`${length} nm`, x + length * this.scale + 6, y + 5);
  }
}

// Values on a grid (columns, rows), painted into a rectangle; with ``clear`` zeros are left out.
export function paint(context, values, [columns, rows], low, high, name, left, top, width, height, clear = false) {
  const small = document.createElement("canvas"), map = colourMap(name);
  [small.width, small.height] = [columns, rows];
  const image = small.getContext("2d").createImageData(columns, rows), words = new Uint32Array(image.data.buffer);
  values.forEach((value, at) => {
    const step = Math.round(Math.min(1, Math.max(0, (value - low) / Math.max(high - low, 1e-12))) * 255);
    words[at] = clear && !value ? 0 : map[step];
  });
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, left, top, width, height);
}

export function drawBelief(fields, cells, choice, extent_nm) {
  const select = by("field");
  if (select.options.length !== fields.length)
    select.replaceChildren(...fields.map((field) => new Option(field.name.replaceAll("_", " "), field.name)));
  const field = fields.find((each) => each.name === select.value) ?? fields[0];
  if (!field) return;
  by("belief-told").textContent = "at the end of the run";
  for (const [what, name] of [["mean", "viridis"], ["sd", "cividis"]]) {
    const [context, width] = sharp(by(`belief-${what}`)), values = field[what];
    const low = what === "sd" ? 0 : Math.min(...values), high = Math.max(...values);
    paint(context, values, [cells, cells], low, high, name, 0, 0, width, width);
    if (choice) {
      const scale = width / extent_nm, w = Math.max(choice.width_nm * scale, 6), h = Math.max(choice.height_nm * scale, 6);
      context.strokeStyle = colour("mark");
      context.lineWidth = 2;
      context.strokeRect((choice.x_nm + extent_nm / 2) * scale - w / 2, (choice.y_nm + extent_nm / 2) * scale - h / 2, w, h);
    }
    by(`belief-${what}-told`).textContent = `${what}: ${number(low)} to ${number(high)} ${field.unit}`;
  }
}
