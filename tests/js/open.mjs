// A second opener of tokens, written from host/token/SPEC.md alone. It shares no code with the Rust
// crate or with the JavaScript client. For tests: node:crypto does not wipe what it holds.
import { isUtf8 } from "node:buffer";
import { createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

/** Why a token was not opened; `code` is the name in section 6. */
export class TokenError extends Error {
  constructor(code, message = code) {
    super(message);
    this.code = code;
  }
}

function must(holds, message, code = "Malformed") {
  if (!holds) throw new TokenError(code, message);
}

// ---------------------------------------------------------------- section 6

/** Opens at a time, with keys `{kid, root}`: claims, kid, links and caveats in the form of section 13. */
export function open(keys, token, now) {
  const { head, kid, sealedText, sealed, caveatTexts, caveats, tail } = split(token);

  const key = keys.find((one) => one.kid === kid);
  must(key, "no such key", "UnknownKey");
  const root = base64url(key.root);
  const derive = (info) => Buffer.from(hkdfSync("sha256", root, Buffer.alloc(0), info, 32));

  const tails = [hmac(derive("webtask/v1/chain"), `${head}.${sealedText}`)];
  for (const text of caveatTexts) tails.push(hmac(tails.at(-1), text));
  must(timingSafeEqual(tails.at(-1), tail), "the tail is another", "Unauthentic");

  const plaintext = xchacha20poly1305(derive("webtask/v1/seal"), sealed, head);
  must(plaintext, "the claims do not open", "Unauthentic");

  const claims = readClaims(cbor(plaintext));
  const read = caveats.map((bytes) => readCaveat(cbor(bytes)));

  const params = new Map(Object.entries(claims.params ?? {}));
  for (const caveat of read) {
    for (const [name, value] of Object.entries(caveat.params ?? {})) {
      must((params.get(name) ?? value) === value, `${name} is fixed`, "ParamFixed");
      params.set(name, value);
    }
  }
  const all = [claims, ...read];
  const exp = all.map((one) => one.exp).reduce((least, one) => (one === undefined || least < one ? least : one));
  const nbf = all.map((one) => one.nbf).reduce((most, one) => (one === undefined || most > one ? most : one));
  must(now < exp, "over", "Expired");
  must(nbf === undefined || now >= nbf, "early", "NotYetValid");

  const links = tails.map(linkId);
  return { claims, kid, links, caveats: read, rights: rights(claims, read, links, params, exp, nbf) };
}

// ------------------------------------------------------------ sections 2, 5

function split(token) {
  must(typeof token === "string" && token.length <= 8192, "too long");
  must(/^[\x21-\x7e]+$/.test(token), "not ASCII");
  const fields = token.split(".");
  if (/^wt[0-9]+$/.test(fields[0])) must(fields[0] === "wt1", "another version", "UnsupportedVersion");
  must(fields[0] === "wt1" && fields.length >= 4, "not a token");
  must(fields.length <= 4 + 16, "more than 16 caveats");
  const [version, kid, sealedText, ...caveatTexts] = fields;
  const tailText = caveatTexts.pop();
  must(/^[A-Za-z0-9_-]{1,32}$/.test(kid), "kid");
  must(caveatTexts.every((text) => text !== ""), "an empty caveat");
  const sealed = base64url(sealedText);
  const caveats = caveatTexts.map(base64url);
  const tail = base64url(tailText);
  must(tail.length === 32, "the tail is not 32 bytes");
  return { head: `${version}.${kid}`, kid, sealedText, sealed, caveatTexts, caveats, tail };
}

/** Canonical, without padding: Node's own decoder takes nearly anything. */
function base64url(text) {
  must(/^[A-Za-z0-9_-]*$/.test(text) && text.length % 4 !== 1, "base64url");
  const bytes = Buffer.from(text, "base64url");
  must(bytes.toString("base64url") === text, "trailing bits");
  return bytes;
}

const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
const linkId = (tail) => createHash("sha256").update("webtask/v1/id").update(tail).digest("hex").slice(0, 32);

// ------------------------------------------- draft-irtf-cfrg-xchacha, RFC 8439

function xchacha20poly1305(key, sealed, associated) {
  if (sealed.length < 24 + 16) return undefined;
  const nonce = sealed.subarray(0, 24);
  const iv = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const decipher = createDecipheriv("chacha20-poly1305", hchacha20(key, nonce.subarray(0, 16)), iv, { authTagLength: 16 });
  const end = sealed.length - 16;
  decipher.setAAD(Buffer.from(associated), { plaintextLength: end - 24 });
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(24, end)), decipher.final()]);
  } catch {
    return undefined;
  }
}

export function hchacha20(key, nonce) {
  const words = (bytes) => Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i));
  const s = new Uint32Array([...words(Buffer.from("expand 32-byte k")), ...words(key), ...words(nonce)]);
  const mix = (to, from, by, left) => {
    s[to] += s[from];
    s[by] ^= s[to];
    s[by] = (s[by] << left) | (s[by] >>> (32 - left));
  };
  const quarter = (a, b, c, d) => {
    mix(a, b, d, 16);
    mix(c, d, b, 12);
    mix(a, b, d, 8);
    mix(c, d, b, 7);
  };
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarter(i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i++) quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
  }
  const out = Buffer.alloc(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((word, i) => out.writeUInt32LE(s[word], 4 * i));
  return out;
}

// ------------------------------------------------- RFC 8949 section 4.2.1

/** One item and nothing after it. Integers are BigInt, maps are Map, byte strings are Buffer; `true` is the only simple value. */
export function cbor(bytes) {
  let at = 0;
  const take = (length) => {
    must(length <= bytes.length - at, "a length reaches beyond the bytes");
    return bytes.subarray(at, (at += length));
  };
  const item = (depth) => {
    must(depth < 8, "too deep");
    const [initial] = take(1);
    const [major, info] = [initial >> 5, initial & 31];
    must(info < 28, "an indefinite length, or a reserved one");
    let argument = BigInt(info);
    if (info >= 24) {
      const length = 2 ** (info - 24);
      argument = BigInt(`0x${take(length).toString("hex")}`);
      must(argument >= (length === 1 ? 24n : 1n << BigInt(4 * length)), "longer than it must be");
    }
    if (major === 0) return argument;
    if (initial === 0xf5) return true;
    must([2, 3, 4, 5].includes(major), "a negative number, a tag, a float or a simple value");
    must(argument <= BigInt(bytes.length - at), "a length reaches beyond the bytes");
    const length = Number(argument);
    if (major === 2) return Buffer.from(take(length));
    if (major === 3) return utf8(take(length));
    if (major === 4) return Array.from({ length }, () => item(depth + 1));
    const map = new Map();
    let last;
    for (let i = 0; i < length; i++) {
      const start = at;
      const key = item(depth + 1);
      must(typeof key === "string", "a key is not text");
      const encoded = bytes.subarray(start, at);
      must(last === undefined || Buffer.compare(last, encoded) < 0, "a key stands twice, or out of order");
      last = encoded;
      map.set(key, item(depth + 1));
    }
    return map;
  };
  const value = item(0);
  must(at === bytes.length, "bytes after the map");
  return value;
}

function utf8(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TokenError("Malformed", "not UTF-8");
  }
}

// ---------------------------------------------------------- sections 7 and 9

const LATEST = 253402300799n;
const plain = (n) => (n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n);

/** Reads a map by a schema of readers; a key without one is unknown, and so not valid. */
function record(value, schema) {
  must(value instanceof Map, "not a map");
  const read = {};
  for (const [key, field] of value) {
    must(Object.hasOwn(schema, key), `the unknown key ${JSON.stringify(key)}`);
    read[key] = schema[key](field);
  }
  return read;
}

const text = (value) => (must(typeof value === "string", "not text"), value);
const unsigned = (value) => (must(typeof value === "bigint", "not an unsigned integer"), plain(value));
const time = (value) => (must(unsigned(value) <= LATEST, "after the year 9999"), plain(value));
const list = (value, read) => {
  must(Array.isArray(value) && value.length > 0, "not an array, or an empty one");
  return value.map(read);
};
const fit = (value, rule, what) => (must(rule(text(value)), what), value);
const hex = (length) => (value) => {
  must(Buffer.isBuffer(value) && value.length === length, `not ${length} bytes`);
  return value.toString("hex");
};
const isName = (value) => /^[A-Za-z0-9_.-]{1,64}$/.test(value);
const isMethod = (value) => /^[A-Z0-9_-]{1,32}$/.test(value);

const dictionary = (read) => (value) => {
  must(value instanceof Map && value.size > 0, "not a map, or an empty one");
  return Object.fromEntries([...value].map(([name, field]) => [fit(name, isName, "not a name"), read(field)]));
};
const params = dictionary((value) => fit(value, (text) => !text.includes("\0"), "NUL in a parameter"));
const LIMITS = ["cpu", "wall", "memory", "request", "response", "log", "calls", "rate"];
const lim = (value) => {
  const read = record(value, Object.fromEntries(LIMITS.map((name) => [name, unsigned])));
  must(Object.keys(read).length > 0, "no limit");
  return read;
};

/** Grants and slots are `[…]` in CBOR and text in vectors; the tuple is what matching needs. */
const TUPLE = Symbol("tuple");
const written = (string, tuple) => Object.assign(new String(string), { [TUPLE]: tuple });

function grant(value) {
  must(Array.isArray(value) && value.length === 3, "a grant has three items");
  const methods = list(value[0], text);
  must((methods.length === 1 && methods[0] === "*") || methods.every(isMethod), "the methods of a grant");
  const from = fit(value[1], (origin) => isOrigin(origin, true), "the origin of a grant");
  const path = fit(value[2], isPattern, "the path of a grant");
  return written(`${methods} ${from}${path}`, { methods, origin: from, path });
}

function slot(value) {
  must(Array.isArray(value) && value.length === 5, "a slot has five items");
  const method = fit(value[0], isMethod, "the method of a slot");
  const origin = fit(value[1], (from) => isOrigin(from, false), "the origin of a slot");
  const path = fit(value[2], isPattern, "the path of a slot");
  const header = fit(value[3], isHeader, "the header of a slot");
  const format = fit(value[4], isFormat, "the format of a slot");
  return written(`${method} ${origin}${path} ${header}: ${format}`, { method, origin, path, header, format });
}

const secret = (value) => {
  if (typeof value === "string") return { value, slots: [] };
  must(Array.isArray(value) && value.length > 1, "a bound secret has a slot");
  const [bound, slots] = [text(value[0]), value.slice(1).map(slot)];
  for (const { [TUPLE]: { format } } of slots) {
    const control = /\p{Cc}/u.test(bound);
    const sent = !format.startsWith("basic:") && !format.startsWith("hmac-sha256:");
    must(bound !== "" && (sent ? isField(bound) : !control), "a bound value");
  }
  return { value: bound, slots };
};

const carriers = (value) => {
  const via = list(value, (carrier) => fit(carrier, (one) => one === "path", "a carrier"));
  must(new Set(via).size === via.length, "a carrier twice");
  return via;
};

function ceiling(value) {
  const names = (value) => {
    const items = list(value, text);
    must((items.length === 1 && items[0] === "*") || items.every(isName), "not names, or `*` alone");
    return items;
  };
  const read = record(value, {
    lim,
    out: (value) => list(value, grant),
    via: carriers,
    life: (value) => (must(time(value) >= 1, "a life of nothing"), plain(value)),
    urls: (value) => list(value, (url) => fit(url, isCeilingUrl, "a URL of a ceiling")),
    params: names,
    secrets: names,
    unpinned: (value) => (must(value === true, "not true"), value),
  });
  must(read.life !== undefined && read.urls !== undefined, "`life` or `urls` is missing");
  return read;
}

function readClaims(value) {
  const claims = record(value, {
    exp: time,
    iat: unsigned,
    iss: (value) => (must(list(value, (link) => link).length <= 32, "more than 32 links"), value.map(hex(16))),
    lim,
    nbf: unsigned,
    out: (value) => list(value, grant),
    ten: (value) => fit(value, (tenant) => isName(tenant) && tenant !== "default", "a tenant"),
    url: (value) => fit(value, isUrl, "a URL"),
    via: carriers,
    kind: (value) => fit(value, (kind) => kind === "issue", "a kind"),
    issue: ceiling,
    params,
    sha256: hex(32),
    secrets: dictionary(secret),
  });
  const { exp, iat, nbf, url, secrets = {} } = claims;
  must(exp !== undefined && iat !== undefined, "`exp` or `iat` is missing");
  must(("kind" in claims) === ("issue" in claims), "of `kind` and `issue` one is missing");
  if ("issue" in claims) {
    const code = ["url", "sha256", "secrets", "params", "out", "iss", "via"].find((name) => name in claims);
    must(code === undefined, `an issuer token has \`${code}\``);
    must(Object.keys(claims.lim ?? {}).every((name) => name === "rate"), "an issuer token has a limit that is not `rate`");
  } else {
    must(url !== undefined, "`url` is missing");
  }
  must(exp > iat && (nbf === undefined || exp > nbf), "`exp` is not after `iat` and `nbf`");
  const slots = Object.values(secrets).flatMap((one) => one.slots.map((text) => text[TUPLE]));
  const collide = (a, b) => a.method === b.method && a.origin === b.origin && a.header === b.header && overlap(a.path, b.path);
  must(!slots.some((a, i) => slots.slice(0, i).some((b) => collide(a, b))), "two slots for one header");
  return { ten: "default", ...claims };
}

const sorted = (rule, what) => (value) => {
  const items = list(value, (item) => fit(item, rule, what));
  must(items.every((item, i) => i === 0 || Buffer.compare(Buffer.from(items[i - 1]), Buffer.from(item)) < 0), `${what}: order`);
  return items;
};

function readCaveat(value) {
  const caveat = record(value, {
    exp: time,
    nbf: time,
    methods: sorted(isMethod, "methods"),
    path: (value) => fit(value, isPattern, "a path"),
    origins: sorted((origin) => isOrigin(origin, false), "origins"),
    params,
    lim,
    out: (value) => (must(Array.isArray(value), "not an array"), value.map(grant)),
    note: (value) => fit(value, (note) => note !== "" && Buffer.byteLength(note) <= 256, "a note"),
  });
  must(Object.keys(caveat).length > 0, "an empty caveat");
  return caveat;
}

// ------------------------------------------------------------------ section 8

const isField = (value) => /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value);
const OURS = ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

function isHeader(name) {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]{1,64}$/.test(name) && !OURS.includes(name) && !/^(proxy|webtask)-/.test(name);
}

function isFormat(format) {
  if (format.startsWith("basic:")) {
    const user = format.slice("basic:".length);
    return (user === "" || isField(user)) && !user.includes(":") && !user.includes("{}");
  }
  const signs = format.startsWith("hmac-sha256:");
  const template = signs ? format.slice("hmac-sha256:".length) : format;
  return isField(template) && template.split("{}").length === 2 && (signs || !format.startsWith("hmac-"));
}

/** What the header of the slot `text` says for a request with `body`. */
export function header(text, value, body) {
  const { format } = text[TUPLE];
  if (format.startsWith("basic:")) {
    return `Basic ${Buffer.from(`${format.slice("basic:".length)}:${value}`).toString("base64")}`;
  }
  const signs = format.startsWith("hmac-sha256:");
  const template = signs ? format.slice("hmac-sha256:".length) : format;
  return template.split("{}").join(signs ? hmac(value, body).toString("hex") : value);
}

function isUrl(url) {
  if (url.length > 2048 || !/^[\x21-\x7e]*$/.test(url) || /["#<>\\^{|}`]/.test(url)) return false;
  if (url.startsWith("file://")) return isPlain(url.slice(7)) && url !== "file:///";
  if (url.startsWith("oci://")) return isImage(url);
  const parts = /^(https?):\/\/([^/?]*)/.exec(url);
  return parts !== null && isAuthority(parts[1], parts[2], false);
}

const WORDS = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const IMAGE = new RegExp(`^oci://([^/]*)/(${WORDS}(?:/${WORDS})*)(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`);

/** A component in a registry: with a tag, a manifest's digest, or both. */
function isImage(url) {
  const [, registry, repository, tag, digest] = IMAGE.exec(url) ?? [];
  return registry !== undefined && isAuthority("https", registry, false) && repository.length <= 255 && (tag ?? digest) !== undefined;
}

function isCeilingUrl(url) {
  if (!url.includes("*")) return isUrl(url);
  const parts = /^(file:\/\/|(?:oci|https?):\/\/[^/]*)(\/.*\*)$/s.exec(url);
  return parts !== null && (parts[1] === "file://" || isOrigin(parts[1].replace(/^oci:/, "https:"), false)) && isPattern(parts[2]);
}

function isOrigin(origin, wildcard) {
  const parts = /^(https?):\/\/(.*)$/s.exec(origin);
  return parts !== null && isAuthority(parts[1], parts[2], wildcard);
}

/** In its one spelling. Section 8.1 refers to 8.2 for the host and port of a URL. */
function isAuthority(scheme, authority, wildcard) {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::([1-9][0-9]*))?$/.exec(authority);
  if (!parts) return false;
  const [, host, port] = parts;
  if (port !== undefined && (Number(port) > 65535 || Number(port) === (scheme === "https" ? 443 : 80))) return false;
  if (wildcard && host.startsWith("*.")) return isDns(host.slice(2)) && host.slice(2).includes(".");
  return isDns(host) || isV4(host) || isV6(host);
}

function isDns(name) {
  const labels = name.split(".");
  const good = labels.every((label) => /^[a-z0-9_-]{1,63}$/.test(label) && !label.startsWith("-") && !label.endsWith("-"));
  return good && name.length <= 253 && !/^([0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1));
}

function isV4(name) {
  const bytes = name.split(".");
  return bytes.length === 4 && bytes.every((byte) => /^(0|[1-9][0-9]{0,2})$/.test(byte) && Number(byte) < 256);
}

/** RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups is `::`. */
function isV6(host) {
  if (!/^\[[0-9a-f:]+\]$/.test(host)) return false;
  const inner = host.slice(1, -1);
  const halves = inner.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const given = halves.flat();
  if (halves.length > 2 || !given.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return false;
  if (halves.length === 1 ? given.length !== 8 : given.length > 7) return false;
  const groups = [...halves[0], ...Array(8 - given.length).fill("0"), ...(halves[1] ?? [])].map((group) => parseInt(group, 16));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hexes = groups.map((group) => group.toString(16));
  const spelt = best.length < 2 ? hexes.join(":") : `${hexes.slice(0, best.start).join(":")}::${hexes.slice(best.start + best.length).join(":")}`;
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return spelt === inner && !mapped;
}

function isPlain(path) {
  if (!/^\/[\x21-\x7e]*$/.test(path) || /[\\?#]/.test(path)) return false;
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) return false;
  const escaped = [...path.matchAll(/%(..)/g)].map(([, digits]) => parseInt(digits, 16));
  if (escaped.some((byte) => byte < 0x20 || byte === 0x7f || "#%./;?\\".includes(String.fromCharCode(byte)))) return false;
  const bytes = path.replace(/%(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
  if (!isUtf8(Buffer.from(bytes, "latin1"))) return false;
  const names = path.slice(1).split("/").map((segment) => segment.split(";")[0]);
  return names.every((name, i) => !/^\.+(?:%|$)/.test(name) && (name !== "" || i === names.length - 1));
}

function isPattern(pattern) {
  const base = pattern.endsWith("*") ? pattern.slice(0, -1) : pattern;
  return isPlain(base) && !base.includes("*");
}

function matches(pattern, path) {
  return isPlain(path) && (pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern);
}

function overlap(a, b) {
  if (!a.endsWith("*")) return matches(b, a);
  if (!b.endsWith("*")) return matches(a, b);
  return a.startsWith(b.slice(0, -1)) || b.startsWith(a.slice(0, -1));
}

// ---------------------------------------------------------------- section 9.2

function rights(claims, caveats, links, params, exp, nbf) {
  const out = [claims.out ?? [], ...caveats.flatMap((caveat) => (caveat.out ? [caveat.out] : []))];
  const limits = [claims, ...caveats].map((one) => one.lim ?? {});
  const lim = {};
  for (const name of LIMITS.filter((name) => name !== "rate")) {
    for (const one of limits) {
      if (one[name] !== undefined && !(lim[name] <= one[name])) lim[name] = one[name];
    }
  }
  const rates = limits.flatMap((one, i) => (one.rate === undefined ? [] : [[links[i], one.rate]]));
  return {
    exp,
    ...(nbf === undefined ? {} : { nbf }),
    params: Object.fromEntries(params),
    lim,
    rates,
    out,
    request(method, path, origin) {
      const every = (key, fits) => caveats.every((caveat) => caveat[key] === undefined || fits(caveat[key]));
      if (!every("methods", (methods) => methods.includes(method))) return "method";
      if (!every("path", (pattern) => matches(pattern, path))) return "path";
      return every("origins", (origins) => origins.includes(origin)) ? "ok" : "origin";
    },
    outbound: (...request) => out.every((grants) => grants.some((grant) => allows(grant[TUPLE], ...request))),
  };
}

function allows({ methods, origin, path: pattern }, method, scheme, host, port, path) {
  const [, from, name, , number] = /^(https?):\/\/(\[.*\]|[^:]*)(:([0-9]+))?$/.exec(origin);
  const own = from === "https" ? 443 : 80;
  const below = name.startsWith("*.") && isDns(host) && host.endsWith(name.slice(1)) && host.length > name.length - 1;
  const named = isMethod(method) && methods.some((one) => one === method || one === "*");
  return named && scheme === from && Number(number ?? own) === port && (host === name || below) && matches(pattern, path);
}
