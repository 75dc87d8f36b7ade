// The opener of open.mjs agrees with every file of host/token/vectors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hchacha20, header, open } from "./open.mjs";
import { vectors } from "./vectors.mjs";

const accept = vectors.filter((vector) => vector.expect && !vector.expect.error);
const reject = vectors.filter((vector) => vector.expect?.error);

/** In the form of JSON: a grant is its text. */
const json = (value) => {
  if (value instanceof String) return `${value}`;
  if (Array.isArray(value)) return value.map(json);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).filter(([, one]) => typeof one !== "function").map(([key, one]) => [key, json(one)]));
};

test("HChaCha20: the vector of draft-irtf-cfrg-xchacha section 2.2.1", () => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
  const nonce = Buffer.from("000000090000004a0000000031415927", "hex");
  assert.equal(hchacha20(key, nonce).toString("hex"), "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
});

test(`${accept.length} tokens to accept`, async (t) => {
  assert.ok(accept.length >= 15);
  for (const { file, keys, token, now, expect } of accept) {
    await t.test(file, () => {
      const { caveats, rights, ...opened } = open(keys, token, now);
      const found = json(opened);
      if (caveats.length > 0) found.caveats = json(caveats);
      if (expect.rights) found.rights = json(rights);
      if (expect.requests) found.requests = expect.requests.map(([...row]) => [...row.slice(0, 3), rights.request(...row)]);
      if (expect.outbound) found.outbound = expect.outbound.map(([...row]) => [...row.slice(0, 5), rights.outbound(...row)]);
      if (expect.headers) {
        found.headers = expect.headers.map(([name, at, body]) => {
          const { value, slots } = opened.claims.secrets[name];
          return [name, at, body, header(slots[at], value, body)];
        });
      }
      assert.deepEqual(found, expect);
    });
  }
});

test(`${reject.length} tokens to reject`, async (t) => {
  assert.ok(reject.length >= 100);
  for (const { file, keys, token, now, expect } of reject) {
    await t.test(file, () => assert.throws(() => open(keys, token, now), { code: expect.error }));
  }
});
