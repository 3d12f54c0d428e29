//! A trial: the server that ships in a simulated world, drawn from a seed and watched at every turn.
//!
//! The seed draws which faults strike and how often, the limits, the peers with their habits, and
//! when the server is told to end. After every turn three accounts that know nothing of each other
//! are compared: what the server remembers, what the simulated kernel knows, and what the service
//! and the peers were told. A trial opens no socket and waits for nobody; the same seed is the same
//! run, and can be told as a story.
//!
//! [`Trial::house`] tries the server with the services of this crate and with one that misbehaves.
//! A service of your own is tried as a [`Play`]: say what its peers send and what each of them is
//! to hear, and run as many seeds as there is time for.
//!
//! ```
//! use readyloop::sim::Rng;
//! use readyloop::simtest::{Play, Script, Trial};
//! use readyloop::{Context, Lines, Service};
//!
//! struct Shout;
//!
//! impl Service for Shout {
//!     type Peer = ();
//!     type Message = ();
//!
//!     fn on_frame(&mut self, _peer: &mut (), line: &[u8], cx: &mut Context) {
//!         cx.send(&line.to_ascii_uppercase());
//!     }
//! }
//!
//! struct Shouting;
//!
//! impl Play for Shouting {
//!     type Service = Shout;
//!     type Codec = Lines;
//!
//!     fn service(&self) -> Shout {
//!         Shout
//!     }
//!
//!     fn codec(&self) -> Lines {
//!         Lines::new()
//!     }
//!
//!     fn script(&self, rng: &mut Rng) -> Script {
//!         let lines = rng.up_to(20);
//!         Script { sent: b"hello\n".repeat(lines), heard: b"HELLO\n".repeat(lines) }
//!     }
//! }
//!
//! let trial = Trial::of(&Shouting);
//! let sum = trial.sweep(0..20, |_| {});
//! assert!(sum.failures.is_empty(), "{}", sum.failures[0]);
//! ```
//!
//! When a seed fails, [`Trial::tell`] runs it again and tells what happened in it, a line each.
//! What it does not know: services whose peers hear each other have no [`Script`] that says what
//! one peer hears; test those with a [`World`](crate::sim::World) of your own.

mod crowd;
mod departure;
mod house;
mod letters;
mod mischief;
mod scene;
mod sum;
#[cfg(test)]
mod tests;
mod watch;
mod witness;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::codec::Codec;
use crate::connection::Limits;
use crate::service::Service;
use crate::sim::Rng;

use house::{House, Stage};
use scene::{Cast, Scene};

pub use scene::Outcome;
pub use sum::{Pair, Sum};

/// A service of yours, and what its peers say to it and hear of it.
///
/// Several peers talk to one service at once; each has a script of its own.
pub trait Play: Sync {
    /// The service.
    type Service: Service + 'static;
    /// Its framing.
    type Codec: Codec + 'static;

    /// The service of one run; it must not remember anything of another run.
    fn service(&self) -> Self::Service;

    /// Its framing.
    fn codec(&self) -> Self::Codec;

    /// The limits of its peers: those that you ship it with.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// What one peer sends, and what it is to hear, drawn from `rng` and nothing else.
    fn script(&self, rng: &mut Rng) -> Script;
}

/// What one peer sends, and what it hears if nothing comes between.
///
/// Whatever happens, it must never hear anything but the beginning of that; and all of it, when it
/// sent everything, listened to the end, and no fault, deadline, drain or lack of memory came
/// between: a service that ends a peer early, or gives no answer, is caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What it sends, as bytes on the wire: whole frames.
    pub sent: Vec<u8>,
    /// What it is to hear, as bytes on the wire.
    pub heard: Vec<u8>,
}

/// A way to draw runs from seeds.
pub struct Trial<'a> {
    cast: Box<dyn Cast + 'a>,
}

impl fmt::Debug for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").finish_non_exhaustive()
    }
}

/// What was broken in which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run.
    pub seed: u64,
    /// What does not hold.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.message)
    }
}

/// One run as a story.
#[derive(Clone, Debug)]
pub struct Tale {
    /// What happened, a line each.
    pub story: String,
    /// How it came out.
    pub outcome: Result<Outcome, Failure>,
}

impl<'a> Trial<'a> {
    /// The services of this crate, and one that misbehaves.
    pub fn house() -> Self {
        Self { cast: Box::new(House) }
    }

    /// A service of yours.
    pub fn of(play: &'a impl Play) -> Self {
        Self { cast: Box::new(Stage(play)) }
    }

    /// Runs one seed.
    ///
    /// # Errors
    /// What does not hold. It is found by a panic, which is caught here; the hook of the process
    /// for panics sees it before.
    pub fn run(&self, seed: u64) -> Result<Outcome, Failure> {
        play(&mut Scene::draw(seed, self.cast.as_ref(), false), seed)
    }

    /// Runs one seed, and tells what happened in it.
    pub fn tell(&self, seed: u64) -> Tale {
        let mut scene = Scene::draw(seed, self.cast.as_ref(), true);
        let outcome = play(&mut scene, seed);
        // Before the scene is taken apart, which would be told as well.
        Tale { story: scene.world.trace(), outcome }
    }
}

fn play(scene: &mut Scene<'_>, seed: u64) -> Result<Outcome, Failure> {
    // Whatever was being done, nothing of it is used any more.
    let outcome = catch_unwind(AssertUnwindSafe(|| scene.run()));
    outcome.map_err(|panic| Failure { seed, message: message_of(panic.as_ref()) })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
