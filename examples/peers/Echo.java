// An echo server in Java on NIO: a selector on one thread.
//
//     javac -d target/peers examples/peers/Echo.java && java -cp target/peers Echo 7007

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

public final class Echo {
    private final Selector selector = Selector.open();
    private final ServerSocketChannel listener = ServerSocketChannel.open();
    private final SelectionKey listening;
    /** Shared by all connections. */
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(64 * 1024);

    private Echo(int port) throws IOException {
        listener.bind(new InetSocketAddress("127.0.0.1", port), 1024);
        listener.configureBlocking(false);
        listening = listener.register(selector, SelectionKey.OP_ACCEPT);
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 1) {
            System.err.println("usage: Echo PORT");
            System.exit(1);
        }
        // The first close of a program needs a descriptor for the runtime, and now one is free.
        SocketChannel.open().close();
        Echo echo = new Echo(Integer.parseInt(arguments[0]));
        System.out.println("listening on tcp://127.0.0.1:" + echo.listener.socket().getLocalPort());
        while (true) {
            // After a failed accept, a closed connection frees a descriptor. So may another process.
            boolean isPaused = echo.listening.interestOps() == 0;
            if (echo.selector.select(echo::serve, isPaused ? 100 : 0) == 0) {
                echo.listening.interestOps(SelectionKey.OP_ACCEPT);
            }
        }
    }

    private void serve(SelectionKey key) {
        if (key == listening) {
            accept();
            return;
        }
        try {
            echo(key, (SocketChannel) key.channel());
        } catch (IOException lost) {
            close(key);
        }
    }

    private void accept() {
        try {
            for (SocketChannel peer; (peer = listener.accept()) != null; ) {
                peer.configureBlocking(false);
                peer.setOption(StandardSocketOptions.TCP_NODELAY, true);
                peer.register(selector, SelectionKey.OP_READ);
            }
        } catch (IOException noDescriptor) {
            // Without a free descriptor, the listener would be ready at once, again and again.
            listening.interestOps(0);
        }
    }

    /** Bytes that a slow reader has not taken are attached to the key, and its input is not read meanwhile. */
    private void echo(SelectionKey key, SocketChannel peer) throws IOException {
        ByteBuffer unsent = (ByteBuffer) key.attachment();
        if (unsent == null) {
            if (peer.read(buffer.clear()) < 0) {
                close(key);
                return;
            }
            peer.write(buffer.flip());
            if (buffer.hasRemaining()) {
                key.attach(ByteBuffer.allocate(buffer.remaining()).put(buffer).flip());
                key.interestOps(SelectionKey.OP_WRITE);
            }
        } else {
            peer.write(unsent);
            if (!unsent.hasRemaining()) {
                key.attach(null);
                key.interestOps(SelectionKey.OP_READ);
            }
        }
    }

    private void close(SelectionKey key) {
        try {
            key.channel().close();
        } catch (IOException ignored) {
            // Its descriptor is closed in any case.
        }
        listening.interestOps(SelectionKey.OP_ACCEPT);
    }
}
