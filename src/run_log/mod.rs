//! What happened in a run of an event loop, turn by turn, in words and in numbers.
//!
//! A [`RunObserver`] reads the state of the loop after each turn. It describes what crossed the border, from a
//! [`TraceLog`](crate::trace::TraceLog), and what the loop decided. For that, it compares the state of each
//! connection with its state after the turn before. So the loop has no part in it, and two decisions in one turn
//! that cancel out are not seen. The result is a [`RunLog`], which prints as a [story](RunLog::story).
//!
//! It works for a loop over any [`Net`](crate::net::Net) that adds its calls to a log, such as the
//! [simulated one](crate::sim):
//!
//! ```
//! use readyloop::run_log::{CallbackLog, Observed, RunObserver};
//! use readyloop::{Address, Lines, Server, ServerLimits, service::Echo, sim::World, trace::TraceLog};
//!
//! # fn main() -> std::io::Result<()> {
//! let log = TraceLog::new();
//! let world = World::new(1).with_log(log.clone());
//! let mut server = Server::new(world.net(), ServerLimits::default());
//! let address: Address = "127.0.0.1:7007".parse().unwrap();
//! let service = Observed::new(Echo::new(), CallbackLog::new(0, log.clone()));
//! server.listen(address.clone(), Lines::new(), service)?;
//! let mut observer = RunObserver::new("One line", log).with_service("echo of lines");
//!
//! let ann = world.connect(&address);
//! ann.send(b"hello\n");
//! world.settle(|| {
//!     server.turn(None)?;
//!     observer.after_turn(&server, &world.kernel_buffers());
//!     std::io::Result::Ok(())
//! })?;
//!
//! let story = observer.into_log().story().to_string();
//! assert!(story.contains("callback on_frame: peer 0, \"hello\""), "{story}");
//! # Ok(())
//! # }
//! ```

mod decisions;
mod describe;
mod names;
mod observed;
mod observer;
mod sentences;
mod story;
#[cfg(test)]
mod tests;
mod words;

#[cfg(feature = "simtest")]
pub(crate) use observed::panic_message;
pub use observed::{Callback, CallbackLog, CallbackObserver, Observed};
pub use observer::RunObserver;
pub use story::StoryPrinter;

use crate::connection::{CloseReason, Deadline, Limits, ReadHalf, ReadPause, Role, WriteHalf};
use crate::event_loop::{OpenStage, Stage};
use crate::instant::Instant;
use crate::trace::{KernelBuffers, Lesson};

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct RunLog {
    /// The name of the run.
    pub title: String,
    /// The endpoints of the loop.
    pub endpoints: Vec<EndpointHeader>,
    /// The connections, by the number of their stream.
    pub connections: Vec<ConnectionHeader>,
    /// The turns. The first one has number 0: what happened before the first poll.
    pub turns: Vec<TurnLog>,
    /// Turns that are left out, because the log has no space for more.
    pub turns_left_out: u64,
}

/// An endpoint of the loop.
#[derive(Clone, Debug)]
pub struct EndpointHeader {
    /// The address that it listens at, or that it only connects.
    pub name: String,
    /// Its service and framing, in words of the program.
    pub service: String,
    /// The limits of its peers, if it has any.
    pub limits: Option<Limits>,
}

/// The names of a connection in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionHeader {
    /// The number of its peer, or of its stream if the peers have no numbers.
    pub number: usize,
    /// Its name in the story: `peer 3`.
    pub name: String,
    /// The index of its endpoint, once the loop has it.
    pub endpoint: Option<usize>,
    /// The address of its peer, if it is known.
    pub address: String,
}

/// What happened in one turn, and the state after it.
#[derive(Clone, Debug)]
pub struct TurnLog {
    /// The number of the turn, from 1.
    pub number: u64,
    /// The time of the turn.
    pub at: Instant,
    /// What happened, in order.
    pub lines: Vec<LogLine>,
    /// The connections that changed, by the number of their stream. `None`: the connection is gone.
    pub changes: Vec<(usize, Option<ConnectionState>)>,
    /// The state of the loop after the turn.
    pub state: TurnState,
}

/// One thing that happened in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The step of the turn.
    pub step: TurnStep,
    /// What kind of thing it is.
    pub kind: LineKind,
    /// The number of the stream that it is about.
    pub connection: Option<usize>,
    /// The lesson that explains it.
    pub lesson: Option<Lesson>,
    /// The bytes that moved into or out of a kernel buffer of the stream, and their number.
    pub moved: Option<(ByteFlow, usize)>,
    /// A sentence in plain words, without a full stop.
    pub text: String,
}

/// A step of a turn, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TurnStep {
    /// The poll sleeps until an event. Meanwhile the peers act.
    Sleep,
    /// The events are recorded.
    Dispatch,
    /// Messages of other threads are delivered, and control requests carried out.
    Deliver,
    /// New connections are accepted.
    Accept,
    /// Outbound connections are begun.
    Connect,
    /// Marked peers are served.
    Serve,
    /// Deadlines and timers expire.
    Expire,
    /// Closed peers are removed.
    Reap,
}

impl TurnStep {
    /// All steps in order: `ALL[step as usize] == step`.
    pub const ALL: [Self; 8] = [
        Self::Sleep,
        Self::Dispatch,
        Self::Deliver,
        Self::Accept,
        Self::Connect,
        Self::Serve,
        Self::Expire,
        Self::Reap,
    ];

    /// The step in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Dispatch => "dispatch",
            Self::Deliver => "deliver",
            Self::Accept => "accept",
            Self::Connect => "connect",
            Self::Serve => "serve",
            Self::Expire => "expire",
            Self::Reap => "reap",
        }
    }
}

/// What kind of thing a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A peer did something.
    Peer,
    /// The poll reported something.
    Event,
    /// The loop made a system call.
    Call,
    /// The loop called the service.
    Callback,
    /// The loop decided something, as a comparison of its state shows.
    Decision,
    /// A fault was injected.
    Fault,
    /// The program explains something.
    Note,
}

impl LineKind {
    /// All kinds: `ALL[kind as usize] == kind`.
    pub const ALL: [Self; 7] =
        [Self::Peer, Self::Event, Self::Call, Self::Callback, Self::Decision, Self::Fault, Self::Note];

    /// The kind in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Event => "event",
            Self::Call => "call",
            Self::Callback => "callback",
            Self::Decision => "decision",
            Self::Fault => "fault",
            Self::Note => "note",
        }
    }
}

/// A way of bytes into or out of a kernel buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteFlow {
    /// The peer writes.
    FromPeer,
    /// The loop reads.
    ToLoop,
    /// The loop writes.
    FromLoop,
    /// The peer reads.
    ToPeer,
}

/// The state of one connection after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionState {
    /// How far it has come; `None` while it waits to be accepted.
    pub stage: Option<OpenStage>,
    /// Our side of it.
    pub role: Role,
    /// Its kernel buffers, if the network knows them.
    pub kernel: Option<KernelBuffers>,
    /// Whether a read may succeed.
    pub readable: bool,
    /// Whether a write may succeed.
    pub writable: bool,
    /// Whether it is to be served before the next sleep.
    pub is_marked: bool,
    /// Bytes read and not yet served.
    pub input_len: usize,
    /// Bytes queued and not yet written.
    pub output_len: usize,
    /// Bytes read and written in this turn.
    pub moved_len: usize,
    /// The half from the peer to us.
    pub read: ReadHalf,
    /// The half from us to the peer.
    pub write: WriteHalf,
    /// What holds input back.
    pub pause: ReadPause,
    /// The timeout that runs.
    pub timeout: Option<Deadline>,
    /// When it passes.
    pub deadline: Instant,
    /// Why it ends, if it does.
    pub reason: Option<CloseReason>,
    /// Whether it is closed and waits to be removed.
    pub is_closed: bool,
}

impl ConnectionState {
    /// A connection that waits in the backlog.
    const WAITING: Self = Self {
        stage: None,
        role: Role::Accepted,
        kernel: None,
        readable: false,
        writable: false,
        is_marked: false,
        input_len: 0,
        output_len: 0,
        moved_len: 0,
        read: ReadHalf::Open,
        write: WriteHalf::Open,
        pause: ReadPause::NotPaused,
        timeout: None,
        deadline: Instant::NEVER,
        reason: None,
        is_closed: false,
    };
}

/// The state of the loop after a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnState {
    /// The number of open connections.
    pub open: usize,
    /// Marked peers, which are served before the next sleep.
    pub marked: usize,
    /// Bytes in all output queues.
    pub queued_len: usize,
    /// Memory lent to queues, in bytes.
    pub lent_bytes: usize,
    /// The most memory that may be lent, in bytes.
    pub lent_bytes_max: usize,
    /// Bytes read and written in this turn.
    pub moved_len: usize,
    /// The most bytes that one endpoint moves in a turn.
    pub moved_len_max: usize,
    /// Until when the loop would sleep; `None` if until an event.
    pub sleeps_until: Option<Instant>,
    /// The stage of the shutdown.
    pub stage: Stage,
}
