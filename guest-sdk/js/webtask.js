// Calls webtasks, and narrows their tokens without any key. No dependencies; browsers and Node 20 or later.
// The format is host/token/SPEC.md; what is made here is byte by byte what the Rust library makes.

const MAX_TOKEN = 8192;
const MAX_CAVEATS = 16;
const MAX_TIME = 253402300799; // the year 9999: a larger time is milliseconds by mistake
const KEYS = ["exp", "lim", "nbf", "out", "note", "path", "params", "methods", "origins"]; // as encoded
const LIMITS = ["cpu", "log", "rate", "wall", "calls", "memory", "request", "response"];

/**
 * @typedef {object} Caveat What a token loses. Every key that is there must hold; at least one is there.
 * @property {Date | number} [exp] Over from then on; a number is Unix seconds.
 * @property {Date | number} [nbf] Valid from then on.
 * @property {string[]} [methods] Methods of the request, in upper case.
 * @property {string} [path] Path of the request as the webtask sees it; a prefix if it ends in `*`.
 * @property {string[]} [origins] Browser origins that may call, as in `location.origin`.
 * @property {Record<string, string>} [params] Parameters that are fixed from here on.
 * @property {Partial<Record<"cpu" | "wall" | "memory" | "request" | "response" | "log" | "calls" | "rate", number | bigint>>} [lim]
 *   Lower limits: `cpu` and `wall` in milliseconds, `calls` and `rate` (in a minute) are counts, the others are bytes.
 * @property {(string | {methods: string[], origin: string, path: string})[]} [out]
 *   Outbound requests, such as `GET,POST https://api.example.com/v1/*`; an empty list allows none.
 * @property {string} [note] Free text for the audit, 1 to 256 bytes.
 */

/**
 * Narrows a token: what comes back allows at most what the token and all the caveats allow.
 *
 * Needs `crypto.subtle`, which browsers give to `https:` and `localhost` only. Nothing here believes the token:
 * one that is not authentic, attenuated, is not authentic either.
 *
 * @param {string} token
 * @param {Caveat | Caveat[]} caveat One, or several to append in turn.
 * @returns {Promise<string>}
 * @throws {TypeError} whose `code` is `Invalid` (the caveat), `Token`, `ParamFixed`, `TooMany` or `TooLong`.
 */
export async function attenuate(token, caveat) {
  const caveats = Array.isArray(caveat) ? caveat : [caveat];
  check(caveats.length > 0, "no caveat: the token would stay as it is");
  for (const one of caveats) token = await append(token, one);
  return token;
}

/**
 * @typedef {object} Invocation
 * @property {string | URL} host Where the runtime is: `https://run.example.com`.
 * @property {string} [path] Path and query as the webtask sees them; `/` if left out.
 * @property {string} [method] `GET` if left out.
 * @property {HeadersInit} [headers]
 * @property {BodyInit | null} [body]
 * @property {AbortSignal} [signal]
 */

/**
 * Runs the token's webtask. The token goes into a header and never into the URL. Redirects are not followed, since
 * `fetch` would carry that header to any server; caches are not used, since they do not tell tokens apart.
 *
 * @param {string} token
 * @param {Invocation} request
 * @returns {Promise<Response>} The webtask's answer, whatever its status.
 * @throws {WebtaskError} if the runtime answered instead of the webtask.
 */
export async function invoke(token, { host, path = "/", method = "GET", headers, body, signal }) {
  // Before `fetch` sees it: its own error would repeat the token.
  check(typeof token === "string" && /^wt\d+(\.[\w-]*)+$/.test(token), "not a webtask token", "Token");
  const base = new URL(host);
  const bare = /^https?:$/.test(base.protocol) && !(base.username || base.password || base.search || base.hash);
  check(bare, "host: a URL such as https://run.example.com, without user, query or fragment");
  check(typeof path === "string" && path.startsWith("/"), "path: begins with /");
  const root = `${base.origin}${base.pathname.replace(/\/$/, "")}/run`;
  const url = new URL(root + path);
  check(url.href.startsWith(`${root}/`), "path: has no segment . or ..");
  const all = new Headers(headers);
  all.set("webtask-token", token);
  const init = { method, headers: all, body, signal, redirect: "manual", credentials: "omit", cache: "no-store" };
  if (body instanceof ReadableStream) init.duplex = "half";
  const response = await fetch(url, init);
  const type = response.headers.get("content-type") ?? "";
  if (response.headers.get("webtask-source") !== "host" || !/^application\/problem\+json\b/i.test(type)) return response;
  const problem = await response.json().catch((cause) => {
    signal?.throwIfAborted();
    return { title: `an answer that is not JSON: ${cause.message}` };
  });
  throw new WebtaskError(response, problem);
}

/** The runtime's own answer (RFC 9457): the webtask did not run, or did not finish. */
export class WebtaskError extends Error {
  /** @param {Response} response @param {Record<string, any>} problem */
  constructor(response, problem) {
    super(`${problem.title ?? "the runtime refused"} (${problem.code ?? response.status})`);
    this.name = "WebtaskError";
    /** @type {string} What happened, for programs. */
    this.code = problem.code ?? "unknown";
    /** @type {number} */
    this.status = response.status;
    /** @type {string | undefined} What to ask the operator of the runtime about. */
    this.requestId = response.headers.get("webtask-request-id") ?? problem.request_id;
    /** @type {Record<string, any>} All of the answer. */
    this.problem = problem;
  }
}

/** @param {string} token @param {Caveat} caveat */
async function append(token, caveat) {
  const bytes = encode(caveat);
  const { link, earlier, tail } = parse(token);
  check(earlier.length < MAX_CAVEATS, "the token carries 16 caveats already", "TooMany");
  for (const { params = {} } of earlier.map(decode)) {
    for (const [name, value] of Object.entries(caveat.params ?? {})) {
      const same = !Object.hasOwn(params, name) || params[name] === value;
      check(same, `the parameter ${name} is fixed already, to another value`, "ParamFixed");
    }
  }
  check(bytes.length <= MAX_TOKEN, "the token would be longer than 8 KiB", "TooLong");
  const text = base64(bytes);
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) throw new Error("no crypto.subtle: browsers give it to pages from https: and localhost only");
  const key = await subtle.importKey("raw", tail, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const next = new Uint8Array(await subtle.sign("HMAC", key, utf8(text)));
  const narrowed = `${link}.${text}.${base64(next)}`;
  check(narrowed.length <= MAX_TOKEN, "the token would be longer than 8 KiB", "TooLong");
  return narrowed;
}

/** @param {string} token */
function parse(token) {
  const good = (/** @type {unknown} */ holds, /** @type {string} */ text) => check(holds, text, "Token");
  good(typeof token === "string" && token.length <= MAX_TOKEN, "a token is text of at most 8 KiB");
  good(!/^wt(?!1\.)\d+\./.test(token), "the token is of a version that is not supported");
  const [version, kid, sealed, ...rest] = token.split(".");
  good(version === "wt1" && /^[\w-]{1,32}$/.test(kid ?? "") && rest.length > 0, "not a webtask token");
  good(rest.length <= MAX_CAVEATS + 1, "the token has more than 16 caveats");
  unbase64(sealed);
  const tail = unbase64(rest.pop() ?? "");
  good(tail.length === 32 && !rest.includes(""), "the tail of the token is not 32 bytes, or a caveat is empty");
  return { link: token.slice(0, token.lastIndexOf(".")), earlier: rest.map(unbase64), tail };
}

// --- Caveats to deterministic CBOR (RFC 8949 section 4.2.1), and back ---

/** @param {Caveat} caveat */
function encode(caveat) {
  const keys = own(caveat, "a caveat", KEYS);
  check(keys.length > 0, "a caveat takes nothing away");
  return map(keys.map((key) => [key, ENCODERS[key](caveat[key], key)]));
}

const ENCODERS = {
  exp: time,
  nbf: time,
  note: (value) => sized(value, "note", 256),
  path: (value) => (check(isPattern(value), "path: begins with /, is plain, and has * only at its end"), text(value, "path")),
  methods: (value) => set(value, isMethod, "methods: one or more, in upper case"),
  origins: (value) => set(value, (one) => !one.includes("*") && origin(one) === one, "origins: one or more, as browsers write them"),
  params: (value) => {
    const names = own(value, "params");
    check(names.length > 0, "params: none");
    check(names.every((name) => /^[\w.-]{1,64}$/.test(name)), "params: a name is 1 to 64 of [A-Za-z0-9_.-]");
    check(names.every((name) => typeof value[name] === "string" && !value[name].includes("\0")), "params: text without NUL");
    return map(names.sort(byLength).map((name) => [name, text(value[name], "params")]));
  },
  lim: (value) => {
    const names = own(value, "lim", LIMITS);
    check(names.length > 0, "lim: none");
    return map(names.map((name) => [name, number(value[name], `lim.${name}`)]));
  },
  out: (value) => (check(Array.isArray(value), "out: a list of grants"), array(value.map(grant))),
};

function grant(said) {
  let [methods, from, path] = Array.isArray(said) ? said : [said?.methods, said?.origin, said?.path]; // an array in a token
  if (typeof said === "string") {
    const [, list, url] = /^([^ ]*) +(.*)$/s.exec(said.trim()) ?? [];
    const [, before, after] = /^(.*?:\/\/[^/]*)(.*)$/s.exec(url ?? "") ?? [];
    [methods, from, path] = [list?.split(","), before, after || "/*"];
  }
  const any = Array.isArray(methods) && methods.length === 1 && methods[0] === "*";
  const listed = Array.isArray(methods) && methods.length > 0 && methods.every(isMethod);
  check(any || listed, "out: methods come first, in upper case: `GET,POST https://api.example.com/v1/*`, or `*` for any");
  const canonical = origin(from);
  check(canonical, "out: an origin is https:// or http://, a host or *.NAME, and maybe a port");
  check(isPattern(path), "out: a path begins with /, is plain, and has * only at its end");
  return array([array(methods.map((method) => text(method, "out"))), text(canonical, "out"), text(path, "out")]);
}

/** A caveat that is in a token already, if these bytes are its only encoding. @param {Uint8Array} bytes @returns {Caveat} */
function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const argument = (/** @type {number} */ info) => {
    if (info < 24) return info;
    check(info < 28, "an indefinite length");
    const start = at;
    at += 1 << (info - 24);
    if (info === 24) return view.getUint8(start);
    if (info === 25) return view.getUint16(start);
    if (info === 26) return view.getUint32(start);
    const long = view.getBigUint64(start);
    return long <= Number.MAX_SAFE_INTEGER ? Number(long) : long;
  };
  const item = (/** @type {number} */ depth) => {
    const head = view.getUint8(at++);
    const size = argument(head & 31);
    if (head >> 5 === 0) return size;
    check(depth < 5 && size <= bytes.length - at, "a length beyond the bytes");
    const length = Number(size);
    if (head >> 5 === 3) return UTF8.decode(bytes.subarray(at, (at += length)));
    if (head >> 5 === 4) return Array.from({ length }, () => item(depth + 1));
    check(head >> 5 === 5, "a type that caveats do not have");
    return Object.fromEntries(Array.from({ length }, () => [item(depth + 1), item(depth + 1)]));
  };
  try {
    const caveat = item(0);
    if (base64(encode(caveat)) === base64(bytes)) return caveat;
  } catch {} // as if it were another
  throw error("a caveat of the token is not valid", "Token");
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = (/** @type {string} */ value) => new TextEncoder().encode(value);

/** @param {number} major @param {number | bigint} value */
function head(major, value) {
  const size = value < 24 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 0x100000000 ? 4 : 8;
  const view = new DataView(new ArrayBuffer(9));
  view.setBigUint64(1, BigInt(value));
  view.setUint8(8 - size, (major << 5) | (size ? 24 + Math.log2(size) : Number(value)));
  return new Uint8Array(view.buffer, 8 - size);
}

/** @param {...Uint8Array} parts */
function concat(...parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

const array = (/** @type {Uint8Array[]} */ items) => concat(head(4, items.length), ...items);
const map = (/** @type {[string, Uint8Array][]} */ entries) =>
  concat(head(5, entries.length), ...entries.flatMap(([key, value]) => [text(key, "a key"), value]));

function text(value, name) {
  check(typeof value === "string" && !/\p{Surrogate}/u.test(value), `${name}: text, and no half of a surrogate pair`);
  const bytes = utf8(value);
  return concat(head(3, bytes.length), bytes);
}

function sized(value, name, most) {
  const encoded = text(value, name);
  check(value !== "" && utf8(value).length <= most, `${name}: 1 to ${most} bytes`);
  return encoded;
}

function number(value, name, most = 2n ** 64n - 1n) {
  const whole = typeof value === "bigint" || Number.isSafeInteger(value);
  check(whole && value >= 0 && value <= most, `${name}: a whole number from 0 to ${most}`);
  return head(0, value);
}

/** A part of a second is rounded to the narrower side. */
function time(value, name) {
  const seconds = value instanceof Date ? (name === "exp" ? Math.floor : Math.ceil)(value.getTime() / 1000) : value;
  return number(seconds, `${name} (a Date, or Unix seconds)`, MAX_TIME);
}

function set(value, fits, rule) {
  check(Array.isArray(value) && value.length > 0, rule);
  check(value.every((one) => typeof one === "string" && fits(one)), rule);
  return array([...new Set(value)].sort().map((one) => text(one, rule)));
}

/** The keys of a plain object; of those in `known`, in that order. A key without a value is a slip, not a caveat less. */
function own(value, name, known) {
  check(typeof value === "object" && value !== null && !Array.isArray(value), `${name}: an object`);
  const keys = Reflect.ownKeys(value);
  const wrong = known && keys.find((key) => !known.includes(key));
  check(wrong === undefined, `${name}: has no key ${String(wrong)}`);
  check(keys.every((key) => value[key] !== undefined), `${name}: a key is undefined; leave it out instead`);
  return known ? known.filter((key) => keys.includes(key)) : keys.map(String);
}

// --- Values, as SPEC.md section 8 has them ---

const isMethod = (value) => typeof value === "string" && /^[A-Z0-9_-]{1,32}$/.test(value);
const byLength = (a, b) => a.length - b.length || (a < b ? -1 : 1);

function isPattern(value) {
  if (typeof value !== "string" || !/^\/[\x21-\x7e]*$/.test(value) || /[\\?#]/.test(value)) return false;
  const path = value.replace(/\*$/, "");
  if (path.includes("*") || /\/(;[^/]*)?\//.test(path) || /\/\.+([/;%]|$)/.test(path)) return false;
  if (/%([01][0-9a-f]|7f|2[35ef]|3[bf]|5c)/i.test(path)) return false;
  try {
    return decodeURIComponent(path) !== ""; // throws for half an escape, and for what is not UTF-8
  } catch {
    return false;
  }
}

/** The one spelling of an origin, or nothing. */
function origin(value) {
  const [, scheme, host, , port] = /^(https?):\/\/(\[[0-9A-Fa-f:.]+\]|[\w.*-]+)(:(\d+))?$/.exec(value) ?? [];
  const own = scheme === "https" ? 443 : 80;
  const at = port === undefined ? own : Number(port);
  const canonical = host?.startsWith("[") ? ipv6(host) : host && name(host.toLowerCase());
  if (!canonical || at < 1 || at > 65535) return undefined;
  return `${scheme}://${canonical}${at === own ? "" : `:${at}`}`;
}

function ipv6(host) {
  if (!URL.canParse(`http://${host}/`)) return undefined;
  const canonical = new URL(`http://${host}/`).hostname;
  return /^\[::ffff:[0-9a-f]+:[0-9a-f]+\]$/.test(canonical) ? undefined : canonical;
}

function name(host) {
  if (/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(host)) return host;
  const labels = host.replace(/^\*\./, "").split(".");
  const good = labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
  const number = /^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "");
  const below = !host.startsWith("*") || labels.length > 1;
  return good && !number && below && labels.join(".").length <= 253 ? host : undefined;
}

// --- base64url without padding, canonical ---

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function unbase64(value) {
  const standard = value.replaceAll("-", "+").replaceAll("_", "/");
  const good = /^[\w-]*$/.test(value) && value.length % 4 !== 1;
  const bytes = good ? Uint8Array.from(atob(standard), (char) => char.charCodeAt(0)) : new Uint8Array();
  check(good && base64(bytes) === value, "a part of the token is not base64url", "Token");
  return bytes;
}

function error(message, code) {
  return Object.assign(new TypeError(message), { code });
}

/** @returns {asserts holds} */
function check(holds, message, code = "Invalid") {
  if (!holds) throw error(message, code);
}
