//! `TestSubject`: a service under test, with a scenario for each of its peers.

use crate::codec::ByteCodec;
use crate::connection::Limits;
use crate::service::Service;
use crate::sim::Rng;

/// A service under test, and what its peers send and must receive.
///
/// Several peers use one service at once. Each has a scenario of its own.
pub trait TestSubject: Sync {
    /// The service under test.
    type Service: Service<Codec: ByteCodec> + 'static;

    /// Creates the service of one run. It must not share state with other runs.
    fn service(&self) -> Self::Service;

    /// Creates the framing of the service.
    fn codec(&self) -> <Self::Service as Service>::Codec;

    /// The limits of its peers. Use the limits of your production service.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Draws the bytes that one peer sends and must receive. Use no random numbers except from `rng`.
    fn scenario(&self, rng: &mut Rng) -> Scenario;
}

/// The bytes that one peer sends, and the bytes that it receives if nothing fails.
///
/// The peer must never receive anything but a prefix of `expected`. It must receive all of it if it
/// sent everything, read to the end, and no fault, deadline, drain or lack of memory occurred. So a
/// service that ends a peer early, or leaves out a reply, is detected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// The bytes on the wire that the peer sends. They must be whole frames.
    pub sent: Vec<u8>,
    /// The bytes on the wire that the peer must receive.
    pub expected: Vec<u8>,
}
