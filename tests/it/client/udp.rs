//! UDP: each line is a datagram, and losses, duplicates and reordering are reported.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::program::{Client, FAILURE, Ran, zeros};
use super::terminal::Terminal;
use crate::support::{KIB, MIB, Pattern, ScratchPath, Serve, Server, TIMEOUT, has_ipv6, same_bytes, signal};

/// For tests in which some replies are missing: longer than a reply over loopback takes.
const SHORT: &str = "--reply-timeout 2s";

/// For tests in which every datagram has its reply.
const LONG: &str = "--reply-timeout 15s";

fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// A server with special behavior: `answer` gets each datagram with its number and returns the replies.
fn stub(mut answer: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let (socket, address) = socket();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * KIB];
        // Ends when no datagram arrives within the timeout.
        for number in 0.. {
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { return };
            for reply in answer(number, buffer[..len].to_vec()) {
                // Fails if the client has exited.
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    address
}

/// An echo server over UDP and its address.
fn echo() -> (Server, String) {
    let server = Serve::bare().listen("udp://127.0.0.1:0").start();
    let address = server.addresses[0].clone();
    (server, address)
}

fn udp(address: SocketAddr) -> Client {
    Client::to(format_args!("udp://{address}"))
}

/// A client with a long reply timeout, for a busy machine.
fn to(address: &str) -> Client {
    Client::to(address).with(LONG)
}

impl Ran {
    /// Checks the counts on the first line of standard error.
    #[track_caller]
    fn counted(&self, counts: &str) -> &Self {
        let line = self.log.first().map_or("", String::as_str);
        assert!(line.split("; ").next() == Some(counts), "no `{counts}` in:\n{}", self.log.join("\n"));
        self
    }

    #[track_caller]
    fn succeeded(&self, out: &[u8]) {
        assert_eq!((self.code, self.log.len()), (Some(0), 1), "{:?}", self.log);
        same_bytes(&self.out, out);
    }

    /// Checks for the counts, one error line with all `parts`, and one hint.
    #[track_caller]
    fn failed_after_counts(&self, parts: &[&str]) {
        let [_, error, hint] = &self.log[..] else { panic!("not three lines: {:?}", self.log) };
        assert!(error.starts_with("readyloop: error: ") && hint.starts_with("hint: "), "{error}\n{hint}");
        assert_eq!(self.code, Some(FAILURE));
        for part in parts {
            assert!(error.contains(part), "no `{part}` in: {error}");
        }
    }
}

#[test]
fn each_line_is_a_datagram_and_each_reply_is_a_line() {
    let (server, address) = echo();
    let ran = to(&address).fed(b"one\r\ntwo\n\nthree");
    ran.counted("4 sent, 4 answered, 0 lost, 0 duplicates, 0 reordered").succeeded(b"one\ntwo\n\nthree\n");
    assert!(ran.log[0].contains("; round trip "), "{:?}", ran.log);
    // The --udp flag, and an empty input.
    let bare = address.trim_start_matches("udp://");
    to(bare).with("--udp").fed(b"hello\n").counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered");
    to(&address).reading(Stdio::null()).succeeded(b"");
    // On many machines, the first address of this name is refused.
    let port = address.rsplit(':').next().expect("a port");
    to(&format!("udp://localhost:{port}")).fed(b"hello\n").succeeded(b"hello\n");
    let ended = server.drain();
    assert!(ended.log_text().contains("6 datagrams, "), "{}", ended.log_text());
    if has_ipv6() {
        let server = Serve::bare().listen("udp://[::1]:0").start();
        to(&server.addresses[0]).fed(b"hello\n").succeeded(b"hello\n");
        server.drain();
    }
}

#[test]
fn long_inputs_are_echoed_completely_in_order_in_every_form() {
    let (server, address) = echo();
    let lines: String = (0..3000).map(|number| format!("line {number}\n")).collect();
    let ran = to(&address).fed(lines.as_bytes());
    ran.counted("3000 sent, 3000 answered, 0 lost, 0 duplicates, 0 reordered").succeeded(lines.as_bytes());
    let bytes = Pattern::of(3).take(200_001);
    for framing in ["fixed:65507", "fixed:1000"] {
        to(&address).with("--framing").with(framing).fed(&bytes).succeeded(&bytes);
    }
    to(&address).with("--framing raw").fed(&bytes[..65_507]).succeeded(&bytes[..65_507]);
    let dump = b"00000000  68 69                                             |hi|\n";
    to(&address).with("--hex").fed(b"hi\n").succeeded(dump);
    server.drain();
}

#[test]
fn a_line_longer_than_a_datagram_is_an_error() {
    let (server, address) = echo();
    let bytes = vec![b'x'; 65_508];
    for framing in ["raw", "lines", "fixed:65508"] {
        let ran = to(&address).with("--framing").with(framing).fed(&bytes);
        ran.counted("0 sent, 0 answered, 0 lost, 0 duplicates, 0 reordered")
            .failed_after_counts(&["longer than", "65507"]);
    }
    to(&address).fed(&bytes[1..]).counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered");
    server.drain();
}

#[test]
fn missing_second_and_overtaken_replies_are_counted() {
    let address = stub(|number, datagram| if number % 3 == 1 { vec![] } else { vec![datagram] });
    let ran = udp(address).with(SHORT).fed(b"a\nb\nc\nd\ne\n");
    ran.counted("5 sent, 3 answered, 2 lost, 0 duplicates, 0 reordered");
    ran.failed_after_counts(&["2 of 5 datagrams had no reply", &address.to_string(), "within 2s"]);
    assert_eq!(ran.out, b"a\nc\nd\n");
    // Equal lines are counted separately.
    let address = stub(|number, datagram| if number == 1 { vec![] } else { vec![datagram] });
    let ran = udp(address).with(SHORT).fed(b"same\nsame\nsame\n");
    ran.counted("3 sent, 2 answered, 1 lost, 0 duplicates, 0 reordered");
    // The last datagram has one reply: the client may exit before a second one.
    let address = stub(|number, datagram| vec![datagram; if number < 4 { 2 } else { 1 }]);
    let ran = udp(address).with(LONG).fed(b"a\nb\nc\nd\ne\n");
    ran.counted("5 sent, 5 answered, 0 lost, 4 duplicates, 0 reordered");
    ran.succeeded(b"a\na\nb\nb\nc\nc\nd\nd\ne\n");
    // The client waits briefly for a duplicate of the last reply, in proportion to the round-trip time.
    let address = stub(|_, datagram| {
        thread::park_timeout(Duration::from_millis(200));
        vec![datagram; 2]
    });
    udp(address).with(LONG).fed(b"a\n").counted("1 sent, 1 answered, 0 lost, 1 duplicate, 0 reordered");
    let mut held = None;
    let address = stub(move |_, datagram| match held.take() {
        Some(before) => vec![datagram, before],
        None => {
            held = Some(datagram);
            vec![]
        }
    });
    let ran = udp(address).with(LONG).fed(b"a\nb\nc\nd\n");
    ran.counted("4 sent, 4 answered, 0 lost, 0 duplicates, 2 reordered").succeeded(b"b\na\nd\nc\n");
}

#[test]
fn a_server_that_is_no_echo_is_assumed_to_answer_in_order() {
    let address = stub(|_, datagram| vec![datagram.to_ascii_uppercase()]);
    let ran = udp(address).with(LONG).fed(b"one\ntwo\n");
    ran.counted("2 sent, 2 answered, 0 lost, 0 duplicates, 0 reordered").succeeded(b"ONE\nTWO\n");
    // An unsolicited reply.
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
fn numbered_datagrams_are_verified_byte_for_byte() {
    let (server, address) = echo();
    // Few enough for the buffer of a socket while the server is delayed.
    for (size, count) in [("16B", 5), ("64B", 5), ("1472B", 5), ("65507B", 2)] {
        let client = to(&address).with(&format!("--interval 1ms --count {count} --size {size}"));
        let ran = client.fed(b"");
        ran.counted(&format!("{count} sent, {count} answered, 0 lost, 0 duplicates, 0 reordered"));
        let lines = String::from_utf8_lossy(&ran.out).into_owned();
        for (number, line) in lines.lines().enumerate() {
            let start = format!("number {number}: {} bytes  (", size.trim_end_matches('B'));
            assert!(line.starts_with(&start) && line.ends_with(')'), "{line}");
        }
        assert_eq!((ran.code, lines.lines().count()), (Some(0), count), "{lines}");
    }
    server.drain();
}

#[test]
fn a_truncated_or_changed_reply_counts_as_none() {
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
    ran.failed_after_counts(&["2 of 3 datagrams had no reply", "2 replies match no sent datagram"]);
    let lines = String::from_utf8_lossy(&ran.out).into_owned();
    for line in ["20 bytes that match no sent datagram", "number 0: no reply within 2s", "number 2: 64 bytes"] {
        assert!(lines.contains(line), "no `{line}` in:\n{lines}");
    }
}

#[test]
fn a_refused_port_is_an_error_at_once() {
    let address = socket().1;
    for client in [udp(address), udp(address).with("--count 1000")] {
        let ran = client.with(LONG).fed(b"hello there\n");
        ran.counted("1 sent, 0 answered, 1 lost, 0 duplicates, 0 reordered");
        ran.failed_after_counts(&[&format!("cannot reach udp://{address}"), "connection refused (os error 111)"]);
        assert!(ran.took < Duration::from_secs(12), "{:?}", ran.took);
    }
}

#[test]
fn silence_ends_at_the_reply_timeout() {
    let (_silent, address) = socket();
    let ran = udp(address).with("--reply-timeout 500ms").fed(b"hello there\n");
    ran.counted("1 sent, 0 answered, 1 lost, 0 duplicates, 0 reordered");
    ran.failed_after_counts(&["1 of 1 datagram had no reply", "within 500ms"]);
    assert!(ran.took >= Duration::from_millis(500) && ran.took < TIMEOUT / 2, "{:?}", ran.took);
}

#[test]
fn a_reply_timeout_of_zero_sends_and_exits() {
    let (listener, address) = socket();
    let ran = udp(address).with("--reply-timeout 0s").fed(b"one\ntwo\n");
    ran.counted("2 sent").succeeded(b"");
    let mut buffer = [0; 64];
    for line in [&b"one"[..], b"two"] {
        let len = listener.recv(&mut buffer).expect("it was sent");
        assert_eq!(&buffer[..len], line);
    }
}

#[test]
fn an_unknown_name_and_a_multicast_group_are_errors() {
    let ran = Client::to("udp://no-such-host.invalid:80").fed(b"hello\n");
    ran.failed(FAILURE, &["no-such-host.invalid:80"]);
    Client::to("udp://239.255.7.7:80").fed(b"hello\n").failed(FAILURE, &["a multicast group is not a single peer"]);
}

#[test]
fn datagrams_of_other_senders_are_ignored() {
    let (peer, address) = socket();
    let mut running = udp(address).with(LONG).start();
    running.feed(b"question\n");
    let (_, client) = peer.recv_from(&mut [0; 64]).expect("the client sends");
    socket().0.send_to(b"question", client).expect("the datagram is sent");
    peer.send_to(b"question", client).expect("the datagram is sent");
    let ran = running.wait();
    ran.counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered").succeeded(b"question\n");
}

#[test]
fn a_flood_does_not_delay_the_end() {
    let (peer, address) = socket();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut running = udp(address).with("--count 2 --interval 1ms").with(SHORT).start();
    let mut first = [0; 64];
    let (_, client) = peer.recv_from(&mut first).expect("the client sends");
    peer.send_to(&first, client).expect("the datagram is sent");
    let flood = Arc::clone(&is_over);
    let flooder = thread::spawn(move || {
        while !flood.load(Ordering::Relaxed) {
            // Fails if the buffer is full.
            let _ = (0..20).try_for_each(|_| peer.send_to(b"flood", client).map(|_| ()));
            thread::park_timeout(Duration::from_millis(1));
        }
    });
    running.prints(b"number 0: 64 bytes  (");
    let ran = running.wait();
    is_over.store(true, Ordering::Relaxed);
    flooder.join().expect("no panic");
    assert!(ran.log[0].starts_with("2 sent, 1 answered, 1 lost, 0 duplicates, 0 reordered, "), "{:?}", ran.log);
    ran.failed_after_counts(&["1 of 2 datagrams had no reply", "no sent datagram"]);
}

#[test]
fn an_interrupt_prints_the_counts_and_a_closed_output_pipe_is_no_error() {
    let (server, address) = echo();
    let mut running = to(&address).with("--count 5 --interval 1h").start();
    running.prints(b"number 0: 64 bytes  (");
    signal(running.process.pid, "INT");
    let ran = running.wait();
    ran.counted("1 sent, 1 answered, 0 lost, 0 duplicates, 0 reordered");
    assert_eq!(ran.code, Some(0));

    let mut running = to(&address).start();
    running.out = None;
    running.feed(b"hello\n");
    let ran = running.wait();
    assert_eq!((ran.code, ran.log.len()), (Some(0), 1), "{:?}", ran.log);
    server.drain();
}

#[test]
fn no_reply_counts_as_lost_while_the_reader_of_the_output_pauses() {
    let (server, address) = echo();
    // More than all buffers hold together.
    let lines: String = (0..4000).map(|number| format!("{number:01000}\n")).collect();
    let file = ScratchPath::with_text("lines", &lines);
    let input = File::open(file.text()).expect("it was written");
    let running = Client::to(&address).with(SHORT).spawn(input.into(), Stdio::piped());
    let (quiet, _) = socket();
    // Longer than the reply timeout.
    quiet.set_read_timeout(Some(Duration::from_secs(4))).expect("not zero");
    assert!(quiet.recv(&mut [0; 1]).is_err());
    let ran = running.wait();
    ran.counted("4000 sent, 4000 answered, 0 lost, 0 duplicates, 0 reordered").succeeded(lines.as_bytes());
    server.drain();
}

#[test]
fn an_idle_client_sleeps_and_memory_is_bounded() {
    let (server, address) = echo();
    let mut running = to(&address).start();
    running.feed(b"hello\n");
    running.prints(b"hello\n");
    let (quiet, _) = socket();
    quiet.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    // Waits until all threads are idle.
    assert!(quiet.recv(&mut [0; 1]).is_err());
    let before = running.process.switches();
    quiet.set_read_timeout(Some(Duration::from_millis(500))).expect("not zero");
    assert!(quiet.recv(&mut [0; 1]).is_err());
    let switches = running.process.switches() - before;
    assert!(switches <= 2, "{switches} context switches in half a second");

    let mut endless = to(&address).with("--framing fixed:1000").spawn(zeros(), Stdio::piped());
    endless.prints(&vec![0; 2 * MIB]);
    let memory = endless.process.memory_bytes();
    assert!(memory < 8 * MIB, "{} KiB", memory / 1024);
    server.drain();
}

#[test]
fn at_a_prompt_a_reply_has_its_round_trip_time() {
    let (server, address) = echo();
    let mut terminal = Terminal::of(&address, "");
    terminal.shows("> ");
    terminal.types("hello\r");
    terminal.shows("hello  (");
    terminal.types("exit\r");
    terminal.shows("1 sent, 1 answered, 0 lost");
    assert_eq!(terminal.ends(), Some(0));
    assert!(terminal.has_original_modes());
    server.drain();
}

#[test]
fn at_a_prompt_a_loss_and_a_late_reply_are_reported() {
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
fn at_a_prompt_a_refusal_is_reported_and_the_session_continues() {
    let address = socket().1;
    let mut terminal = Terminal::of(format_args!("udp://{address}"), "");
    terminal.types("hello there\r");
    terminal.shows("connection refused (os error 111)");
    let server = Serve::bare().listen(&format!("udp://{address}")).start();
    terminal.types("hello again\r");
    terminal.shows("hello again  (");
    terminal.leaves();
    server.drain();
}
