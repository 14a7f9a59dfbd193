// Keys for everything; none while somebody types in a field, and none that a browser has taken.

import { by } from "./words.js";

export function listen(ask, act) {
  const keys = {
    a: () => ask.approve(), m: () => { ask.modify(!ask.modifying); if (ask.modifying) by("map").focus?.(); },
    r: () => ask.refuse(!ask.refusing), t: act.takeOver, p: act.pause, u: () => ask.undo(), s: act.steer, "?": act.help,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !event.key.startsWith("Arrow")) return;
    const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (act.replays() && !typing && !document.querySelector("dialog[open]") && !event.target.matches("input[type=range]")) {
      const moves = { " ": act.play, ArrowLeft: () => act.step(-1), ArrowRight: () => act.step(1) }[event.key];
      if (moves && !event.target.matches("button, summary")) {
        event.preventDefault();
        return moves();
      }
    }
    if (event.key === "Escape" && act.replays()) return by("keys").close();
    if (event.key === "Escape" && !by("enter").open) {
      event.preventDefault();
      if (typing) return event.target.blur(); // the next one stops
      by("keys").close();
      return act.stop();
    }
    if (typing || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && !event.target.matches("button, a, summary")) return ask.approve();
    if (/^[0-9]$/.test(event.key)) return ask.refusing ? event.key > 0 && event.key < 6 && ask.because(event.key - 1) : ask.choose(Number(event.key));
    if (ask.modifying && event.key.startsWith("Arrow")) {
      event.preventDefault();
      return act.nudge({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]);
    }
    const act_on = keys[event.key.toLowerCase()];
    if (!act_on) return;
    event.preventDefault(); // the key is not typed into what it opens
    act_on();
  });
}
