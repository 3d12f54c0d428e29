//! A server with a service of the test's own, on a thread of this process.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use readyloop::codec::Codec;
use readyloop::{Address, Handle, Limits, Listen, Reactor, Server, ServerLimits, Service, Totals};

/// A server that runs beside the test.
pub(crate) struct InProcessServer {
    pub(crate) address: SocketAddr,
    handle: Handle,
    thread: JoinHandle<Totals>,
}

impl InProcessServer {
    /// Serves `service` on a free port.
    pub(crate) fn serve<S, C>(service: S, codec: C, limits: Limits, server_limits: ServerLimits) -> Self
    where
        S: Service + Send + 'static,
        C: Codec + Send + 'static,
    {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut server = Server::new(Reactor::new().expect("descriptors are free"), server_limits);
            let address: Address = "127.0.0.1:0".parse().expect("an address");
            let listen = Listen { limits, ..Listen::from(address) };
            let endpoint = server.listen(listen, codec, service).expect("a port is free");
            let address = server.local_address(&endpoint).to_string();
            tell.send((address, server.handle())).expect("the test waits for it");
            server.run().expect("the poll is whole")
        });
        let (address, handle) = told.recv().expect("the server starts");
        let address = address.trim_start_matches("tcp://").parse().expect("a TCP address");
        Self { address, handle, thread }
    }

    /// Drains it: everything that it counted.
    #[track_caller]
    pub(crate) fn drain(self) -> Totals {
        self.handle.drain();
        let totals = self.thread.join().expect("the server lives through all this");
        assert!(totals.reconciles(), "{totals}");
        totals
    }
}
