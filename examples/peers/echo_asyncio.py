"""An echo server on asyncio: a protocol object for each connection, on one thread.

    python3 examples/peers/echo_asyncio.py 7007

asyncio sets TCP_NODELAY.
"""

import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    # More than 64 KiB wait for a slow reader. Without this pair they would grow without a bound.
    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    # The default of `eof_received` closes the connection after the last bytes are written.


async def main(port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"listening on tcp://{host}:{port}", flush=True)
    await server.serve_forever()


if len(sys.argv) != 2:
    sys.exit("usage: echo_asyncio.py PORT")
asyncio.run(main(int(sys.argv[1])))
