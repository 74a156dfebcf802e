// A server that is started again has another address. The page that it opens tells it to the older ones, which go on.
import * as api from "./api.js";

const sameRun = (one, other) => one.run === other.run && one.identity === other.identity;

/** Tells other pages of this port the present address, and goes on with theirs: a port has one server, the newest. */
export function followRestarts(session, saver) {
  const channel = new BroadcastChannel("dhr-review"), { run, identity } = session;
  channel.addEventListener("message", ({ data }) => {
    if (!sameRun(data, session)) return;
    api.move(data.address);
    saver.again();
  });
  channel.postMessage({ run, identity, address: document.baseURI.replace(/#.*/, "") });
}
