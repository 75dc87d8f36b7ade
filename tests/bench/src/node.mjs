// What plain Node does: one process, its own HTTP server. Prints its address.
import http from "node:http";

const server = http.createServer((request, response) => {
  if (request.method === "POST") {
    request.pipe(response);
    return;
  }
  const text = "Hello, world!\n";
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": text.length });
  response.end(text);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
