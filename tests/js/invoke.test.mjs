// The JavaScript client against a server that answers as the runtime does.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { WebtaskError, invoke } from "../../guest-sdk/js/webtask.js";

const TOKEN = "wt1.k1.AAAA.BBBB";
const seen = [];
let host;

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    const [status, headers, text] = answer(request.url);
    response.writeHead(status, headers).end(text);
  });
});

function answer(url) {
  const problem = { "content-type": "application/problem+json", "webtask-request-id": "r1" };
  const text = '{"status":429,"code":"rate-limited","title":"too many","request_id":"r1","limit":"rate"}';
  if (url.includes("host")) return [429, { ...problem, "webtask-source": "host" }, text];
  if (url.includes("guest")) return [429, { ...problem, "webtask-source": "guest" }, text];
  if (url.includes("broken")) return [502, { ...problem, "webtask-source": "host" }, "{"];
  if (url.includes("away")) return [302, { location: "/elsewhere", "webtask-source": "guest" }, ""];
  return [200, { "webtask-source": "guest" }, "hello"];
}

before(async () => {
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  host = `http://127.0.0.1:${server.address().port}`;
});
after(() => server.close());

test("the token goes into the header and nowhere else", async () => {
  const response = await invoke(TOKEN, { host, path: "/orders/7?x=1", method: "POST", headers: { "x-a": "b" }, body: "text" });
  assert.equal(await response.text(), "hello");
  const request = seen.at(-1);
  assert.deepEqual([request.method, request.url, request.body], ["POST", "/run/orders/7?x=1", "text"]);
  assert.equal(request.headers["webtask-token"], TOKEN);
  assert.equal(request.headers["x-a"], "b");
  await invoke(TOKEN, { host: `${host}/below/` });
  assert.equal(seen.at(-1).url, "/below/run/");
});

test("a body may stream", async () => {
  const body = new Blob(["a", "b"]).stream();
  await invoke(TOKEN, { host, method: "PUT", body });
  assert.equal(seen.at(-1).body, "ab");
});

test("an answer of the runtime is thrown, one of the webtask is not", async () => {
  await assert.rejects(invoke(TOKEN, { host, path: "/host" }), (error) => {
    assert.ok(error instanceof WebtaskError);
    assert.deepEqual([error.code, error.status, error.requestId, error.problem.limit], ["rate-limited", 429, "r1", "rate"]);
    return !error.message.includes(TOKEN);
  });
  assert.equal((await invoke(TOKEN, { host, path: "/guest" })).status, 429);
  await assert.rejects(invoke(TOKEN, { host, path: "/broken" }), { name: "WebtaskError", code: "unknown", status: 502 });
});

test("a redirect does not carry the token away", async () => {
  const count = seen.length;
  assert.equal((await invoke(TOKEN, { host, path: "/away" })).status, 302);
  assert.equal(seen.length, count + 1);
});

test("it can be aborted", async () => {
  await assert.rejects(invoke(TOKEN, { host, signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("what is wrong is not sent", async () => {
  const count = seen.length;
  for (const [token, request] of [
    ["wt1.k1.AAAA.BBBB\n", { host }],
    ["secret", { host }],
    [undefined, { host }],
    [TOKEN, { host: "ftp://h" }],
    [TOKEN, { host: "http://u:p@h" }],
    [TOKEN, { host, path: "a" }],
    [TOKEN, { host, path: "/../healthz" }],
    [TOKEN, { host, path: "/%2e%2E/healthz" }],
    [TOKEN, { host, path: 5 }],
  ]) {
    await assert.rejects(invoke(token, request), (error) => error instanceof TypeError && !error.message.includes("secret"));
  }
  assert.equal(seen.length, count);
});
