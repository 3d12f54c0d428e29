//! Who plays in a run: the services of this crate, all at once, or one service of somebody else.
//!
//! Which endpoints there are, and what their peers say; what must then hold is not known here.

use std::time::Duration;

use super::crowd::{Last, Part, Place, Talk, part};
use super::letters::Letters;
use super::mischief::Mischief;
use super::scene::{Cast, Scene};
use super::{Play, Script};
use crate::admission::Listen;
use crate::codec::{ByteOrder, Fixed, Framing, Length, LengthWidth, Lines, Raw};
use crate::connection::Limits;
use crate::net::{Address, ListenOptions};
use crate::service::{Chargen, Chat, Discard, Echo, Service};
use crate::sim::Rng;
use crate::watermark::Watermarks;

/// The services of this crate, and one that misbehaves, behind limits that are seldom kind.
pub(super) struct House;

/// One service of somebody else.
pub(super) struct Stage<'a, P>(pub(super) &'a P);

impl Cast for House {
    fn open(&self, scene: &mut Scene<'_>) {
        for _ in 0..scene.rng.up_to(3) {
            open_endpoint(scene);
        }
        // Behind the others, so that a place and its endpoint have the same number.
        if scene.side_rng.chance(0.3) {
            scene.letters = Some(Letters::open(&mut scene.server, &mut scene.side_rng));
        }
    }

    fn part(&self, place: &Place, port: u16, len: usize, rng: &mut Rng) -> Part {
        part(place, port, len, rng)
    }
}

impl<P: Play> Cast for Stage<'_, P> {
    fn open(&self, scene: &mut Scene<'_>) {
        let limits = self.0.limits();
        let listen = Listen { limits: limits.clone(), ..Listen::from(any_port()) };
        let (address, _) = scene.listen(listen, self.0.codec(), self.0.service());
        // Its framing is its own affair, so it counts as none.
        scene.places.push(Place { address, talk: Talk::PollOutcome, framing: Framing::Raw(Raw), limits });
    }

    fn part(&self, _place: &Place, _port: u16, _len: usize, rng: &mut Rng) -> Part {
        let Script { sent, heard } = self.0.script(rng);
        Part { sent, heard, last: Last::WholeFrame }
    }
}

fn any_port() -> Address {
    "127.0.0.1:0".parse().expect("an address")
}

fn open_endpoint(scene: &mut Scene<'_>) {
    let rng = &mut scene.rng;
    let talks = [Talk::Echo { prefix: "" }, Talk::Echo { prefix: "> " }, Talk::Mischief, Talk::Chat];
    let talk = match rng.below(10) {
        0 => Talk::Chargen,
        1 => Talk::Discard,
        _ => rng.pick(&talks),
    };
    let mut limits = draw_limits(rng);
    let framing = draw_framing(talk, &limits, rng);
    if talk == Talk::Chat {
        // Its lines are this long, whatever was drawn.
        limits.frame_len_max = limits.frame_len_max.max(64);
    }
    let backlog = if rng.chance(0.3) { rng.up_to(8) as u32 } else { 4096 };
    let socket = ListenOptions { backlog, ..ListenOptions::default() };
    let listen = Listen { socket, limits: limits.clone(), ..Listen::from(any_port()) };
    let address = match talk {
        Talk::Echo { prefix } => listen_to(scene, listen, framing, Echo::with_prefix(prefix)),
        Talk::Mischief => {
            let probability = 0.4 * 0.5_f64.powi(scene.rng.below(6) as i32);
            let (room, rng, log) = (scene.places.len(), scene.rng.fork(), scene.log.clone());
            let mischief = Mischief::new(room, rng, probability, bad_reply(framing), log);
            listen_to(scene, listen, framing, mischief)
        }
        Talk::Chat => listen_to(scene, listen, framing, Chat::new()),
        Talk::Chargen => listen_to(scene, listen, framing, Chargen::new()),
        Talk::Discard => listen_to(scene, listen, framing, Discard),
        Talk::PollOutcome => unreachable!("the house has no service of somebody else"),
    };
    scene.places.push(Place { address, talk, framing, limits });
}

fn listen_to<S: Service<Message = ()> + 'static>(
    scene: &mut Scene<'_>,
    listen: Listen,
    framing: Framing,
    service: S,
) -> Address {
    let (address, sender) = scene.listen(listen, framing, service);
    scene.posters.push(sender);
    address
}

fn draw_limits(rng: &mut Rng) -> Limits {
    let high = 1 << (4 + rng.below(14));
    let usual = Limits::default();
    let is_hasty = rng.chance(0.5);
    let mut timeout = |usual| if is_hasty { draw_timeout(rng) } else { usual };
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

/// From a millisecond to four minutes; short and long are equally likely.
pub(super) fn draw_timeout(rng: &mut Rng) -> Duration {
    Duration::from_micros(1 << (10 + rng.below(19)))
}

fn draw_framing(talk: Talk, limits: &Limits, rng: &mut Rng) -> Framing {
    let lines = Framing::Lines(Lines::new().with_exit());
    let order = rng.pick(&[ByteOrder::Big, ByteOrder::Little]);
    let width = rng.pick(&[LengthWidth::U8, LengthWidth::U16, LengthWidth::U32, LengthWidth::U64]);
    let length = Framing::Length(Length { width, order });
    let long = Framing::Length(Length { width: LengthWidth::U32, order });
    let fixed = Framing::Fixed(Fixed::new(rng.up_to(limits.frame_len_max)));
    match talk {
        Talk::Chargen => Framing::Raw(Raw),
        // A prefix needs an envelope that has room for it.
        Talk::Chat | Talk::Echo { prefix: "> " } => rng.pick(&[lines, long]),
        Talk::Echo { .. } | Talk::Mischief | Talk::Discard | Talk::PollOutcome => {
            rng.pick(&[Framing::Raw(Raw), lines, length, fixed])
        }
    }
}

/// What a framing cannot carry; empty where it can carry everything.
fn bad_reply(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Lines(_) => b"two\nlines",
        Framing::Length(Length { width: LengthWidth::U8, .. }) => &[b'x'; 256],
        Framing::Length(_) | Framing::Raw(_) | Framing::Fixed(_) => b"",
    }
}
