//! Settings: all that can be asked of `serve`, as flags, with the defaults of the library.
//!
//! A field is declared once, here. Its flag, its variable and its key in a file follow from it;
//! where a value came from is not known here.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use readyloop::codec::{Framing, Lines, Raw};
use readyloop::datagram::DatagramLimits;
use readyloop::net::{Address, DatagramOptions, Keepalive, ListenOptions, MulticastGroup};
use readyloop::watermark::Watermarks;
use readyloop::{Limits, ServerLimits, WhenFull};

use crate::logging::Verbosity;
use crate::units::{above_zero, count, duration, keepalive, size, switch};

/// The threads of a pool. Its peers mostly wait, so there are many for each processor; and few
/// beside the peers that a pool is there to bound.
const WORKERS: NonZero<usize> = NonZero::new(64).expect("more than none");

/// All that can be asked of `serve`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(super) endpoints: Endpoints,
    #[command(flatten)]
    pub(super) threads: Threads,
    #[command(flatten)]
    pub(super) peer: PeerLimits,
    #[command(flatten)]
    pub(super) total: TotalLimits,
    #[command(flatten)]
    pub(super) tls: Tls,
    #[command(flatten)]
    pub(super) sockets: Sockets,
    #[command(flatten)]
    pub(super) datagrams: Datagrams,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Settings {
    /// The framing that was asked for, or the one that the other settings need.
    pub(super) fn framing(&self) -> Framing {
        let needs_frames = self.prefix().is_some() || self.endpoints.service == Service::Chat;
        match self.endpoints.framing {
            Some(framing) => framing.with_exit(),
            None if needs_frames => Framing::Lines(Lines::new().with_exit()),
            None => Framing::Raw(Raw),
        }
    }

    /// The prefix that was asked for; an empty one is none.
    pub(super) fn prefix(&self) -> Option<&str> {
        self.endpoints.prefix.as_deref().filter(|prefix| !prefix.is_empty())
    }

    /// How many threads a pool has.
    pub(super) fn workers(&self) -> NonZero<usize> {
        self.threads.workers.and_then(NonZero::new).unwrap_or(WORKERS)
    }

    /// What each peer may use. The watermarks must have been checked.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            queue: Watermarks::new(self.peer.queue_low, self.peer.queue_high),
            frame_len_max: self.peer.frame_len_max,
            handshake_timeout: self.tls.handshake_timeout,
            idle_timeout: self.peer.idle_timeout,
            frame_timeout: self.peer.frame_timeout,
            write_timeout: self.peer.write_timeout,
            linger_timeout: self.peer.linger_timeout,
            ..Limits::default()
        }
    }

    /// What all peers together may use, when this many descriptors are for them.
    pub(super) fn server_limits(&self, connections_max: usize) -> ServerLimits {
        ServerLimits {
            connections_max,
            connections_per_address_max: self.total.max_connections_per_ip.unwrap_or(usize::MAX),
            when_full: match self.total.when_full {
                WhenFullAction::Pause => WhenFull::Pause,
                WhenFullAction::Refuse => WhenFull::Refuse,
            },
            handshakes_max: self.tls.max_handshakes,
            queue_total_max: self.total.queue_total_max,
            drain_timeout: self.total.drain_timeout,
            ..ServerLimits::default()
        }
    }

    /// How the UDP sockets are set.
    pub(super) fn datagram_options(&self) -> DatagramOptions {
        DatagramOptions {
            reuse_port: self.sockets.reuse_port,
            recv_buffer: self.sockets.recv_buffer,
            send_buffer: self.sockets.send_buffer,
            multicast: self.datagrams.multicast.clone(),
        }
    }

    /// How many datagrams are answered.
    pub(super) fn datagram_limits(&self) -> DatagramLimits {
        DatagramLimits {
            source_rate: self.datagrams.udp_source_rate,
            total_rate: self.datagrams.udp_total_rate,
            ..DatagramLimits::default()
        }
    }

    /// How the listening sockets are set.
    pub(super) fn listen_options(&self) -> ListenOptions {
        ListenOptions {
            backlog: self.sockets.backlog,
            nodelay: !self.sockets.no_nodelay,
            keepalive: self.sockets.keepalive,
            reuse_port: self.sockets.reuse_port,
            recv_buffer: self.sockets.recv_buffer,
            send_buffer: self.sockets.send_buffer,
        }
    }
}

/// Where to listen and what is served there.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Service")]
pub(super) struct Endpoints {
    /// Where to listen; may be repeated [default: 127.0.0.1:7007]
    ///
    /// tcp://HOST:PORT, HOST:PORT, [::1]:PORT, tls://HOST:PORT, udp://HOST:PORT or unix:/PATH. Port 0 takes any free one. The default
    /// can be reached from this machine only.
    #[arg(short, long, value_name = "ADDRESS")]
    pub(super) listen: Vec<Address>,

    /// What is served [default: echo]
    #[arg(long, value_name = "NAME")]
    pub(super) service: Service,

    /// Where a frame ends: raw, lines, length, length:u16le, fixed:N ... [default: raw]
    ///
    /// raw: what arrives together. lines: LF or CRLF, and the line `exit` ends the connection;
    /// lines:utf8 refuses what is no text.
    /// length: a 4-byte big-endian length, then the frame; also length:u8, u16, u32, u64, with `le`
    /// behind for little-endian. fixed:N: N bytes. Where --prefix is given or --service is chat, the
    /// default is lines.
    #[arg(long, value_name = "FRAMING")]
    pub(super) framing: Option<Framing>,

    /// What echo and chat put before each frame they send
    ///
    /// Needs frames that can grow: --framing lines, which is the default then, or length. One that
    /// begins with a dash is typed --prefix='- '.
    #[arg(long, value_name = "TEXT")]
    pub(super) prefix: Option<String>,
}

/// Which threads serve the peers.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Design")]
pub(super) struct Threads {
    /// Which threads serve the peers [default: reactor]
    ///
    /// The same service and limits under another driver, to be compared.
    #[arg(long, value_name = "NAME")]
    pub(super) design: Design,

    /// How many threads a pool has [default: 64, for a pool]
    ///
    /// Each serves one peer until that is gone; the others wait. Only for --design pool.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) workers: Option<usize>,
}

/// The designs by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Design {
    /// One thread for all peers, which never waits for one of them
    Reactor,
    /// One thread, one peer after another
    Iterative,
    /// A thread for each peer
    Threads,
    /// A fixed number of threads, see --workers
    Pool,
}

/// The services by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Service {
    /// Sends every frame back (RFC 862)
    Echo,
    /// Reads and forgets (RFC 863)
    Discard,
    /// Sends lines of printable characters without end (RFC 864)
    Chargen,
    /// Sends every frame to all peers but its sender
    Chat,
}

/// What one peer may use.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Limits on one peer")]
pub(super) struct PeerLimits {
    /// Close a peer that has been silent this long [default: 5m]
    ///
    /// No byte moved either way, no frame begun, nothing waiting to leave. Longer than a person
    /// thinks, shorter than most middleboxes forget.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    pub(super) idle_timeout: Duration,

    /// Close a peer whose frame is not whole this long after its first byte [default: 30s]
    ///
    /// The bytes between do not restart it. Enough for the longest frame at 35 KB/s.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    pub(super) frame_timeout: Duration,

    /// Close a peer that takes nothing of what waits for it this long [default: 30s]
    ///
    /// Some ten retransmissions: a path that is gone by then stays gone.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    pub(super) write_timeout: Duration,

    /// After our end, wait this long for the peer's, discarding what it still sends [default: 5s]
    ///
    /// A round trip and its retransmissions. Closing at once could destroy the tail of what we sent.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    pub(super) linger_timeout: Duration,

    /// The longest frame a peer may send; a longer one closes it [default: 1MiB]
    ///
    /// Longer than any line a person writes, short enough for a thousand at once.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    pub(super) frame_len_max: usize,

    /// Stop reading a peer while this much waits to leave for it [default: 128KiB]
    ///
    /// Keeps a fast path full beyond what the kernel buffers.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    pub(super) queue_high: usize,

    /// Read it again when no more than this is left [default: 32KiB]
    ///
    /// A quarter of --queue-high: a peer that was paused runs for a while before it is paused again.
    #[arg(long, value_name = "SIZE", value_parser = size::<usize>)]
    pub(super) queue_low: usize,
}

/// What all peers together may use.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Limits on all peers together")]
pub(super) struct TotalLimits {
    /// How many may be connected at once [default: what the descriptor limit allows]
    ///
    /// The descriptor limit less 32 for the program itself and one for each listener. A higher
    /// number than that is lowered to it, with a warning.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) max_connections: Option<usize>,

    /// How many of them from one IPv4 address or IPv6 /64 [default: no such limit]
    ///
    /// Those beyond it are always reset. Many people may share one address: only you know how many.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) max_connections_per_ip: Option<usize>,

    /// What happens to those beyond --max-connections [default: pause]
    #[arg(long, value_name = "WHAT")]
    pub(super) when_full: WhenFullAction,

    /// How much memory may be lent to the queues of all peers together [default: 512MiB]
    ///
    /// 4,000 slow peers at the default --queue-high. Long before it is spent the largest queues are
    /// read no further, then nobody new is accepted.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    pub(super) queue_total_max: usize,

    /// After SIGTERM or SIGINT, how long peers may take to finish [default: 10s]
    ///
    /// At half of it peers are finished whatever they still send, at its end they are cut off. What
    /// process supervisors commonly grant before they kill. 0s cuts everybody off at once.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) drain_timeout: Duration,
}

/// What happens to a connection for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenFullAction {
    /// They wait in the kernel's backlog until another leaves
    Pause,
    /// They are accepted and reset at once
    Refuse,
}

/// What is shown at tls:// addresses, and to whom.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "TLS")]
pub(super) struct Tls {
    /// Certificate to show at tls:// addresses, and behind it those that lead to its authority (PEM)
    ///
    /// `readyloop cert` makes one for development. SIGHUP reads it and its key again; when they
    /// cannot be used, those of before stay.
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<PathBuf>,

    /// The private key of that certificate, which only its owner may be able to read (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,

    /// Let in only clients that show a certificate signed by one of these (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca: Option<PathBuf>,

    /// Make a certificate at every start, which no client has reason to trust: for trials
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, hide_possible_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = switch)]
    pub(super) self_signed: bool,

    /// A protocol to agree on with clients that ask for one (ALPN); may be repeated, the best first
    ///
    /// A client that asks for none of them is refused, one that asks for nothing is not.
    #[arg(long, value_name = "PROTOCOL")]
    pub(super) alpn: Vec<String>,

    /// Close a peer whose handshake is not done this long after it connected [default: 10s]
    ///
    /// The bytes between do not restart it. Three round trips over the slowest path in use, with
    /// their retransmissions.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    pub(super) handshake_timeout: Duration,

    /// How many handshakes may go on at once at each address [default: 4096]
    ///
    /// Beyond it the one that has gone on for the longest is given up. One that goes on holds up to
    /// 20 KiB.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) max_handshakes: usize,
}

/// Options of the listening sockets, which accepted ones inherit.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Sockets")]
pub(super) struct Sockets {
    /// How many connections the kernel keeps until they are accepted [default: 4096]
    ///
    /// What Linux allows at most unless net.core.somaxconn was changed; there is a warning when it
    /// allows less.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u32>))]
    pub(super) backlog: u32,

    /// Let the kernel hold back small replies to join them (leaves TCP_NODELAY unset)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, hide_possible_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = switch)]
    pub(super) no_nodelay: bool,

    /// Probe silent peers: after 60s, every 10s, gone after 6 without answer [default: no probes]
    ///
    /// Whole seconds. --idle-timeout closes silent peers anyway; probes are for when that is `never`.
    #[arg(long, value_name = "60s,10s,6", value_parser = keepalive)]
    pub(super) keepalive: Option<Keepalive>,

    /// Let other processes listen on the same port (SO_REUSEPORT)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, hide_possible_values = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = switch)]
    pub(super) reuse_port: bool,

    /// Receive buffer of each socket (SO_RCVBUF) [default: tuned by the kernel]
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    pub(super) recv_buffer: Option<usize>,

    /// Send buffer of each socket (SO_SNDBUF) [default: tuned by the kernel]
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    pub(super) send_buffer: Option<usize>,
}

/// Which datagrams are answered.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Datagrams (udp:// addresses)")]
pub(super) struct Datagrams {
    /// How many a second of one source network, an IPv4 /24 or IPv6 /56, are answered [default: 10k]
    ///
    /// A busy host's worth. A source may be forged; an answer is never longer than its question.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u32>))]
    pub(super) udp_source_rate: u32,

    /// How many a second are answered in all [default: 200k]
    ///
    /// About what one thread can send.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u32>))]
    pub(super) udp_total_rate: u32,

    /// Join this multicast group; may be repeated
    ///
    /// 239.1.1.1 on the interface the kernel chooses, or 239.1.1.1@ADDRESS on the one that has that
    /// address; for IPv6 ff02::1 or ff02::1@NUMBER. Answers go to the one who asked.
    #[arg(long, value_name = "GROUP")]
    pub(super) multicast: Vec<MulticastGroup>,
}

/// What is told, and where.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Write the `listening on` lines to this file too; it is there exactly while we listen
    ///
    /// It appears whole, after every listener is bound, and is removed at exit and at the next start.
    #[arg(long, value_name = "PATH")]
    pub(super) ready_file: Option<PathBuf>,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

impl Default for Endpoints {
    fn default() -> Self {
        // Loopback: whoever wants to be reached from elsewhere says so.
        let listen = vec![Address::Tcp("127.0.0.1:7007".to_owned())];
        Self { listen, service: Service::Echo, framing: None, prefix: None }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self { design: Design::Reactor, workers: None }
    }
}

impl Default for PeerLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            idle_timeout: limits.idle_timeout,
            frame_timeout: limits.frame_timeout,
            write_timeout: limits.write_timeout,
            linger_timeout: limits.linger_timeout,
            frame_len_max: limits.frame_len_max,
            queue_high: limits.queue.high(),
            queue_low: limits.queue.low(),
        }
    }
}

impl Default for TotalLimits {
    fn default() -> Self {
        let limits = ServerLimits::default();
        let when_full = match limits.when_full {
            WhenFull::Pause => WhenFullAction::Pause,
            WhenFull::Refuse => WhenFullAction::Refuse,
        };
        Self {
            max_connections: None,
            max_connections_per_ip: None,
            when_full,
            queue_total_max: limits.queue_total_max,
            drain_timeout: limits.drain_timeout,
        }
    }
}

impl Default for Datagrams {
    fn default() -> Self {
        let limits = DatagramLimits::default();
        Self { udp_source_rate: limits.source_rate, udp_total_rate: limits.total_rate, multicast: Vec::new() }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            self_signed: false,
            alpn: Vec::new(),
            handshake_timeout: Limits::default().handshake_timeout,
            max_handshakes: ServerLimits::default().handshakes_max,
        }
    }
}

impl Default for Sockets {
    fn default() -> Self {
        let options = ListenOptions::default();
        Self {
            backlog: options.backlog,
            no_nodelay: !options.nodelay,
            keepalive: options.keepalive,
            reuse_port: options.reuse_port,
            recv_buffer: options.recv_buffer,
            send_buffer: options.send_buffer,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn command() -> Command {
        Settings::augment_args_for_update(Command::new("serve"))
    }

    #[test]
    fn every_default_in_the_help_is_the_one_that_holds() {
        for arg in command().get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let Some((_, rest)) = help.split_once("[default: ") else { continue };
            let (default, _) = rest.split_once(']').unwrap();
            if default.contains(' ') {
                continue; // Words, not a value.
            }
            let name = arg.get_long().unwrap();
            let matches = command().try_get_matches_from(["serve", &format!("--{name}={default}")]).unwrap();
            let mut settings = Settings::default();
            settings.update_from_arg_matches(&matches).unwrap();
            if name == "framing" {
                settings.endpoints.framing = None;
            }
            assert_eq!(settings, Settings::default(), "--{name}");
        }
    }

    #[test]
    fn every_flag_is_explained_under_a_heading() {
        for arg in command().get_arguments() {
            assert!(arg.get_help().is_some(), "{arg}");
            assert!(arg.get_help_heading().is_some(), "{arg}");
        }
    }
}
