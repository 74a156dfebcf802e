// Requests to the server. A request ends in one of three ways: an answer, `Refused` (the server says why) or `Lost`.

export class Refused extends Error {
  constructor(status, message, revision) {
    super(message);
    this.status = status;
    this.revision = revision;
  }
}

export class Lost extends Error {}

let base = new URL("api/", document.baseURI).href; // the address holds the server's secret

/** Goes on with another address, that of a server which was started again. */
export const move = (address) => { base = new URL("api/", address).href; };

const WAIT = 60_000; // milliseconds
const NETWORKS = 600_000; // the first request builds them

async function failure(answer) {
  const text = await answer.text();
  let told = {};
  try {
    told = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error; // an answer without JSON has its status alone
  }
  return new Refused(answer.status, told.error ?? `The server answered with status ${answer.status}.`, told.revision);
}

const lost = ({ name }) => new Lost(name === "TimeoutError" ? "the server took too long; try again" : "the server does not answer");

async function ask(path, read, { body, headers = {}, wait = WAIT } = {}) {
  const options = { headers, signal: AbortSignal.timeout(wait), cache: "no-store" };
  if (body !== undefined) Object.assign(options, { method: "POST", body, headers: { ...headers, "X-Review": "1" } });
  try {
    const answer = await fetch(base + path, options);
    if (!answer.ok) throw await failure(answer);
    return await read(answer);
  } catch (error) {
    throw error instanceof Refused ? error : lost(error);
  }
}

const json = (answer) => answer.json();

const raw = async (answer) => ({
  data: new Uint8Array(await answer.arrayBuffer()),
  width: Number(answer.headers.get("X-Width")),
  height: Number(answer.headers.get("X-Height")),
  revision: Number(answer.headers.get("X-Revision")),
});

const post = (path, read, content, wait) =>
  ask(path, read, { body: JSON.stringify(content), headers: { "Content-Type": "application/json" }, wait });

const postMask = (path, read, mask, decision, wait) => ask(path, read, {
  body: mask, headers: { "Content-Type": "application/octet-stream", "X-Decision": JSON.stringify(decision) }, wait,
});

export const session = () => ask("session", json);
export const queue = (asked) => ask(`queue?${new URLSearchParams(asked)}`, json);
export const photograph = (id) => ask(`photographs/${id}`, json);
export const image = async (id) => createImageBitmap(await ask(`photographs/${id}/image`, (answer) => answer.blob()));
export const mask = (id) => ask(`photographs/${id}/mask`, raw);
export const machine = (id) => ask(`photographs/${id}/machine`, raw);
export const layer = (id, step) => ask(`photographs/${id}/layer/${step}`, raw);
export const cam = (id, kind) => ask(`photographs/${id}/cam/${kind}`, raw, { wait: NETWORKS });
export const superpixels = async (id) => new Uint16Array((await ask(`photographs/${id}/superpixels`, raw)).data.buffer);
export const save = (id, content, decision) => postMask(`photographs/${id}/save`, json, content, decision);
export const decide = (id, decision) => post(`photographs/${id}/decide`, json, decision);
export const refine = (id, held, decision) => postMask(`photographs/${id}/refine`, raw, held, decision, NETWORKS);
export const click = (id, prompt) => post(`photographs/${id}/click`, raw, prompt, NETWORKS);
export const prepare = (id) => ask(`photographs/${id}/prepare`, () => null, { body: "" });
export const thumb = (id, revision) => `${base}photographs/${id}/thumb?r=${revision}`;
