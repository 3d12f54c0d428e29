//! A server with a service of the test, on a thread of this process.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use readyloop::{Address, Handle, Limits, Listen, Reactor, Server, ServerLimits, Service, Totals};

use super::TIMEOUT;
use super::machine::{SharedMachine, shared_machine};

/// A running server.
pub(crate) struct InProcessServer {
    pub(crate) address: SocketAddr,
    handle: Handle,
    totals: Receiver<Totals>,
    _share: SharedMachine,
}

impl InProcessServer {
    /// Serves `service` on a free port.
    #[track_caller]
    pub(crate) fn serve<S>(service: S, codec: S::Codec, limits: Limits, server_limits: ServerLimits) -> Self
    where
        S: Service<Codec: Send> + Send + 'static,
    {
        let share = shared_machine();
        let (start_sender, started) = mpsc::channel();
        let (totals_sender, totals) = mpsc::channel();
        thread::spawn(move || {
            let mut server = Server::new(Reactor::new().expect("descriptors are free"), server_limits);
            let address: Address = "127.0.0.1:0".parse().expect("the address is valid");
            let listen = Listen { limits, ..Listen::from(address) };
            let endpoint = server.listen(listen, codec, service).expect("a port is free");
            let address = server.local_address(&endpoint).to_string();
            start_sender.send((address, server.handle())).expect("the test waits for it");
            totals_sender.send(server.run().expect("the poll works")).expect("the test waits for it");
        });
        let (address, handle) = started.recv_timeout(TIMEOUT).expect("the server starts");
        let address = address.trim_start_matches("tcp://").parse().expect("the address is a TCP address");
        Self { address, handle, totals, _share: share }
    }

    /// Drains the server and returns its totals, in which every connection is closed.
    #[track_caller]
    pub(crate) fn drain(self) -> Totals {
        self.handle.drain();
        let totals = self.totals.recv_timeout(TIMEOUT).expect("the server neither hangs nor panics");
        assert!(totals.reconciles() && totals.open == 0, "{totals}");
        totals
    }
}
