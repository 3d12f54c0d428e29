//! [`SystemNet`]: a network of the operating system.

use std::os::fd::AsFd;

use super::Net;
use super::listener::Listener;
use super::reactor::Reactor;

/// A network of the operating system: the [`Reactor`], or a network that passes its calls on to one.
///
/// The sockets have descriptors, which a program can watch and pass on to another process.
pub trait SystemNet: Net<Listener: AsFd, Datagrams: AsFd> {
    /// The reactor that does the calls.
    fn reactor(&self) -> &Reactor;

    /// The same, to change it.
    fn reactor_mut(&mut self) -> &mut Reactor;

    /// Makes the drop of a listener remove the path of its Unix socket, which another process has bound.
    fn remove_path_at_end(&mut self, listener: &mut Self::Listener);
}

impl SystemNet for Reactor {
    fn reactor(&self) -> &Reactor {
        self
    }

    fn reactor_mut(&mut self) -> &mut Reactor {
        self
    }

    fn remove_path_at_end(&mut self, listener: &mut Listener) {
        listener.remove_path();
    }
}
