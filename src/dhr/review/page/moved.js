// A server that is started again has another address. The page that it opens tells it to the older ones, which go on.
import * as api from "./api.js";

const sameRun = (one, other) => one.run === other.run && one.identity === other.identity;

/** Tells other pages of this browser the present address, and listens for theirs. `trouble` is the saver's. */
export function followRestarts(session, saver) {
  const channel = new BroadcastChannel("dhr-review"), { run, identity } = session;
  channel.addEventListener("message", ({ data }) => {
    const isRefused = saver.trouble instanceof api.Refused && saver.trouble.status === 403;
    if (sameRun(data, session)) saver.elsewhere = data.address;
    if (isRefused) goOn(saver);
  });
  channel.postMessage({ run, identity, address: document.baseURI.replace(/#.*/, "") });
}

/** Uses the address that another page told, if this page's own is refused. */
export function goOn(saver) {
  if (!saver.elsewhere) return;
  api.move(saver.elsewhere);
  saver.elsewhere = null;
  saver.again();
}
