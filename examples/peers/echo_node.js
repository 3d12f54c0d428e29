// An echo server on Node: streams on one thread.
//
//     node examples/peers/echo_node.js 7007
"use strict";

const net = require("net");

if (process.argv.length !== 3) {
  console.error("usage: echo_node.js PORT");
  process.exit(1);
}

// With `allowHalfOpen`, the end of input does not end the output: `pipe` ends it after the last bytes.
const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  // Without a listener, a reset connection would end the program.
  socket.on("error", () => socket.destroy());
  // `pipe` pauses reading while a slow reader has not taken its bytes.
  socket.pipe(socket);
});

// A failed accept leaves the server listening.
server.on("error", (error) => {
  if (!server.listening) throw error;
});

server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 1024 }, () => {
  const { address, port } = server.address();
  console.log(`listening on tcp://${address}:${port}`);
});
