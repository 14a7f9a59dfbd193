// Colour maps of 256 steps, as little-endian RGBA words, from a few of their stops.

const STOPS = {
  grey: ["#000000", "#ffffff"],
  viridis: ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  inferno: ["#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"],
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
};
const made = {};

export function colourMap(name) {
  return (made[name] ??= Uint32Array.from({ length: 256 }, (_, step) => {
    const stops = STOPS[name], at = (step / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
    const [red, green, blue] = [1, 3, 5].map((from) => {
      const [a, b] = [stops[low], stops[low + 1]].map((stop) => parseInt(stop.slice(from, from + 2), 16));
      return Math.round(a + (b - a) * (at - low));
    });
    return (255 << 24) | (blue << 16) | (green << 8) | red;
  }));
}
