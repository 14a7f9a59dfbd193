// The link to the console: who sits here, calls over HTTP, and what comes over the socket.

const AFTER_MS = [300, 600, 1200, 2500, 4000];

export class Link {
  constructor() {
    const given = location.hash.slice(1);
    if (given) history.replaceState(null, "", location.pathname); // the token stays out of the history
    this.token = given || sessionStorage.getItem("token") || "";
    this.name = localStorage.getItem("name") || "";
    this.screen = sessionStorage.getItem("screen") || `page-${Math.random().toString(36).slice(2, 8)}`;
    sessionStorage.setItem("screen", this.screen);
    this.heard = 0; // performance.now() of the last message
    this.open = false;
    this.tries = 0;
    this.ended = false;
    this.on = {}; // kind of message -> what to do with it
    this.onPicture = () => {};
    this.onRefused = () => {}; // the token is none
  }

  enter(name, token) {
    this.name = name;
    this.token = token;
    localStorage.setItem("name", name);
    this.begin();
  }

  begin() {
    this.socket?.close();
    const socket = (this.socket = new WebSocket(`ws://${location.host}/live`));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({ token: this.token, name: this.name, screen: this.screen }));
    socket.onmessage = (event) => {
      this.heard = performance.now();
      if (!this.open) sessionStorage.setItem("token", this.token);
      this.open = true;
      this.ended = false;
      this.tries = 0;
      if (typeof event.data !== "string") return this.onPicture(event.data);
      const { kind, value } = JSON.parse(event.data);
      this.on[kind]?.(value);
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      this.open = false;
      if (event.code === 4401) {
        sessionStorage.removeItem("token");
        return this.onRefused();
      }
      setTimeout(() => socket === this.socket && this.begin(), AFTER_MS[Math.min(this.tries++, AFTER_MS.length - 1)]);
    };
  }

  // One picture more, as soon as there is a newer one; it also tells that somebody is here.
  next() {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send("next");
  }

  // A file of the run.
  async file(path) {
    const reply = await fetch(path, { headers: { Authorization: `Bearer ${this.token}` } });
    if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error || `the console answered ${reply.status}`);
    return reply.blob();
  }

  // Gives what the console answers; throws an Error with its words where it refuses.
  async call(method, path, body) {
    let reply;
    try {
      reply = await fetch(path, {
        method,
        headers: {
          Authorization: `Bearer ${this.token}`,
          "Content-Type": "application/json",
          "Adaptem-Name": this.name,
          "Adaptem-Screen": this.screen,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch {
      throw new Error("not sent, or not answered: there is no connection. What was decided is shown when it is back.");
    }
    const given = await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(given.error || `the console answered ${reply.status}`);
    return given;
  }
}
