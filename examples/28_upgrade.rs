//! A protocol that changes in mid-connection: lines first, then frames with their length before them.
//!
//! Try it: `cargo run --example 28_upgrade`
//!
//! ```text
//! sent the line "hello", received the line "lines: hello"
//! sent the line "upgrade", received the line "switched"
//! sent the frame "two\nlines", received the frame "frames: two\nlines"
//! a frame that never comes closes the client after 1 s
//! ```
//!
//! A codec has a state for each peer. Here it says which framing is in use, and holds the state of that
//! framing. The service changes it between two frames. The bytes that follow are decoded by the new
//! framing, even if they arrived in the same read as the last line.
//!
//! After the switch a first frame must follow. `expects_frame` puts this stage under `frame_timeout`,
//! although no byte of the frame has arrived.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use readyloop::codec::{Codec, Decoded, Envelope, FrameError, LinesState};
use readyloop::{Address, Context, EventLoop, Handle, Length, Limits, Lines, Listen, Reactor, ServerLimits, Service};

/// Lines, and then frames with a length of 4 bytes.
#[derive(Clone, Copy, Default)]
struct Upgradable {
    lines: Lines,
    frames: Length,
}

/// The framing of one peer.
enum Stage {
    Lines(LinesState),
    /// No frame has arrived since the switch.
    FirstFrame,
    Frames,
}

impl Default for Stage {
    fn default() -> Self {
        Self::Lines(LinesState::default())
    }
}

impl Codec for Upgradable {
    type State = Stage;
    type Frame<'a> = &'a [u8];

    fn decode(&self, stage: &mut Stage, input: &[u8], frame_len_max: usize) -> Result<Decoded, FrameError> {
        match stage {
            Stage::Lines(state) => self.lines.decode(state, input, frame_len_max),
            Stage::FirstFrame | Stage::Frames => self.frames.decode(&mut (), input, frame_len_max),
        }
    }

    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], FrameError> {
        Ok(bytes)
    }

    fn envelope(&self, stage: &Stage, parts: &[&[u8]]) -> Result<Envelope, FrameError> {
        match stage {
            Stage::Lines(state) => self.lines.envelope(state, parts),
            Stage::FirstFrame | Stage::Frames => self.frames.envelope(&(), parts),
        }
    }

    fn expects_frame(&self, stage: &Stage) -> bool {
        matches!(stage, Stage::FirstFrame)
    }
}

/// Sends everything back, with the name of the framing.
struct Upgrade;

impl Service for Upgrade {
    type Codec = Upgradable;
    type Peer = ();
    type Message = ();

    fn on_frame(&mut self, _peer: &mut (), frame: &[u8], cx: &mut Context<'_, Self>) {
        match cx.codec_state() {
            Stage::Lines(_) if frame == b"upgrade" => {
                // The reply is still a line.
                cx.send(b"switched");
                *cx.codec_state() = Stage::FirstFrame;
            }
            Stage::Lines(_) => cx.send_parts(&[b"lines: ", frame]),
            stage @ (Stage::FirstFrame | Stage::Frames) => {
                *stage = Stage::Frames;
                cx.send_parts(&[b"frames: ", frame]);
            }
        }
    }
}

fn listen_at(address: Address, frame_timeout: Duration) -> Listen {
    Listen { limits: Limits { frame_timeout, ..Limits::default() }, ..Listen::from(address) }
}

fn main() -> anyhow::Result<()> {
    let (ready, started) = sync_channel(1);
    let loop_thread = thread::spawn(move || serve(&ready));
    let (address, handle) = started.recv()?;
    talk(address)?;
    stay_silent(address)?;
    handle.drain();
    loop_thread.join().expect("the event loop does not panic")
}

fn serve(ready: &SyncSender<(SocketAddr, Handle)>) -> anyhow::Result<()> {
    let mut event_loop = EventLoop::new(Reactor::new()?, ServerLimits::default());
    let listen = listen_at("127.0.0.1:0".parse()?, Duration::from_secs(1));
    let id = event_loop.listen(listen, Upgradable::default(), Upgrade)?;
    let address = event_loop.local_address(&id).to_string();
    ready.send((address.trim_start_matches("tcp://").parse()?, event_loop.handle()))?;
    event_loop.run()?;
    Ok(())
}

fn talk(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut replies = BufReader::new(stream.try_clone()?);
    for sent in ["hello", "upgrade"] {
        writeln!(stream, "{sent}")?;
        let mut received = String::new();
        replies.read_line(&mut received)?;
        println!("sent the line {sent:?}, received the line {:?}", received.trim_end());
    }
    let sent = "two\nlines";
    stream.write_all(&u32::try_from(sent.len())?.to_be_bytes())?;
    stream.write_all(sent.as_bytes())?;
    let mut len = [0; 4];
    replies.read_exact(&mut len)?;
    let mut received = vec![0; usize::try_from(u32::from_be_bytes(len))?];
    replies.read_exact(&mut received)?;
    println!("sent the frame {sent:?}, received the frame {:?}", String::from_utf8(received)?);
    Ok(())
}

/// Switches, and sends no frame.
fn stay_silent(address: SocketAddr) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"upgrade\n")?;
    stream.read_to_end(&mut Vec::new())?;
    println!("a frame that never comes closes the client after {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use readyloop::sim::{Behavior, Faults, SimNet, World};

    use super::*;

    /// The number of worlds with faults.
    const SEEDS: u64 = 100;

    fn start(world: &World) -> (EventLoop<SimNet>, Address) {
        let address: Address = "10.0.0.99:7007".parse().unwrap();
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        let listen = listen_at(address.clone(), Duration::from_secs(5));
        event_loop.listen(listen, Upgradable::default(), Upgrade).unwrap();
        (event_loop, address)
    }

    /// What a client receives that sends `bytes` in pieces of at most `piece` bytes.
    fn replies(world: &World, bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut event_loop, address) = start(world);
        let behavior = Behavior { write_len_max: piece, ..Behavior::default() };
        let client = world.connect_as(&address, "10.0.0.1:5000".parse().unwrap(), behavior);
        client.send(bytes);
        client.finish();
        world.advance(Duration::from_secs(60), || event_loop.turn(None)).unwrap();
        assert!(event_loop.is_idle() && event_loop.totals().reconciles());
        client.received()
    }

    #[test]
    fn the_switch_takes_effect_at_the_next_byte() {
        let sent = b"one\nupgrade\n\0\0\0\x05a\nb\nc\0\0\0\x00\0\0\0\x08upgrade\n";
        let expected = [
            &b"lines: one\nswitched\n"[..],
            b"\0\0\0\x0dframes: a\nb\nc",
            b"\0\0\0\x08frames: ",
            b"\0\0\0\x10frames: upgrade\n",
        ]
        .concat();
        for piece in [1, 2, 3, 5, usize::MAX] {
            assert_eq!(replies(&World::new(0), sent, piece), expected);
        }
        for seed in 0..SEEDS {
            let world = World::new(seed).with_faults(Faults::delays_drawn_from(seed));
            assert_eq!(replies(&world, sent, usize::MAX), expected, "seed {seed}");
        }
    }

    #[test]
    fn a_client_that_sends_no_frame_after_the_switch_is_closed() {
        for (sent, is_closed) in [(&b"hello\n"[..], false), (b"upgrade\n", true), (b"upgrade\n\0\0\0\x01a", false)] {
            let world = World::new(0);
            let (mut event_loop, address) = start(&world);
            let client = world.connect(&address);
            client.send(sent);
            world.advance(Duration::from_secs(4), || event_loop.turn(None)).unwrap();
            assert!(client.is_connected(), "{sent:?}");
            world.advance(Duration::from_secs(7), || event_loop.turn(None)).unwrap();
            assert_eq!(!client.is_connected(), is_closed, "{sent:?}");
        }
    }
}
