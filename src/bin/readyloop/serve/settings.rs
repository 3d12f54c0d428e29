//! The settings of `serve` as flags.
//!
//! Each setting is one field here. Its flag, its variable and its key in a file follow from it. The
//! defaults are those of the library.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use readyloop::codec::Framing;
use readyloop::datagram::DatagramLimits;
use readyloop::net::{Address, Keepalive, ListenOptions, MulticastGroup};
use readyloop::{Limits, ServerLimits};

use crate::units::{
    above_zero, address, alpn, count, duration, framing, keepalive, print_count, print_duration, print_size, size,
    switch, within,
};

use super::faults::Faults;
use super::flag_values::FlagValues;
use super::output_flags::Output;
use super::proxy::ProxyProtocol;
use super::recording_flags::RecordingFlags;
use super::threads::Threads;

const DEFAULT_ADDRESS: &str = "127.0.0.1:7007";

/// The largest size of a socket buffer, a C `int` for the kernel.
const BUFFER_LEN_MAX: usize = i32::MAX as usize;

/// The largest backlog, a C `int` for the kernel.
const BACKLOG_MAX: u32 = i32::MAX as u32;

/// All settings of `serve`.
#[derive(Args, Clone, Debug, PartialEq)]
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
    pub(super) proxy: ProxyProtocol,
    #[command(flatten)]
    pub(super) sockets: Sockets,
    #[command(flatten)]
    pub(super) datagrams: Datagrams,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) recording: RecordingFlags,

    #[command(flatten)]
    pub(super) faults: Faults,

    /// Address of the administration endpoint: metrics and the state of the server over HTTP
    ///
    /// A loopback address such as 127.0.0.1:9007, or unix:/PATH, which only the owner of the process can
    /// open. It has no users and passwords. `readyloop stat ADDRESS` shows its numbers.
    #[arg(long, value_name = "ADDRESS", value_parser = address, help_heading = "Administration")]
    pub(super) admin: Option<Address>,

    /// Read settings from this TOML file; flags and variables override it
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub(super) config: Option<PathBuf>,

    /// The values of all flags as text.
    #[arg(skip)]
    pub(crate) flags: FlagValues,
}

/// Addresses and the service on them.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Service")]
pub(super) struct Endpoints {
    /// Address to listen on; repeat for more, or separate them by commas
    ///
    /// One of HOST:PORT, tcp://HOST:PORT, [::1]:PORT, tls://HOST:PORT, udp://HOST:PORT or unix:/PATH.
    /// On Linux, unix:@NAME has no file.
    /// Port 0 is any free port. The default is reachable from this machine only.
    #[arg(short, long, value_name = "ADDRESS", value_parser = address, value_delimiter = ',')]
    #[arg(default_value = DEFAULT_ADDRESS)]
    pub(super) listen: Vec<Address>,

    /// Whether these are the addresses of the sockets that were passed on.
    #[arg(skip)]
    pub(super) are_passed: bool,

    /// Service on all addresses
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub(super) service: Service,

    /// Framing: raw, lines, length, length:u16le, fixed:N ... [default: raw]
    ///
    /// raw: bytes as they arrive. lines: frames end with LF or CRLF, and the line `exit` ends the
    /// connection; lines:utf8 refuses lines that are not UTF-8. length: a 4-byte big-endian length
    /// before each frame; also length:u8, u16, u32 and u64, with the suffix `le` for little-endian.
    /// fixed:N: frames of N bytes. With --prefix or --service chat, the default is lines.
    #[arg(long, value_name = "FRAMING", value_parser = framing)]
    pub(super) framing: Option<Framing>,

    /// Text before each frame that echo and chat send
    ///
    /// Needs --framing lines, the default with a prefix, or length. If the text starts with a dash,
    /// type --prefix='- '.
    #[arg(long, value_name = "TEXT")]
    pub(super) prefix: Option<String>,
}

impl Endpoints {
    /// Whether the addresses are the default.
    pub(super) fn has_default_address(&self) -> bool {
        self.listen == [Address::Tcp(DEFAULT_ADDRESS.to_owned())]
    }
}

/// The names of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Service {
    /// Sends every frame back (RFC 862)
    Echo,
    /// Discards all input (RFC 863)
    Discard,
    /// Sends lines of printable characters forever (RFC 864)
    Chargen,
    /// Sends every frame to all other peers
    Chat,
}

/// Limits on one peer.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Limits on one peer")]
pub(super) struct PeerLimits {
    /// Close a connection after this long without traffic
    ///
    /// Applies while no output is queued. Longer than a pause in typing,
    /// shorter than the timeout of most NATs and firewalls.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    #[arg(default_value = print_duration(Limits::default().idle_timeout))]
    pub(super) idle_timeout: Duration,

    /// Close a connection if a frame is incomplete this long after its first byte
    ///
    /// More bytes do not extend the deadline. Enough for the longest frame at 35 KB/s.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    #[arg(default_value = print_duration(Limits::default().frame_timeout))]
    pub(super) frame_timeout: Duration,

    /// Close a connection if the peer reads no queued output for this long
    ///
    /// Covers about ten TCP retransmissions. A path that is down for longer rarely recovers.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    #[arg(default_value = print_duration(Limits::default().write_timeout))]
    pub(super) write_timeout: Duration,

    /// After the server's end, wait this long for the peer's end and discard its input
    ///
    /// Covers a round trip with retransmissions. Closing at once could destroy output in transit.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    #[arg(default_value = print_duration(Limits::default().linger_timeout))]
    pub(super) linger_timeout: Duration,

    /// Close a connection that sends a frame, or takes output, more slowly than this [default: no bound]
    ///
    /// In bytes per second. A frame has 10s before its rate counts. A peer that takes output more slowly
    /// uses up --write-timeout instead of beginning it again with each byte. A peer that is silent
    /// between two frames is not measured.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<u32>))]
    pub(super) min_rate: Option<u32>,

    /// Finish a connection after this long, as in a drain
    ///
    /// Each one ends up to a tenth earlier, so that not all clients come back at once. Input
    /// that has arrived is answered first, and a frame that has begun has 10s.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    #[arg(default_value = print_duration(Limits::default().max_lifetime))]
    pub(super) max_lifetime: Duration,

    /// Longest frame that a peer may send; a longer one closes the connection
    ///
    /// Longer than any typed line, and small enough for a thousand frames at once.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    #[arg(default_value = print_size(Limits::default().frame_len_max))]
    pub(super) frame_len_max: usize,

    /// Pause reading from a peer while this much output is queued for it
    ///
    /// Keeps a fast path busy beyond the buffers of the kernel.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    #[arg(default_value = print_size(Limits::default().queue.high()))]
    pub(super) queue_high: usize,

    /// Resume reading when at most this much is queued
    ///
    /// A quarter of --queue-high, so that a resumed peer runs for a while before the next pause.
    #[arg(long, value_name = "SIZE", value_parser = size::<usize>)]
    #[arg(default_value = print_size(Limits::default().queue.low()))]
    pub(super) queue_low: usize,
}

/// Limits on all peers together.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Limits on all peers together")]
pub(super) struct TotalLimits {
    /// Most connections at once [default: what the descriptor limit allows]
    ///
    /// The default is the descriptor limit, less 32 for the program itself and 1 for each listener.
    /// A larger number is lowered to that, with a warning.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) max_connections: Option<usize>,

    /// Most connections from one IPv4 address or IPv6 /64 [default: no limit]
    ///
    /// Connections beyond it are reset. There is no default, because many clients may share one
    /// address behind a NAT.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    pub(super) max_connections_per_ip: Option<usize>,

    /// Action on connections beyond --max-connections
    #[arg(long, value_name = "ACTION", default_value = "pause")]
    pub(super) when_full: WhenFullAction,

    /// Most memory for the queues of all peers together
    ///
    /// Enough for 4,000 slow peers at the default --queue-high. When usage approaches it, reading
    /// pauses for the peers with the largest queues, and later accepting pauses.
    #[arg(long, value_name = "SIZE", value_parser = above_zero(size::<usize>))]
    #[arg(default_value = print_size(ServerLimits::default().queue_total_max))]
    pub(super) queue_total_max: usize,

    /// Go on accepting for this long after SIGTERM or SIGINT, with /readyz at 503
    ///
    /// Behind a load balancer: the interval of its health checks times the failures that it waits for, and
    /// some seconds. Clients are not refused while it still sends them here. A second signal begins the drain;
    /// with `never`, only that does.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    #[arg(default_value = print_duration(ServerLimits::default().shutdown_delay))]
    pub(super) shutdown_delay: Duration,

    /// Then accept no more, and wait this long until the connected clients leave by themselves
    ///
    /// They are served meanwhile. The drain begins when its time is over or the last one has left.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    #[arg(default_value = print_duration(ServerLimits::default().lame_duck_timeout))]
    pub(super) lame_duck_timeout: Duration,

    /// Time to drain after SIGTERM or SIGINT, and after the two stages above
    ///
    /// After half of it, connections are finished even if the peer still sends. At its end, all others
    /// are closed at once. Process supervisors usually wait at least this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    #[arg(default_value = print_duration(ServerLimits::default().drain_timeout))]
    pub(super) drain_timeout: Duration,
}

/// The action on connections beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenFullAction {
    /// Leave them in the kernel's backlog until another connection closes
    Pause,
    /// Accept and reset them at once
    Refuse,
}

/// Certificates and handshakes at tls:// addresses.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "TLS")]
pub(super) struct Tls {
    /// Certificate for tls:// addresses, followed by its intermediate certificates (PEM)
    ///
    /// `readyloop cert` makes one for development. SIGHUP reloads certificate and key; if that fails,
    /// the loaded ones stay in use.
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<PathBuf>,

    /// Private key of the certificate; only its owner may have read permission (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,

    /// Accept only clients with a certificate that one of these authorities signed (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca: Option<PathBuf>,

    /// Make a new self-signed certificate at every start, for tests only
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) self_signed: bool,

    /// Protocol to offer (ALPN); repeat in order of preference
    ///
    /// A client that offers only other protocols is refused. A client that offers none is accepted.
    #[arg(long, value_name = "PROTOCOL", value_parser = alpn, value_delimiter = ',')]
    pub(super) alpn: Vec<String>,

    /// Close a connection if its TLS handshake is incomplete after this long
    ///
    /// More bytes do not extend the deadline. Covers three round trips over a slow path, with
    /// retransmissions.
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    #[arg(default_value = print_duration(Limits::default().handshake_timeout))]
    pub(super) handshake_timeout: Duration,

    /// Most TLS handshakes and PROXY headers in progress at once on each address
    ///
    /// Beyond it, the oldest one is closed. A TLS handshake holds up to 20 KiB.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<usize>))]
    #[arg(default_value = ServerLimits::default().handshakes_max.to_string())]
    pub(super) max_handshakes: usize,
}

/// Options of the listening sockets, which accepted ones inherit.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Sockets")]
pub(super) struct Sockets {
    /// Connections that the kernel keeps until the server accepts them
    ///
    /// Linux caps it at net.core.somaxconn, by default 4096. A lower cap is logged as a warning.
    #[arg(long, value_name = "COUNT", value_parser = within(count::<u32>, 1..=BACKLOG_MAX))]
    #[arg(default_value = ListenOptions::default().backlog.to_string())]
    pub(super) backlog: u32,

    /// Let the kernel delay small replies to merge them (TCP_NODELAY unset)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) no_nodelay: bool,

    /// TCP keepalive: idle time, interval and number of probes [default: no probes]
    ///
    /// Times are whole seconds. 60s,10s,6 probes after 60 idle seconds, then every 10, and closes
    /// after 6 probes without a reply. Useful with --idle-timeout never.
    #[arg(long, value_name = "60s,10s,6", value_parser = keepalive)]
    pub(super) keepalive: Option<Keepalive>,

    /// Allow other processes to listen on the same port (SO_REUSEPORT)
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, value_parser = switch, num_args = 0..=1)]
    #[arg(require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) reuse_port: bool,

    /// Receive buffer of each socket (SO_RCVBUF) [default: tuned by the kernel]
    #[arg(long, value_name = "SIZE", value_parser = within(size::<usize>, 1..=BUFFER_LEN_MAX))]
    pub(super) recv_buffer: Option<usize>,

    /// Send buffer of each socket (SO_SNDBUF) [default: tuned by the kernel]
    #[arg(long, value_name = "SIZE", value_parser = within(size::<usize>, 1..=BUFFER_LEN_MAX))]
    pub(super) send_buffer: Option<usize>,
}

/// Limits on datagrams and multicast groups.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Datagrams (udp:// addresses)")]
pub(super) struct Datagrams {
    /// Datagrams answered per second for one source network, IPv4 /24 or IPv6 /56
    ///
    /// Enough for a busy host. An attacker can forge the source address, and the limit protects the
    /// owner of that address. For the same reason, a reply is never longer than its request.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u32>))]
    #[arg(default_value = print_count(DatagramLimits::default().source_rate.into()))]
    pub(super) udp_source_rate: u32,

    /// Datagrams answered per second in total
    ///
    /// About the rate at which one thread can send.
    #[arg(long, value_name = "COUNT", value_parser = above_zero(count::<u32>))]
    #[arg(default_value = print_count(DatagramLimits::default().total_rate.into()))]
    pub(super) udp_total_rate: u32,

    /// Multicast group to join; repeat for more
    ///
    /// 239.1.1.1 uses the interface that the kernel chooses, 239.1.1.1@ADDRESS the interface with that
    /// address. For IPv6: ff02::1, or ff02::1@NUMBER with the index of the interface. A reply goes to
    /// the sender of the request.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub(super) multicast: Vec<MulticastGroup>,
}
