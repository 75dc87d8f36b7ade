// The JavaScript client makes what the Rust library makes, byte by byte.
import assert from "node:assert/strict";
import { createHmac, hkdfSync } from "node:crypto";
import { test } from "node:test";
import { attenuate } from "../../guest-sdk/js/webtask.js";
import { open } from "./open.mjs";
import { vectors } from "./vectors.mjs";

const cases = vectors.filter((vector) => vector.caveat);
const accepted = vectors.find((vector) => vector.file === "accept-minimal.json");
const token = accepted.token;

test(`attenuate: ${cases.length} vectors`, async (t) => {
  assert.ok(cases.length >= 15);
  for (const vector of cases) {
    await t.test(vector.file, async () => {
      if (vector.result) assert.equal(await attenuate(vector.token, vector.caveat), vector.result);
      else await assert.rejects(attenuate(vector.token, vector.caveat), { name: "TypeError", code: vector.error });
    });
  }
});

test("the caveats of every accepted token are made again from their JSON", async () => {
  let made = 0;
  for (const { file, token, expect } of vectors.filter((vector) => vector.expect?.caveats)) {
    const parts = token.split(".");
    for (const [at, caveat] of expect.caveats.entries()) {
      const narrowed = await attenuate(accepted.token, caveat);
      assert.equal(narrowed.split(".")[3], parts[3 + at], file);
      made += 1;
    }
  }
  assert.ok(made >= 20);
});

test("a token whose caveats break a rule is not narrowed", async () => {
  // All but those that only a holder of the key sees: chain, clock, claims.
  const seen = vectors.filter(({ file, expect }) => /^reject-caveat-/.test(file) && expect.error === "Malformed");
  assert.ok(seen.length >= 50);
  for (const { file, token } of seen) {
    const holder = await attenuate(token, { note: "a" }).catch((error) => error.code);
    assert.equal(holder, "Token", file);
  }
});

test("several caveats are appended in turn, and the result opens", async () => {
  const both = [{ params: { user: "42" }, methods: ["GET"] }, { exp: accepted.now + 5, out: [] }];
  const narrowed = await attenuate(token, both);
  assert.equal(narrowed, await attenuate(await attenuate(token, both[0]), both[1]));
  const opened = open(accepted.keys, narrowed, accepted.now);
  assert.deepEqual(opened.caveats, both);
  assert.equal(opened.links[0], accepted.expect.links[0]);
  assert.throws(() => open(accepted.keys, narrowed, accepted.now + 5), { code: "Expired" });
});

test("dates are rounded to the narrower side", async () => {
  const of = (caveat) => attenuate(token, caveat);
  assert.equal(await of({ exp: new Date(1_800_000_060_999) }), await of({ exp: 1_800_000_060 }));
  assert.equal(await of({ nbf: new Date(1_800_000_060_001) }), await of({ nbf: 1_800_000_061 }));
});

test("grants are made canonical", async () => {
  const of = (grant) => attenuate(token, { out: [grant] });
  for (const [said, canonical] of [
    [" GET,POST  https://API.example.com:443/v1/* ", "GET,POST https://api.example.com/v1/*"],
    ["* http://127.0.0.1:080", "* http://127.0.0.1/*"],
    ["GET http://[0:0::1]:8080/a", "GET http://[::1]:8080/a"],
    ["GET https://*.Example.com/", { methods: ["GET"], origin: "https://*.example.com", path: "/" }],
  ]) {
    assert.equal(await of(said), await of(canonical));
  }
});

test("what is no caveat is refused", async (t) => {
  const grants = [
    "https://h/", "get https://h/", "GET, https://h/", "GET,* https://h/", "GET h/", "GET ftp://h/", "GET https://h:0/", "GET https://h:65536/",
    "GET https://h:/", "GET https://h./", "GET https://u@h/", "GET https://*/", "GET https://*.com/", "GET https://a.*.com/", "GET https://h/../a",
    "GET https://h//a", "GET https://h/a?b", "GET https://h/%2e", "GET https://h/%zz", "GET https://h/a*b", "GET http://127.1/", "GET http://0177.0.0.1/",
    "GET http://2130706433/", "GET http://[::ffff:7f00:1]/", "GET https://b\u00fccher.example/", "GET https://\u212a/", "GET https://-a/",
  ];
  const wrong = [
    undefined, null, "note", 5, [], [{}], {}, { note: undefined }, { note: "" }, { note: "\u00fc".repeat(129) }, { note: "\ud800" }, { notes: "a" },
    { exp: -1 }, { exp: 1.5 }, { exp: "1800000000" }, { exp: NaN }, { exp: new Date(NaN) }, { exp: null }, { exp: 253402300800 }, { exp: Date.now() * 1000 },
    { methods: "GET" }, { methods: ["get"] }, { methods: ["*"] }, { methods: [] }, { methods: [5] }, { origins: ["null"] }, { origins: ["https://a.test/"] },
    { origins: ["https://A.test"] }, { origins: ["https://a.test:443"] }, { origins: ["https://*.a.test"] }, { origins: ["*"] }, { path: "a" }, { path: "" },
    { path: "/a/.." }, { path: "/**" }, { params: {} }, { params: { "a b": "" } }, { params: { a: 5 } }, { params: { a: "\0" } }, { params: { a: undefined } },
    { lim: {} }, { lim: { color: 1 } }, { lim: { cpu: -1 } }, { lim: { cpu: 1.5 } }, { lim: { cpu: 2 ** 53 } }, { lim: { cpu: 2n ** 64n } }, { out: "GET https://h/" },
    ...grants.map((grant) => ({ out: [grant] })),
  ];
  for (const caveat of wrong) {
    await assert.rejects(attenuate(token, caveat), { name: "TypeError", code: "Invalid" }, `${JSON.stringify(caveat, (_, v) => (typeof v === "bigint" ? `${v}` : v))}`);
  }
});

test("what is no token is refused", async () => {
  for (const text of [undefined, 5, "", "wt1", "wt1.k1", "wt1.k1.a", "wt2.k1.AA.AA", ` ${token}`, `${token}\n`, `${token}=`, token.replace(".k1.", ".k 1.")]) {
    await assert.rejects(attenuate(text, { note: "a" }), { name: "TypeError", code: "Token" }, String(text));
  }
});

test("both decoders of caveats take the same bytes: one bit changed at a time", async () => {
  const [{ kid, root }] = accepted.keys;
  const link = token.slice(0, token.lastIndexOf("."));
  const chain = Buffer.from(hkdfSync("sha256", Buffer.from(root, "base64url"), "", "webtask/v1/chain", 32));
  const first = createHmac("sha256", chain).update(link).digest();
  const everything = vectors.find(({ file }) => file === "accept-caveat-everything.json");
  const bytes = Buffer.from(everything.token.split(".")[3], "base64url");
  assert.ok(link.startsWith(`wt1.${kid}.`));
  let taken = 0;
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] ^= 1 << (bit & 7);
    const text = changed.toString("base64url");
    const forged = `${link}.${text}.${createHmac("sha256", first).update(text).digest("base64url")}`;
    let opener = "ok";
    try {
      open(accepted.keys, forged, accepted.now);
    } catch (error) {
      opener = error.code;
    }
    const holder = await attenuate(forged, { note: "a" }).then(() => "ok", (error) => error.code);
    assert.equal(holder === "Token", opener === "Malformed", `bit ${bit}: ${holder}, ${opener}`);
    if (holder === "ok") taken += 1;
  }
  assert.ok(taken > 100);
});
