// The live view: newest picture, colour map, contrast, FFT, scale bar, rate and age.

import { by, number, seconds, sharp, colour } from "./words.js";
import { colourMap } from "./colours.js";
import { powerSpectrum } from "./fft.js";

const BARS_NM = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

export class Live {
  constructor(link) {
    this.link = link;
    this.canvas = by("live");
    this.head = null;
    this.times = [];
    this.marker = null; // the field that is proposed: x_nm, y_nm, width_nm, height_nm
    this.wanted = false;
    link.onPicture = (data) => this.take(data);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    for (const id of ["colours", "low", "high", "fft"]) by(id).addEventListener("input", () => this.draw());
  }

  take(data) {
    const length = new DataView(data).getUint32(0, true);
    this.head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    this.pixels = new Uint8Array(data, 4 + length);
    this.came = performance.now();
    this.times = [...this.times.filter((time) => this.came - time < 3000), this.came];
    if (!this.wanted) {
      this.wanted = true;
      requestAnimationFrame(() => {
        this.wanted = false;
        this.draw();
        this.link.next();
      });
    }
  }

  draw() {
    if (!this.head) return;
    const { width, height } = this.head, shown = by("fft").checked ? powerSpectrum(this.pixels, width, height) : null;
    const from = shown ? shown.pixels : this.pixels, [w, h] = shown ? [shown.size, shown.size] : [width, height];
    const low = Number(by("low").value), high = Math.max(Number(by("high").value), low + 1);
    const map = colourMap(by("colours").value), table = new Uint32Array(256);
    for (let step = 0; step < 256; step++)
      table[step] = map[shown ? step : Math.min(255, Math.max(0, Math.round(((step - low) / (high - low)) * 255)))];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    this.canvas.style.aspectRatio = `${w} / ${h}`;
    const context = this.canvas.getContext("2d");
    this.image = this.image?.width === w && this.image.height === h ? this.image : context.createImageData(w, h);
    const words = new Uint32Array(this.image.data.buffer);
    for (let at = 0; at < words.length; at++) words[at] = table[from[at]];
    context.putImageData(this.image, 0, 0);
    this.over(w, shown);
    this.histogram(low, high);
  }

  // Scale bar and marker, over the picture and as sharp as the screen; drawn anew only where they are others.
  over(w, shown) {
    const place = by("live-over"), box = place.getBoundingClientRect(), { pixel_nm, x_nm, y_nm } = this.head;
    const { marker } = this, mark = marker && [marker.x_nm, marker.y_nm, marker.width_nm, marker.height_nm];
    const key = JSON.stringify([w, pixel_nm, mark && x_nm, mark && y_nm, mark, Boolean(shown), box.width, box.height, devicePixelRatio]);
    if (key === this.drawn) return;
    this.drawn = key;
    const [context, wide, tall] = sharp(place), zoom = wide / w;
    if (shown) return this.bar(context, wide, tall, pixel_nm ? 1 / (wide * pixel_nm) : 0, "1/nm");
    this.mark(context, wide, tall, pixel_nm / zoom);
    this.bar(context, wide, tall, pixel_nm / zoom, "nm");
  }

  // A bar of a round length, about a fifth of the picture.
  bar(context, width, height, pixel, unit) {
    if (!pixel) return;
    const aim = pixel * width * 0.25, scales = unit === "nm" ? BARS_NM : [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, ...BARS_NM];
    context.font = "600 14px system-ui, sans-serif";
    const length = scales.filter((scale) => scale <= aim).pop() ?? scales[0], across = length / pixel;
    const left = 14, bottom = height - 12, wide = Math.max(across, context.measureText(`${length} ${unit}`).width);
    context.fillStyle = "rgb(0 0 0 / .6)";
    context.fillRect(left - 6, bottom - 24, wide + 12, 30);
    context.fillStyle = "#fff";
    context.fillRect(left, bottom - 3, across, 3);
    context.fillText(`${length} ${unit}`, left, bottom - 8);
  }

  // The proposed field, where it lies in this picture.
  mark(context, width, height, p) {
    if (!this.marker || !p) return;
    const { x_nm, y_nm, width_nm, height_nm } = this.marker;
    const x = (x_nm - this.head.x_nm) / p + width / 2, y = (y_nm - this.head.y_nm) / p + height / 2;
    const w = width_nm / p, h = height_nm / p;
    context.lineWidth = 2;
    context.strokeStyle = "#ff9f43";
    context.strokeRect(x - w / 2, y - h / 2, w, h);
    context.beginPath();
    context.arc(x, y, 5, 0, 7);
    context.stroke();
  }

  histogram(low, high) {
    const [context, width, height] = sharp(by("histogram")), counts = new Float64Array(64);
    for (let at = 0; at < this.pixels.length; at += 3) counts[this.pixels[at] >> 2]++;
    const most = Math.max(...counts.map(Math.sqrt));
    context.fillStyle = colour("blue");
    counts.forEach((count, bin) => {
      const tall = (Math.sqrt(count) / most) * height;
      context.fillRect((bin * width) / 64, height - tall, width / 64 - 0.5, tall);
    });
    context.fillStyle = colour("red");
    for (const value of [low, high]) context.fillRect((value / 255) * width - 1, 0, 2, height);
  }

  // Called a few times a second, so that ages grow while nothing comes.
  tell() {
    if (!this.head) return;
    const span = this.times.length > 1 ? (this.times.at(-1) - this.times[0]) / 1000 : 0;
    const rate = span > 0 && performance.now() - this.came < 1500 ? `, ${((this.times.length - 1) / span).toFixed(0)}/s` : "";
    const binned = this.head.binned > 1 ? `, binned ${this.head.binned}x` : "";
    const part = this.head.rows === null ? "" : `, row ${this.head.rows} of ${this.head.height}`;
    const age = seconds((performance.now() - this.came) / 1000);
    by("live-told").textContent =
      `${this.head.mode}, turn ${this.head.turn}, ${age} old${part}${rate}${binned}, counts ${number(this.head.low)} to ${number(this.head.high)}`;
  }
}
