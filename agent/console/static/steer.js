// What is wanted of the run from here on: question, budgets, policy, what its targets are worth, and where to look.

import { by, element } from "./words.js";

const REGIONS = "goal.regions";

export class Steer {
  constructor(link, map) {
    this.link = link;
    this.map = map; // gives a region that somebody draws, in nm
    this.run = null;
    this.given = ""; // what the form was last filled with
    this.regions = [];
    map.drawn = (region) => {
      this.regions.push(region);
      this.draws(false);
      this.show();
    };
    by("steer").onsubmit = (event) => {
      event.preventDefault();
      this.send(this.changes());
    };
    by("steer-undo").onclick = () => this.send([]);
    by("steer-draw").onclick = () => this.draws(!map.draws);
    by("steer-clear").onclick = () => {
      this.regions = [];
      this.show();
    };
    by("steer-policy").onchange = () => (by("steer-settings").value = "");
  }

  open() {
    by("steer-details").open = !by("steer-details").open;
    if (by("steer-details").open) by("steer-question").focus();
  }

  draws(on) {
    this.map.draws = on;
    by("steer-draw").setAttribute("aria-pressed", on);
    by("steer-draw").textContent = on ? "Drag over the map" : "Draw a region on the map";
    by("map").classList.toggle("draws", on);
    if (on) by("map").scrollIntoView({ block: "center" });
  }

  // The form holds what is wanted now; what somebody types in it stays until that is another.
  fill(run, status, may) {
    for (const field of by("steer").elements) field.disabled = !may || status.mode === "none";
    by("steer-clear").disabled ||= !this.regions.length;
    const wanted = status.steering.join("; ");
    by("steer-told").textContent =
      status.mode === "none" ? "not while the run is left alone" : wanted ? `${status.steered_by} wants ${wanted}` : "as it was started";
    const given = JSON.stringify([wanted, run.title, run.policy, run.end_s, run.max_electrons]);
    if (this.given === given) return;
    this.given = given;
    this.run = run;
    this.started = { question: run.title, electrons: String(run.max_electrons), duration: String(run.end_s - run.start_s), policy: run.policy };
    by("steer-question").value = run.title;
    by("steer-electrons").value = run.max_electrons;
    by("steer-duration").value = run.end_s - run.start_s;
    by("steer-policy").replaceChildren(...run.policies.map((name) => new Option(name, name, false, name === run.policy)));
    const values = Object.fromEntries(status.steering.map((change) => [change.slice(0, change.indexOf("=")), change.slice(change.indexOf("=") + 1)]));
    by("steer-settings").value = Object.entries(values)
      .filter(([path]) => path.startsWith("policy.settings."))
      .map(([path, value]) => `${path.slice(16)}=${value}`).join(" ");
    by("steer-weights").replaceChildren(...run.targets.map((name) => {
      const label = element("label", name.replaceAll("_", " "));
      label.append(element("input", "", { name, inputmode: "decimal", autocomplete: "off", value: values[`goal.weights.${name}`] ?? "" }));
      return label;
    }));
    this.kept = Object.keys(values);
    this.regions = values[REGIONS] ? JSON.parse(values[REGIONS].replaceAll("=", ":").replace(/\b([a-z]+)\b(?=:)/g, '"$1"')) : [];
    this.show();
  }

  show() {
    this.map.regions = this.regions;
    by("steer-clear").disabled = !this.regions.length || by("steer-draw").disabled;
    this.map.draw();
  }

  // All that is to be other than the run was started with, as the command line's --set would say it.
  changes() {
    const found = [], typed = (id) => by(id).value.trim(), started = this.started;
    const told = (path, value, before) => (value !== before || this.kept.includes(path)) && value && found.push(`${path}=${value}`);
    told("goal.question", typed("steer-question") && JSON.stringify(typed("steer-question")), JSON.stringify(started.question));
    told("budget.electrons", typed("steer-electrons"), started.electrons);
    told("budget.duration_s", typed("steer-duration"), started.duration);
    told("policy.name", typed("steer-policy"), started.policy);
    for (const word of typed("steer-settings").split(/\s+/).filter(Boolean)) found.push(`policy.settings.${word}`);
    for (const input of by("steer-weights").querySelectorAll("input")) if (input.value.trim()) found.push(`goal.weights.${input.name}=${input.value.trim()}`);
    const side = ({ low, high }) => `{low=${low.toFixed(1)},high=${high.toFixed(1)}}`;
    if (this.regions.length) found.push(`${REGIONS}=[${this.regions.map(({ x, y }) => `{x=${side(x)},y=${side(y)}}`).join(",")}]`);
    return found;
  }

  async send(changes) {
    by("steer-wrong").textContent = "";
    try {
      await this.link.call("POST", "/api/steer", { changes });
    } catch (error) {
      by("steer-wrong").textContent = error.message;
    }
  }
}
