//! Datagrams: each line is one, and what became of each is told, whatever a path or a server does to them.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::program::{Client, Ran};
use super::terminal::Terminal;
use crate::support::{KIB, MIB, Pattern, Serve, Server, TIMEOUT, has_ipv6, same_bytes, signal};

const FAILURE: i32 = 1;

/// Longer than any reply over loopback takes, and short enough to wait for where none comes.
const SHORT: &str = "--reply-timeout 2s";

/// Where each datagram has its reply.
const LONG: &str = "--reply-timeout 15s";

fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// A peer of our own, for what no server does: `answer` gets each datagram with its number, and
/// says what goes back.
fn stub(mut answer: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let (socket, address) = socket();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * KIB];
        // Ends when nobody has asked for long.
        for number in 0.. {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { return };
            for reply in answer(number, buffer[..len].to_vec()) {
                // Whoever has left hears nothing.
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

/// An echo over UDP and its address.
fn echo() -> (Server, String) {
    let server = Serve::bare().listen("udp://127.0.0.1:0").start();
    let address = server.addresses[0].clone();
    (server, address)
}

fn udp(address: SocketAddr) -> Client {
    Client::to(format_args!("udp://{address}"))
}

/// A client that does not lose patience on a busy machine.
fn to(address: &str) -> Client {
    Client::to(address).with(LONG)
}

impl Ran {
    /// The line of counts begins like this, after which there is an error or nothing.
    #[track_caller]
    fn counted(&self, counts: &str) -> &Self {
        let line = self.log.first().map_or("", String::as_str);
        assert!(line.split("; ").next() == Some(counts), "not `{counts}` but:\n{}", self.log.join("\n"));
        self
    }

    #[track_caller]
    fn went_well(&self, out: &[u8]) {
        assert_eq!((self.code, self.log.len()), (Some(0), 1), "{:?}", self.log);
        same_bytes(&self.out, out);
    }

    /// One error line with all of these behind the counts, and one hint.
    #[track_caller]
    fn went_wrong(&self, parts: &[&str]) {
        let [_, error, hint] = &self.log[..] else { panic!("not three lines: {:?}", self.log) };
        assert!(error.starts_with("readyloop: error: ") && hint.starts_with("hint: "), "{error}\n{hint}");
        assert_eq!(self.code, Some(FAILURE));
        for part in parts {
            assert!(error.contains(part), "no `{part}` in: {error}");
        }
    }
}

#[test]
fn each_line_is_a_datagram_and_each_reply_a_line() {
    let (server, address) = echo();
    let ran = to(&address).fed(b"one\r\ntwo\n\nthree");
    ran.counted("4 sent, 4 answered, 0 lost, 0 duplicates, 0 reordered").went_well(b"one\ntwo\n\nthree\n");
    assert!(ran.log[0].contains("; round trip "), "{:?}", ran.log);
    // The same by a flag, and with an empty input.
    let bare = address.trim_start_matches("udp://");
    to(bare).with("--udp").fed(b"hello\n").counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered");
    to(&address).reading(Stdio::null()).went_well(b"");
    let ended = server.drain();
    assert!(ended.log_text().contains("5 datagrams, "), "{}", ended.log_text());
}

#[test]
fn a_name_and_the_other_family_are_addresses_too() {
    let (server, address) = echo();
    let port = address.rsplit(':').next().expect("a port");
    // On many a machine the first address of this name is one where nobody listens.
    to(&format!("udp://localhost:{port}")).fed(b"hello\n").went_well(b"hello\n");
    server.drain();
    if has_ipv6() {
        let server = Serve::bare().listen("udp://[::1]:0").start();
        to(&server.addresses[0]).fed(b"hello\n").went_well(b"hello\n");
        server.drain();
    }
}

#[test]
fn a_long_input_comes_back_whole() {
    let (server, address) = echo();
    let lines: String = (0..3000).map(|number| format!("line {number}\n")).collect();
    let ran = to(&address).fed(lines.as_bytes());
    ran.counted("3000 sent, 3000 answered, 0 lost, 0 duplicates, 0 reordered").went_well(lines.as_bytes());
    server.drain();
}

#[test]
fn pieces_of_any_length_come_back_in_their_order() {
    let (server, address) = echo();
    let bytes = Pattern::of(3).take(200_001);
    for framing in ["fixed:65507", "fixed:1000"] {
        let ran = to(&address).with("--framing").with(framing).fed(&bytes);
        ran.went_well(&bytes);
    }
    to(&address).with("--framing raw").fed(&bytes[..65_507]).went_well(&bytes[..65_507]);
    let dump = b"00000000  68 69                                             |hi|\n";
    to(&address).with("--hex").fed(b"hi\n").went_well(dump);
    server.drain();
}

#[test]
fn what_no_datagram_can_hold_is_told_and_not_sent() {
    let (server, address) = echo();
    let bytes = vec![b'x'; 65_508];
    for framing in ["raw", "lines", "fixed:65508"] {
        let ran = to(&address).with("--framing").with(framing).fed(&bytes);
        ran.counted("0 sent, 0 answered, 0 lost, 0 duplicates, 0 reordered").went_wrong(&["longer than", "65507"]);
    }
    to(&address).fed(&bytes[1..]).counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered");
    server.drain();
}

#[test]
fn what_is_dropped_is_lost() {
    let address = stub(|number, datagram| if number % 3 == 1 { vec![] } else { vec![datagram] });
    let ran = udp(address).with(SHORT).fed(b"a\nb\nc\nd\ne\n");
    ran.counted("5 sent, 3 answered, 2 lost, 0 duplicates, 0 reordered");
    ran.went_wrong(&["2 of 5 datagrams had no reply", &address.to_string(), "within 2s"]);
    assert_eq!(ran.out, b"a\nc\nd\n");
}

#[test]
fn what_comes_twice_is_a_duplicate() {
    // The last one comes once: what comes behind it, nobody may wait for.
    let address = stub(|number, datagram| vec![datagram; if number < 4 { 2 } else { 1 }]);
    let ran = udp(address).with(LONG).fed(b"a\nb\nc\nd\ne\n");
    ran.counted("5 sent, 5 answered, 0 lost, 4 duplicates, 0 reordered");
    ran.went_well(b"a\na\nb\nb\nc\nc\nd\nd\ne\n");
}

#[test]
fn a_duplicate_of_the_last_is_waited_for_a_little() {
    // In proportion to the round trips.
    let address = stub(|_, datagram| {
        thread::park_timeout(Duration::from_millis(200));
        vec![datagram; 2]
    });
    udp(address).with(LONG).fed(b"a\n").counted("1 sent, 1 answered, 0 lost, 1 duplicates, 0 reordered");
}

#[test]
fn who_is_overtaken_is_reordered() {
    let mut held = None;
    let address = stub(move |_, datagram| match held.take() {
        None => {
            held = Some(datagram);
            vec![]
        }
        Some(before) => vec![datagram, before],
    });
    let ran = udp(address).with(LONG).fed(b"a\nb\nc\nd\n");
    ran.counted("4 sent, 4 answered, 0 lost, 0 duplicates, 2 reordered").went_well(b"b\na\nd\nc\n");
}

#[test]
fn lines_that_are_alike_are_told_apart_by_their_number() {
    let address = stub(|number, datagram| if number == 1 { vec![] } else { vec![datagram] });
    let ran = udp(address).with(SHORT).fed(b"same\nsame\nsame\n");
    ran.counted("3 sent, 2 answered, 1 lost, 0 duplicates, 0 reordered");
}

#[test]
fn a_server_that_is_no_echo_is_taken_to_answer_in_order() {
    let address = stub(|_, datagram| vec![datagram.to_ascii_uppercase()]);
    let ran = udp(address).with(LONG).fed(b"one\ntwo\n");
    ran.counted("2 sent, 2 answered, 0 lost, 0 duplicates, 0 reordered").went_well(b"ONE\nTWO\n");
    // What nothing was sent for.
    let address =
        stub(|number, _| if number == 0 { vec![b"yes".to_vec(), b"and".to_vec()] } else { vec![b"no".to_vec()] });
    let mut running = udp(address).with(LONG).start();
    running.feed(b"first\n");
    running.prints(b"yes\nand\n");
    running.feed(b"second\n");
    let ran = running.wait();
    ran.counted("2 sent, 2 answered, 0 lost, 0 duplicates, 0 reordered, 1 unknown");
}

#[test]
fn numbered_datagrams_are_checked_to_the_byte() {
    let (server, address) = echo();
    // No more than a socket's buffer takes while the server is held up.
    for (size, count) in [("16B", 5), ("64B", 5), ("1472B", 5), ("65507B", 2)] {
        let client = to(&address).with(&format!("--interval 1ms --count {count} --size {size}"));
        let ran = client.fed(b"");
        ran.counted(&format!("{count} sent, {count} answered, 0 lost, 0 duplicates, 0 reordered"));
        let lines = String::from_utf8_lossy(&ran.out).into_owned();
        for (number, line) in lines.lines().enumerate() {
            let begin = format!("number {number}: {} bytes  (", size.trim_end_matches('B'));
            assert!(line.starts_with(&begin) && line.ends_with(')'), "{line}");
        }
        assert_eq!((ran.code, lines.lines().count()), (Some(0), count), "{lines}");
    }
    server.drain();
}

#[test]
fn a_reply_that_is_cut_or_changed_is_none() {
    let address = stub(|number, mut datagram| match number {
        0 => vec![datagram[..20].to_vec()],
        1 => {
            datagram[40] ^= 1;
            vec![datagram]
        }
        _ => vec![datagram],
    });
    let ran = udp(address).with("--count 3 --interval 1ms").with(SHORT).fed(b"");
    ran.counted("3 sent, 1 answered, 2 lost, 0 duplicates, 0 reordered, 2 unknown");
    ran.went_wrong(&["2 of 3 datagrams had no reply", "2 replies were to none of them as sent"]);
    let lines = String::from_utf8_lossy(&ran.out).into_owned();
    for line in ["20 bytes that were not sent like this", "number 0: no reply within 2s", "number 2: 64 bytes"] {
        assert!(lines.contains(line), "no `{line}` in:\n{lines}");
    }
}

#[test]
fn a_refused_port_is_told_at_once() {
    let address = socket().1;
    for client in [udp(address), udp(address).with("--count 1000")] {
        let ran = client.with(LONG).fed(b"anybody there\n");
        ran.counted("1 sent, 0 answered, 1 lost, 0 duplicates, 0 reordered");
        ran.went_wrong(&[&format!("cannot reach udp://{address}"), "connection refused (os error 111)"]);
        assert!(ran.took < Duration::from_secs(12), "{:?}", ran.took);
    }
}

#[test]
fn silence_ends_at_the_reply_timeout() {
    let (_silent, address) = socket();
    let ran = udp(address).with("--reply-timeout 500ms").fed(b"anybody there\n");
    ran.counted("1 sent, 0 answered, 1 lost, 0 duplicates, 0 reordered");
    ran.went_wrong(&["1 of 1 datagrams had no reply", "within 500ms"]);
    assert!(ran.took >= Duration::from_millis(500) && ran.took < TIMEOUT / 2, "{:?}", ran.took);
}

#[test]
fn who_waits_for_no_reply_sends_and_leaves() {
    let (listener, address) = socket();
    let ran = udp(address).with("--reply-timeout 0s").fed(b"one\ntwo\n");
    ran.counted("2 sent").went_well(b"");
    let mut buffer = [0; 64];
    for line in [&b"one"[..], b"two"] {
        let len = listener.recv(&mut buffer).expect("it was sent");
        assert_eq!(&buffer[..len], line);
    }
}

#[test]
fn a_name_that_nobody_knows_or_a_group_is_told() {
    let ran = Client::to("udp://no-such-host.invalid:80").fed(b"hello\n");
    ran.failed(FAILURE, &["no-such-host.invalid:80"]);
    Client::to("udp://239.255.7.7:80").fed(b"hello\n").failed(FAILURE, &["a group has many members"]);
}

#[test]
fn only_the_peer_is_heard() {
    let (peer, address) = socket();
    let mut running = udp(address).with(LONG).start();
    running.feed(b"question\n");
    let (_, client) = peer.recv_from(&mut [0; 64]).expect("it asks");
    socket().0.send_to(b"question", client).expect("a datagram goes out");
    peer.send_to(b"question", client).expect("a datagram goes out");
    let ran = running.wait();
    ran.counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered").went_well(b"question\n");
}

#[test]
fn who_floods_it_does_not_keep_it() {
    let (peer, address) = socket();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut running = udp(address).with("--count 2 --interval 1ms").with(SHORT).start();
    let mut first = [0; 64];
    let (_, client) = peer.recv_from(&mut first).expect("it asks");
    peer.send_to(&first, client).expect("a datagram goes out");
    let flood = Arc::clone(&is_over);
    let flooder = thread::spawn(move || {
        while !flood.load(Ordering::Relaxed) {
            // A full buffer drops it.
            let _ = (0..20).try_for_each(|_| peer.send_to(b"flood", client).map(|_| ()));
            thread::park_timeout(Duration::from_millis(1));
        }
    });
    running.prints(b"number 0: 64 bytes  (");
    let ran = running.wait();
    is_over.store(true, Ordering::Relaxed);
    flooder.join().expect("no panic");
    assert!(ran.log[0].starts_with("2 sent, 1 answered, 1 lost, 0 duplicates, 0 reordered, "), "{:?}", ran.log);
    ran.went_wrong(&["1 of 2 datagrams had no reply", "were to none of them as sent"]);
}

#[test]
fn whoever_breaks_it_off_is_told_the_counts() {
    let (server, address) = echo();
    let mut running = to(&address).with("--count 5 --interval 1h").start();
    running.prints(b"number 0: 64 bytes  (");
    signal(running.process.pid, "INT");
    let ran = running.wait();
    ran.counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered");
    assert_eq!(ran.code, Some(0));
    server.drain();
}

#[test]
fn it_sleeps_while_there_is_nothing_to_do_and_grows_with_no_input() {
    let (server, address) = echo();
    let mut running = to(&address).start();
    running.feed(b"hello\n");
    running.prints(b"hello\n");
    let (quiet, _) = socket();
    quiet.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    // Until the linger and the threads' last steps are over.
    assert!(quiet.recv(&mut [0; 1]).is_err());
    let before = running.process.switches();
    quiet.set_read_timeout(Some(Duration::from_millis(500))).expect("not zero");
    assert!(quiet.recv(&mut [0; 1]).is_err());
    let switches = running.process.switches() - before;
    assert!(switches <= 2, "{switches} switches in half a second of silence");

    let zeros = File::open("/dev/zero").expect("every Linux has it");
    let mut endless = to(&address).with("--framing fixed:1000").spawn(zeros.into(), Stdio::piped());
    endless.prints(&vec![0; 2 * MIB]);
    let memory = endless.process.memory_bytes();
    assert!(memory < 8 * MIB, "{} KiB", memory / 1024);
    server.drain();
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let (server, address) = echo();
    let mut running = to(&address).start();
    running.out = None;
    running.feed(b"hello\n");
    let ran = running.wait();
    assert_eq!((ran.code, ran.log.len()), (Some(0), 1), "{:?}", ran.log);
    server.drain();
}

#[test]
fn at_a_prompt_a_line_is_a_datagram_and_its_reply_has_its_time() {
    let (server, address) = echo();
    let mut terminal = Terminal::of(&address, "");
    terminal.shows("> ");
    terminal.types("hello\r");
    terminal.shows("hello  (");
    terminal.types("exit\r");
    terminal.shows("1 sent, 1 answered, 0 lost");
    assert_eq!(terminal.ends(), Some(0));
    assert!(terminal.is_as_before());
    server.drain();
}

#[test]
fn at_a_prompt_silence_and_what_comes_late_are_told() {
    let mut first = None;
    let address = stub(move |_, datagram| match first.take() {
        None => {
            first = Some(datagram);
            vec![]
        }
        Some(late) => vec![late, datagram],
    });
    let mut terminal = Terminal::of(format_args!("udp://{address}"), SHORT);
    terminal.types("one\r");
    terminal.shows("no reply within 2s");
    terminal.types("two\r");
    terminal.shows("one  (");
    assert!(terminal.shows(")").ends_with(", late)"));
    terminal.shows("two  (");
    terminal.types("exit\r");
    terminal.shows("2 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered, 1 late");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn at_a_prompt_a_refusal_is_told_and_the_next_line_may_fare_better() {
    let address = socket().1;
    let mut terminal = Terminal::of(format_args!("udp://{address}"), "");
    terminal.types("anybody there\r");
    terminal.shows("connection refused (os error 111)");
    let server = Serve::bare().listen(&format!("udp://{address}")).start();
    terminal.types("and now\r");
    terminal.shows("and now  (");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), Some(0));
    server.drain();
}
