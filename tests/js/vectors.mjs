// The vectors of the token format. Integers beyond 2^53 are read as BigInt.
import { readFileSync, readdirSync } from "node:fs";

const directory = new URL("../../host/token/vectors/", import.meta.url);

export const vectors = readdirSync(directory)
  .filter((file) => file.endsWith(".json"))
  .sort()
  .map((file) => {
    const text = readFileSync(new URL(file, directory), "utf8").replace(/^(\s*"\w+": )(\d{16,})(?=,?$)/gm, '$1"integer $2"');
    return { file, ...JSON.parse(text, (_, value) => integer(value)) };
  });

function integer(value) {
  const digits = typeof value === "string" && /^integer (\d+)$/.exec(value)?.[1];
  if (!digits) return value;
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : BigInt(digits);
}
