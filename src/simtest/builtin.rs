//! The two setups of a run: all services of this crate at once, or one [`TestSubject`].
//!
//! They open the endpoints and say what peers send. They check nothing.

use std::num::NonZero;

use super::datagrams::DatagramClients;
use super::misbehaving_service::MisbehavingService;
use super::peers::{LastFrame, PeerPlan, ServiceKind, SimEndpoint, draw_plan};
use super::run_state::{RunState, SimSetup, draw_timeout};
use super::subject::{Scenario, TestSubject};
use crate::admission::Listen;
use crate::codec::{ByteOrder, Fixed, Framing, Length, LengthWidth, Lines, Raw};
use crate::connection::Limits;
use crate::net::{Address, ListenOptions};
use crate::service::{Chargen, Chat, Discard, Echo, Service};
use crate::sim::Rng;
use crate::watermark::Watermarks;

/// The services of this crate and one that misbehaves, mostly behind tight limits.
pub(super) struct BuiltIn;

/// One service of a user.
pub(super) struct Custom<'a, T>(pub(super) &'a T);

impl SimSetup for BuiltIn {
    fn open_endpoints(&self, state: &mut RunState) {
        for _ in 0..state.rng.up_to(3) {
            open_endpoint(state);
        }
        // It comes last, so that the indices of stream endpoints match those of the server.
        if state.side_rng.chance(0.3) {
            state.datagrams = Some(DatagramClients::open(&mut state.server, &mut state.side_rng));
        }
    }

    fn draw_plan(&self, endpoint: &SimEndpoint, port: u16, len: usize, rng: &mut Rng) -> PeerPlan {
        draw_plan(endpoint, port, len, rng)
    }
}

impl<T: TestSubject> SimSetup for Custom<'_, T> {
    fn open_endpoints(&self, state: &mut RunState) {
        let limits = self.0.limits();
        let listen = Listen { limits: limits.clone(), ..Listen::from(any_port()) };
        let (address, _) = state.listen(listen, self.0.codec(), self.0.service());
        // The scenario has bytes on the wire, so to its peers the framing is raw.
        let framing = Framing::Raw(Raw);
        state.endpoints.push(SimEndpoint { address, service: ServiceKind::Scenario, framing, limits });
    }

    fn draw_plan(&self, _endpoint: &SimEndpoint, _port: u16, _len: usize, rng: &mut Rng) -> PeerPlan {
        let Scenario { sent, expected } = self.0.scenario(rng);
        PeerPlan { sent, expected, last: LastFrame::Whole }
    }
}

fn any_port() -> Address {
    "127.0.0.1:0".parse().expect("an address")
}

fn open_endpoint(state: &mut RunState) {
    let rng = &mut state.rng;
    let echo = ServiceKind::Echo { prefix: "" };
    let kinds = [echo, ServiceKind::Echo { prefix: "> " }, ServiceKind::Misbehaving, ServiceKind::Chat];
    let service = match rng.below(10) {
        0 => ServiceKind::Chargen,
        1 => ServiceKind::Discard,
        _ => rng.pick(&kinds),
    };
    let mut limits = draw_limits(rng);
    draw_later_limits(&mut limits, &mut state.limits_rng);
    let framing = draw_framing(service, &limits, rng);
    if service == ServiceKind::Chat {
        // Chat lines need this length.
        limits.frame_len_max = limits.frame_len_max.max(64);
    }
    let backlog = if rng.chance(0.3) { rng.up_to(8) as u32 } else { 4096 };
    let socket = ListenOptions { backlog, ..ListenOptions::default() };
    let listen = Listen { socket, limits: limits.clone(), ..Listen::from(any_port()) };
    let address = match service {
        ServiceKind::Echo { prefix } => listen_to(state, listen, framing, Echo::with_prefix(prefix)),
        ServiceKind::Misbehaving => {
            let probability = 0.4 * 0.5_f64.powi(state.rng.below(6) as i32);
            let (endpoint, rng, log) = (state.endpoints.len(), state.rng.fork(), state.log.clone());
            let service = MisbehavingService::new(endpoint, rng, probability, bad_reply(framing), log);
            listen_to(state, listen, framing, service)
        }
        ServiceKind::Chat => listen_to(state, listen, framing, Chat::new()),
        ServiceKind::Chargen => listen_to(state, listen, framing, Chargen::new()),
        ServiceKind::Discard => listen_to(state, listen, framing, Discard::new()),
        ServiceKind::Scenario => unreachable!("only a test subject has a scenario"),
    };
    state.endpoints.push(SimEndpoint { address, service, framing, limits });
}

fn listen_to<S: Service<Codec = Framing, Message = ()> + 'static>(
    state: &mut RunState,
    listen: Listen,
    framing: Framing,
    service: S,
) -> Address {
    let (address, sender) = state.listen(listen, framing, service);
    state.senders.push(sender);
    address
}

fn draw_limits(rng: &mut Rng) -> Limits {
    let high = 1 << (4 + rng.below(14));
    let usual = Limits::default();
    let draws_timeouts = rng.chance(0.5);
    let mut timeout = |usual| if draws_timeouts { draw_timeout(rng) } else { usual };
    Limits {
        idle_timeout: timeout(usual.idle_timeout),
        frame_timeout: timeout(usual.frame_timeout),
        write_timeout: timeout(usual.write_timeout),
        linger_timeout: timeout(usual.linger_timeout),
        queue: Watermarks::new(rng.below(high), high),
        frame_len_max: 1 << (5 + rng.below(9)),
        linger_bytes_max: 1 << rng.below(25),
        ..usual
    }
}

/// Draws the rate and the lifetime, in few runs, because they end peers early.
fn draw_later_limits(limits: &mut Limits, rng: &mut Rng) {
    if rng.chance(0.1) {
        limits.min_rate = NonZero::new(1 << rng.below(20));
    }
    if rng.chance(0.1) {
        limits.max_lifetime = draw_timeout(rng);
    }
}

fn draw_framing(service: ServiceKind, limits: &Limits, rng: &mut Rng) -> Framing {
    let lines = Framing::Lines(Lines::new().with_exit());
    let order = rng.pick(&[ByteOrder::Big, ByteOrder::Little]);
    let width = rng.pick(&[LengthWidth::U8, LengthWidth::U16, LengthWidth::U32, LengthWidth::U64]);
    let length = Framing::Length(Length { width, order });
    let long = Framing::Length(Length { width: LengthWidth::U32, order });
    let fixed = Framing::Fixed(Fixed::new(rng.up_to(limits.frame_len_max)));
    match service {
        ServiceKind::Chargen => Framing::Raw(Raw),
        // A prefix needs a framing with space for it.
        ServiceKind::Chat | ServiceKind::Echo { prefix: "> " } => rng.pick(&[lines, long]),
        ServiceKind::Echo { .. } | ServiceKind::Misbehaving | ServiceKind::Discard | ServiceKind::Scenario => {
            rng.pick(&[Framing::Raw(Raw), lines, length, fixed])
        }
    }
}

/// A reply that the framing cannot carry, or nothing if it carries everything.
fn bad_reply(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Lines(_) => b"two\nlines",
        Framing::Length(Length { width: LengthWidth::U8, .. }) => &[b'x'; 256],
        Framing::Length(_) | Framing::Raw(_) | Framing::Fixed(_) => b"",
    }
}
