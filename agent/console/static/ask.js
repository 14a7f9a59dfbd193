// The question that waits: what is proposed, its alternatives, and what a person does about it.

import { by, element, number, seconds } from "./words.js";

const SHOWN_MS = 250; // before that nobody has seen a question
const REASONS = ["wrong place", "too much dose", "out of focus", "seen already", "other"];

export class Ask {
  constructor(link, told) {
    this.link = link;
    this.told = told; // called when another choice is looked at, or none
    this.question = null;
    this.chosen = 0;
    this.refusing = this.modifying = false;
    this.sent = ""; // the revision that an answer is on its way for
    this.ready = false;
    by("approve").onclick = () => this.approve();
    by("modify").onclick = () => this.modify(!this.modifying);
    by("refuse").onclick = () => this.refuse(!this.refusing);
    by("next-5").onclick = () => this.beforehand({ left: 5 });
    by("kind-10").onclick = () => this.beforehand({ kind: this.kind, minutes: 10 });
    by("undo").onclick = () => this.undo();
    by("edit").onsubmit = (event) => {
      event.preventDefault();
      this.edit({ changes: by("edit-text").value });
    };
    by("reasons").append(...REASONS.map((why, at) => {
      const button = element("button", `${at + 1} ${why}`, { type: "button" });
      button.onclick = () => this.because(at);
      return button;
    }));
  }

  get waits() {
    return this.question?.state === "proposed";
  }

  // A replay shows what was decided; nothing can be.
  get shown() {
    return this.waits || Boolean(this.replayed);
  }

  get choice() {
    return this.shown ? this.question.choices[this.chosen] : null;
  }

  get sending() {
    return this.question && this.sent === `${this.question.id} ${this.question.revision}`;
  }

  get kind() {
    return this.choice?.command.acquire?.mode ?? "move";
  }

  show(status, mayDecide) {
    this.status = status;
    this.allowed = mayDecide && !status.paused_by && !status.stopped_by;
    this.replayed = status.replayed;
    const before = this.question, question = (this.question = status.question);
    if (this.replayed) {
      if (before?.id !== question.id) this.chosen = question.chosen ?? 0;
      this.ready = false;
    } else if (before?.id !== question?.id || !this.waits) {
      this.chosen = 0;
      this.refusing = this.modifying = this.ready = false;
      by("edit-told").textContent = "";
      // A key that was meant for the question before must not answer this one.
      clearTimeout(this.soon);
      this.soon = setTimeout(() => {
        this.ready = true;
        if (this.waits) this.detail();
      }, SHOWN_MS);
    } else if (question.revision !== before.revision && question.choices.at(-1).edits.length) this.chosen = question.choices.length - 1;
    if (this.chosen >= (question?.choices.length ?? 0)) this.chosen = 0; // what was edited has been taken back
    by("ask").classList.toggle("waits", this.waits);
    by("ask-body").hidden = !this.shown || !question.choices.length;
    by("ask-title").textContent = this.title(status);
    by("undo").hidden = !this.undoable;
    by("ask-often").textContent = often(status);
    by("granted").textContent = status.grants.map(grantTold).join("; ");
    if (this.shown && question.choices.length) this.detail();
    this.told();
  }

  title(status) {
    if (this.replayed) return `Turn ${this.question.turn}: ${this.question.why}`;
    if (status.stopped_by) return `Stopped by ${status.stopped_by}: the beam is blanked`;
    if (status.paused_by) return `Paused by ${status.paused_by}: the beam is blanked`;
    if (this.waits) return `Turn ${this.question.turn} waits, ${status.watches ? "watched at low dose" : "beam blanked"}`;
    if (["approved", "edited"].includes(this.question?.state)) return `Turn ${this.question.turn}: approved by ${this.question.by}, about to run`;
    if (this.question?.state === "executing") return `Turn ${this.question.turn} runs, ${this.question.chosen === null ? "" : "approved"} by ${this.question.by}`;
    if (this.question && this.question.state !== "done") return `Turn ${this.question.turn}: ${this.question.state} by ${this.question.by}`;
    return status.mode === "none" ? "Nothing is asked" : "Nothing is asked now";
  }

  detail() {
    const may = (this.may = this.allowed && this.ready);
    const { choices } = this.question, choice = choices[this.chosen];
    by("ask-does").textContent = choice.does;
    by("ask-reason").textContent = `${choice.reason} (${choice.proposer})`;
    by("ask-information").textContent = choice.information === null ? "not predicted" : `${number(choice.information)} ± ${number(choice.information_sd, 2)}`;
    by("ask-dose").textContent = `${number(choice.electrons)} e, ${number(choice.fluence_e_per_A2)} e/Å²` +
      (choice.finding ? `, and ${number(choice.finding)} e to find its place again if this takes long` : "");
    by("ask-time").textContent = seconds(choice.time_s);
    by("ask-flags").replaceChildren(...choice.flags.map((flag) => element("li", flag)));
    by("ask-why").textContent = this.replayed ? "" : `Asked because: ${this.question.why}.`;
    this.beside(this.replayed?.rival);
    by("ask-choices").replaceChildren(...choices.map((each, at) => {
      const button = element("button", "", { type: "button", "aria-pressed": at === this.chosen });
      button.append(element("kbd", at), ` ${brief(each)}`);
      button.classList.toggle("chosen", at === this.chosen);
      button.onclick = () => this.choose(at);
      return button;
    }));
    by("edit").hidden = !this.modifying;
    by("reasons").hidden = !this.refusing;
    by("modify").setAttribute("aria-pressed", this.modifying);
    by("refuse").setAttribute("aria-pressed", this.refusing);
    for (const id of ["approve", "modify", "refuse", "next-5", "kind-10"]) by(id).disabled = !may || this.sending;
    by("kind-10").textContent = `All of ${this.kind} for 10 min`;
  }

  // What another policy would have chosen at a replayed turn.
  beside(rival) {
    by("ask-rival").hidden = !rival;
    if (!rival) return;
    const agreed = rival.asked ? ` It agreed with ${rival.agreed} of ${rival.asked} so far.` : "";
    by("ask-rival").textContent = (rival.choice ? `${rival.name} would have chosen ${brief(rival.choice)}.` : `${rival.name}: ${rival.why}.`) + agreed;
  }

  choose(at) {
    if (!this.shown || at >= this.question.choices.length) return;
    this.chosen = at;
    this.detail();
    this.told();
  }

  modify(on) {
    if (!this.waits || !this.may) return;
    this.modifying = on;
    this.refusing = false;
    this.detail();
    this.told();
  }

  refuse(on) {
    if (!this.waits || !this.may) return;
    this.refusing = on;
    this.modifying = false;
    this.detail();
    if (on) by("reasons").firstElementChild.focus({ preventScroll: true });
  }

  because(at) {
    return this.send("answer", { verdict: "refuse", revision: this.question.revision, why: REASONS[at] });
  }

  approve() {
    if (this.waits && this.may) return this.send("answer", { verdict: "approve", revision: this.question.revision, choice: this.chosen });
  }

  edit(wanted) {
    if (this.waits && this.may) return this.send("edit", { revision: this.question.revision, choice: this.chosen, ...wanted });
  }

  // An edit is taken back, or an answer that nothing was done about yet.
  undo() {
    const { question } = this;
    if (this.undoable) return this.send("undo", { revision: question.revision });
  }

  get undoable() {
    const state = this.question?.state;
    return this.allowed && (["approved", "edited"].includes(state) || (this.waits && this.question.choices.at(-1).edits.length > 0));
  }

  async beforehand(what) {
    try {
      await this.link.call("POST", "/api/grants", what);
      await this.approve();
    } catch (error) {
      by("edit-told").textContent = error.message;
    }
  }

  // A decision is sent once; what became of it is shown by what the console says next.
  async send(what, body) {
    if (this.sending) return;
    const sent = (this.sent = `${this.question.id} ${this.question.revision}`);
    this.detail();
    by("edit-told").textContent = "";
    try {
      const given = await this.link.call("POST", `/api/questions/${encodeURIComponent(this.question.id)}/${what}`, body);
      if (this.status && given.id === this.question?.id && given.revision > this.question.revision)
        this.show({ ...this.status, question: given }, this.allowed);
    } catch (error) {
      by("edit-told").textContent = error.message;
    }
    if (this.sent === sent) this.sent = "";
    if (this.waits) this.detail();
    this.told();
  }
}

// A choice in a line: what tells it from the others.
function brief(choice) {
  const { acquire } = choice.command, where = `(${Math.round(choice.x_nm)}, ${Math.round(choice.y_nm)}) nm`;
  const what = acquire ? `${acquire.mode} ${number(acquire.fov_nm)} nm` : "go";
  const tells = choice.information === null ? "" : `${number(choice.information)} for `;
  const yours = choice.edits.length ? `yours, ${choice.edits.join(", ")}: ` : "";
  return `${yours}${what} at ${where}: ${tells}${number(choice.electrons)} e, ${seconds(choice.time_s)}`;
}

// How often it asks, and why.
function often(status) {
  const asked = status.replayed ? "" : `Asked in ${status.asked} of ${status.turns + (status.question?.state === "proposed" ? 1 : 0)} turns.`;
  const kinds = status.asks.map(({ kind, share, agreed, differed }) =>
    `${kind}: one in ${Math.max(1, Math.round(1 / share))}, as ${agreed.toFixed(0)} of ${(agreed + differed).toFixed(0)} were approved as proposed`);
  return kinds.length ? `${asked} ${kinds.join("; ")}. At least one in ${Math.round(1 / status.asks_at_least)}, and all outside the envelope.` : asked;
}

function grantTold(grant) {
  const what = grant.kind ? `all of ${grant.kind}` : "everything";
  const long = grant.left !== null ? `, ${grant.left} more` : "";
  return `${grant.by} approved ${what} beforehand${long}`;
}
