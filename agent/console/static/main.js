// The page: it shows what the console says, and asks the console for what people want. It decides nothing by itself.

import { Link } from "./link.js";
import { Live } from "./live.js";
import { SpecimenMap, drawBelief } from "./maps.js";
import { drawDose, drawSpectrum } from "./plots.js";
import { Ask } from "./ask.js";
import { Steer } from "./steer.js";
import { Replay } from "./replay.js";
import { listen } from "./keys.js";
import { by, element, number, seconds } from "./words.js";

const NOTICE_MS = 8000, LATE_S = 1.5, LOST_S = 4;

const link = new Link(), live = new Live(link), turns = [];
const ask = new Ask(link, look), map = new SpecimenMap(moved), steer = new Steer(link, map), replay = new Replay(link);
let run = null, told = null, toldAt = 0, belief = [];

// The marker was dropped somewhere: it goes back unless the console takes the edit.
async function moved(x_nm, y_nm) {
  await ask.edit({ x_nm, y_nm });
  map.dragged = null;
  map.draw();
}

// What is looked at changes: the markers with it.
function look() {
  map.choices = ask.shown ? ask.question.choices : [];
  map.rival = ask.replayed?.rival?.choice ?? null;
  map.chosen = ask.chosen;
  map.drags = ask.modifying;
  if (!ask.modifying) map.dragged = null;
  map.canvas.classList.toggle("drags", ask.modifying);
  live.marker = ask.choice;
  map.draw();
  live.draw();
  if (run) drawBelief(belief, run.cells, ask.choice, run.extent_nm);
}

link.on.run = (value) => {
  run = value;
  turns.length = 0;
  by("turns").replaceChildren();
  map.turns = turns;
  map.extent_nm = run.extent_nm;
  by("title").textContent = run.title;
  map.draw();
  link.next();
};

link.on.plan = (value) => {
  run = value;
  by("title").textContent = run.title;
  if (told) link.on.status(told);
};

link.on.turn = (turn) => {
  turns.push(turn);
  const item = element("li"), what = element("span", turn.failure || turn.reason);
  if (turn.failure) what.className = "bad";
  what.append(" ", element("span", turn.by === "envelope" ? "" : `${turn.verdict.replace("_", " ")} by ${turn.by}`, { class: "who" }));
  item.append(element("b", String(turn.turn)), what);
  by("turns").prepend(item);
  while (by("turns").children.length > 300) by("turns").lastChild.remove();
  schedule();
};

link.on.status = (value) => {
  told = value;
  toldAt = performance.now();
  const { status, you } = value, mine = status.holder === `${you.name} at ${you.screen}`;
  const may = you.role === "operator" && (mine || !status.holder) && ["", you.name].includes(status.taken_by);
  by("mode").value = status.mode;
  by("mode").disabled = by("pause").disabled = by("take-over").disabled = !(you.role === "operator" && (mine || !status.holder));
  by("pause").innerHTML = `<kbd>P</kbd> ${status.paused_by ? "Go on" : "Pause"}`;
  by("pause").setAttribute("aria-pressed", Boolean(status.paused_by));
  by("take-over").innerHTML = `<kbd>T</kbd> ${status.taken_by ? "Hand back" : "Take over"}`;
  by("take-over").setAttribute("aria-pressed", Boolean(status.taken_by));
  by("lease").textContent = mine ? "Give the lease up" : status.holder ? `Take it from ${status.holder.split(" at ")[0]}` : "Take the lease";
  by("lease").hidden = you.role !== "operator";
  const envelope = Object.entries(status.envelope).map(([name, { low, high }]) => `${name}=${low}..${high}`).join(" ");
  by("envelope-told").textContent = envelope || "none";
  ask.show(status, may);
  if (run) replay.show(status, run);
  if (run) steer.fill(run, status, you.role === "operator" && (mine || !status.holder));
  banner(status, you, mine);
  schedule();
};

link.on.dose = (value) => {
  map.doses = value;
  map.draw();
};
for (const id of ["run-hyperspy.zip", "report.html"])
  by(id).onclick = async () => {
    by(id).disabled = true;
    try {
      const saved = document.createElement("a"), url = URL.createObjectURL(await link.file(`/files/${id}`));
      Object.assign(saved, { href: url, download: id }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    } catch (error) {
      tell(error.message);
    }
    by(id).disabled = false;
  };
link.on.ended = () => (link.ended = true);
link.on.spectrum = drawSpectrum;
link.on.belief = (value) => {
  belief = value;
  drawBelief(belief, run.cells, ask.choice, run.extent_nm);
};
by("field").addEventListener("input", () => drawBelief(belief, run.cells, ask.choice, run.extent_nm));

function banner(status, you, mine) {
  const place = by("banner");
  const lines = [
    status.stop_failure && `The stop did not arrive at the instrument: ${status.stop_failure}. Blank the beam by hand.`,
    status.stopped_by && !status.stop_failure && `Stopped by ${status.stopped_by}. The beam is blanked and the run ends; adaptem run --resume goes on with it, and asks.`,
    you.role === "observer" && `You look on as ${you.name}; Stop works for you too.`,
    you.role === "operator" && status.holder && !mine && `${status.holder.split(" at ")[0]} decides, at another screen. You may take the lease.`,
  ].filter(Boolean);
  place.hidden = !lines.length;
  place.textContent = lines[0] ?? "";
  place.classList.toggle("mild", !status.stopped_by);
}

// Gauges and plots are drawn once a picture of the screen, however much comes.
let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    if (!run) return;
    map.draw();
    if (turns.length) drawDose(turns, run);
    gauges();
  });
}

function gauges() {
  const spent = turns.reduce((sum, turn) => sum + turn.electrons, 0), last = turns.at(-1), state = told?.state;
  const local = state?.fluence_max_e_per_A2 ?? last?.fluence_max_e_per_A2 ?? 0;
  const clock_s = (state?.clock_s ?? run.start_s) - run.start_s, duration_s = run.end_s - run.start_s;
  gauge("dose-all", spent / run.max_electrons, `${number(spent)} of ${number(run.max_electrons)}`);
  gauge("dose-local", local / run.max_fluence_e_per_A2, `${number(local)} of ${number(run.max_fluence_e_per_A2)} e/Å²`);
  gauge("time-all", clock_s / duration_s, `${seconds(clock_s)} of ${seconds(duration_s)}`);
  const choice = ask.choice;
  const pace = clock_s > 0 ? (spent / clock_s) * duration_s : 0, out_s = pace > run.max_electrons ? (duration_s * run.max_electrons) / pace : 0;
  const onward = turns.length > 2 ? (out_s ? ` At this pace the electrons last until ${seconds(out_s)}.` : ` At this pace ${number(pace)} electrons by the end.`) : "";
  by("forecast").textContent = onward.trim() && !choice ? onward.trim() : choice
    ? `With what is proposed: ${((100 * (spent + choice.electrons)) / run.max_electrons).toFixed(1)} % of the electrons, ${((100 * (clock_s + choice.time_s)) / duration_s).toFixed(1)} % of the time.${onward}`
    : "";
}

function gauge(id, share, words) {
  by(id).value = Math.min(1, Math.max(0, share));
  by(id).high = 0.9;
  by(`${id}-told`).textContent = words;
}

// Ages, the link and the clock of the question go on by themselves.
setInterval(() => {
  const silent_s = (performance.now() - link.heard) / 1000, state = !link.open || silent_s > LOST_S ? "lost" : silent_s > LATE_S ? "late" : "";
  by("link").className = `link ${state}`;
  const heard = link.heard ? `, what is shown is ${seconds(silent_s)} old` : "";
  const none = link.ended ? "the run has ended" : "no connection";
  by("link-text").textContent = state === "lost" ? `${none}${heard}` : state === "late" ? `late${heard}` : instrumentTold();
  if (told && ask.waits) {
    const left_s = told.status.left_s === null ? null : told.status.left_s - (performance.now() - toldAt) / 1000;
    by("ask-left").textContent = left_s === null ? "It waits without end." : state ? "" : `${Math.max(0, Math.ceil(left_s))} s left; silence holds.`;
  } else by("ask-left").textContent = "";
  live.tell();
}, 250);

// The console is heard; the instrument behind it may not have been for a while, blanked as it is.
function instrumentTold() {
  if (!told) return "connected";
  if (told.status.replayed) return `a record of ${run?.instrument ?? ""}: nothing runs`;
  const age_s = told.age_s + (performance.now() - toldAt) / 1000, state = told.state;
  const beam = state ? (state.beam_blanked ? "blanked" : "BEAM ON") : "";
  return `${run?.instrument ?? ""} ${beam}, read ${seconds(age_s)} ago`;
}

setInterval(() => link.next(), 5000); // keeps the lease while somebody looks on

async function acting(method, path, body) {
  try {
    await link.call(method, path, body);
  } catch (error) {
    tell(error.message);
  }
}

function tell(message) {
  by("notice").hidden = false;
  by("notice").textContent = message;
  clearTimeout(tell.over);
  tell.over = setTimeout(() => (by("notice").hidden = true), NOTICE_MS);
}

const act = {
  stop: () => acting("POST", "/api/stop"),
  pause: () => acting("POST", "/api/pause", { on: !told?.status.paused_by }),
  takeOver: () => acting("POST", "/api/take-over", { on: !told?.status.taken_by }),
  help: () => by("keys").showModal(),
  steer: () => steer.open(),
  play: () => replay.play(),
  step: (turns) => replay.step(turns),
  replays: () => Boolean(replay.told),
  nudge([right, down]) {
    const choice = { ...ask.choice, ...map.dragged }, step_nm = Math.max(choice.width_nm / 8, 1);
    map.shift(choice.x_nm + right * step_nm, choice.y_nm + down * step_nm);
    clearTimeout(act.settled);
    act.settled = setTimeout(() => map.drop(), 400);
  },
};
listen(ask, act);
by("stop").onclick = act.stop;
by("pause").onclick = act.pause;
by("take-over").onclick = act.takeOver;
by("help").onclick = act.help;
by("mode").onchange = () => acting("POST", "/api/mode", { mode: by("mode").value });
by("lease").onclick = () => {
  const { status, you } = told, mine = status.holder === `${you.name} at ${you.screen}`;
  return mine ? acting("DELETE", "/api/lease") : acting("POST", "/api/lease", { force: Boolean(status.holder) });
};

// key=low..high, by key; throws an Error for what is no range.
function ranges(text) {
  return Object.fromEntries(text.split(/\s+/).filter(Boolean).map((word) => {
    const found = word.match(/^([A-Za-z0-9_]+)=(.+)\.\.(.+)$/);
    if (!found || !Number.isFinite(Number(found[2])) || !Number.isFinite(Number(found[3])))
      throw new Error(`${word}: expected KEY=LOW..HIGH, such as stage_x_nm=-200..200`);
    return [found[1], { low: Number(found[2]), high: Number(found[3]) }];
  }));
}

by("envelope").onsubmit = (event) => {
  event.preventDefault();
  try {
    acting("POST", "/api/envelope", { ranges: ranges(by("envelope-text").value) });
  } catch (error) {
    tell(error.message);
  }
};

by("copy").onclick = async () => {
  const json = JSON.stringify(JSON.stringify(ask.choice.command));
  const text = `import msgspec\nfrom hardware_bridge.messages import Command\n\ncommand = msgspec.json.decode(${json}, type=Command)\n`;
  await navigator.clipboard.writeText(text);
  by("copy").textContent = "Copied";
  setTimeout(() => (by("copy").textContent = "Copy as Python"), 1500);
};

function enter(message = "") {
  by("enter-told").textContent = message;
  by("enter-name").value = link.name;
  by("enter-token").value = link.token;
  if (!by("enter").open) by("enter").showModal();
}
by("enter-form").onsubmit = () => link.enter(by("enter-name").value, by("enter-token").value.trim());
by("enter").addEventListener("cancel", (event) => event.preventDefault());
link.onRefused = () => enter("That is no token of this run. A run that was started anew has new ones.");
if (link.token && link.name) link.begin();
else enter();
