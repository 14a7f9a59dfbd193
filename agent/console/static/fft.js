// The power spectrum of a picture: of its middle, a power of two wide, under a Hann window, in 256 steps of its logarithm.

export function powerSpectrum(pixels, width, height) {
  const size = 2 ** Math.floor(Math.log2(Math.min(width, height, 512)));
  const real = new Float32Array(size * size), imaginary = new Float32Array(size * size);
  const left = (width - size) >> 1, top = (height - size) >> 1;
  const hann = Float32Array.from({ length: size }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (at + 0.5)) / size));
  let mean = 0;
  for (const value of pixels) mean += value;
  mean /= pixels.length;
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      real[y * size + x] = (pixels[(y + top) * width + x + left] - mean) * hann[x] * hann[y];
  for (let line = 0; line < size; line++) transform(real, imaginary, line * size, 1, size);
  for (let line = 0; line < size; line++) transform(real, imaginary, line, size, size);
  const logs = new Float32Array(size * size), half = size >> 1;
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const at = y * size + x, to = ((y + half) % size) * size + ((x + half) % size);
      logs[to] = Math.log(1e-3 + real[at] ** 2 + imaginary[at] ** 2);
    }
  const sorted = Float32Array.from(logs).sort(), low = sorted[logs.length >> 2], high = sorted[Math.floor(logs.length * 0.999)];
  return { size, pixels: Uint8ClampedArray.from(logs, (value) => ((value - low) / Math.max(high - low, 1e-6)) * 255) };
}

// In place, of n values from ``start`` in steps of ``step``; n is a power of two.
export function transform(real, imaginary, start, step, n) {
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j)
      for (const part of [real, imaginary])
        [part[start + i * step], part[start + j * step]] = [part[start + j * step], part[start + i * step]];
  }
  for (let length = 2; length <= n; length <<= 1) {
    const angle = (-2 * Math.PI) / length;
    for (let k = 0; k < length / 2; k++) {
      const c = Math.cos(angle * k), s = Math.sin(angle * k);
      for (let i = k; i < n; i += length) {
        const a = start + i * step, b = start + (i + length / 2) * step;
        const re = real[b] * c - imaginary[b] * s, im = real[b] * s + imaginary[b] * c;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}
