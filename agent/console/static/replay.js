// The bar of a replay: which turn of the record is shown, how fast it goes on, and whom it is compared with.

import { by } from "./words.js";

export class Replay {
  constructor(link) {
    this.link = link;
    this.told = null;
    by("replay-turn").oninput = () => this.go({ turn: Number(by("replay-turn").value), speed: 0 });
    by("replay-play").onclick = () => this.play();
    by("replay-speed").onchange = () => this.told?.speed && this.go({ speed: Number(by("replay-speed").value) });
    by("replay-rival").onchange = () => by("replay-rival").value && this.go({ rival: by("replay-rival").value });
  }

  play() {
    if (this.told) this.go({ speed: this.told.speed ? 0 : Number(by("replay-speed").value) });
  }

  step(by_turns) {
    if (this.told) this.go({ turn: Math.min(Math.max(this.told.turn + by_turns, 0), this.told.turns - 1), speed: 0 });
  }

  show(status, run) {
    this.told = status.replayed;
    document.body.classList.toggle("replays", Boolean(this.told));
    by("replay").hidden = !this.told;
    if (!this.told) return;
    const { turn, turns, speed, rival } = this.told, slider = by("replay-turn");
    slider.max = turns - 1;
    if (!this.sent) slider.value = turn;
    slider.setAttribute("aria-valuetext", `turn ${turn} of ${turns}`);
    by("replay-told").textContent = `${turn + 1} of ${turns}`;
    by("replay-play").innerHTML = `<kbd>Space</kbd> ${speed ? "Halt" : "Play"}`;
    const others = by("replay-rival");
    if (others.options.length !== run.policies.length + 1)
      others.replaceChildren(new Option("nobody", ""), ...run.policies.map((name) => new Option(name, name)));
    if (rival && others !== document.activeElement) others.value = rival.name;
  }

  // One wish at a time is on its way; of those that come meanwhile the newest follows.
  async go(wanted) {
    if (this.sent) return void (this.next = { ...this.next, ...wanted });
    this.sent = true;
    try {
      await this.link.call("POST", "/api/replay", wanted);
    } finally {
      this.sent = false;
    }
    const next = this.next;
    this.next = null;
    if (next) this.go(next);
  }
}
