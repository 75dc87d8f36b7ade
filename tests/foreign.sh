#!/usr/bin/env bash
# Makes webtasks with toolchains that are not Rust's, and lets `webtask audit` read them: JavaScript by
# componentize-js, Python by componentize-py. By hand, for they come from npm and PyPI and are large.
# Usage: tests/foreign.sh DIRECTORY WEBTASK    (needs node 20, npm, python3; WEBTASK is the command)
set -euo pipefail
webtask=$(realpath "$2")
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1/wit/deps" && cd "$1"

for package in cli clocks filesystem http io random sockets; do
  # componentize-js is made for this version and no other.
  sed 's/0\.2\.12/0.2.10/g' "$root/wit/deps/$package.wit" > "wit/deps/$package.wit"
done
cat > wit/world.wit <<END
package test:foreign;
world task {
  include wasi:http/proxy@0.2.10;
}
END

[ -d node_modules ] || npm install --no-fund --no-audit @bytecodealliance/componentize-js@0.23.0
cat > app.js <<'END'
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));
async function answer(request) {
  const url = new URL(request.url).searchParams.get("url");
  if (url === null) return new Response("hello from JavaScript\n");
  const response = await fetch(url);
  return new Response(`JavaScript got ${response.status}\n`);
}
END
node --input-type=module -e '
import { writeFileSync } from "node:fs";
import { componentize } from "@bytecodealliance/componentize-js";
const { component } = await componentize({ sourcePath: "app.js", witPath: process.cwd() + "/wit", worldName: "task" });
writeFileSync("js.wasm", component);
'

[ -d venv ] || { python3 -m venv venv && venv/bin/pip install --quiet componentize-py==0.25.1; }
cat > app.py <<'END'
from wit_world import exports
from wit_world.imports.types import (
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam)
from componentize_py_types import Ok


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        response = OutgoingResponse(Fields.from_list([]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(b"hello from Python\n")
        OutgoingBody.finish(body, None)
END
venv/bin/componentize-py --wit-path "$PWD/wit" --world task componentize app -o py.wasm

for component in js.wasm py.wasm; do
  "$webtask" audit "$component"
done
