//! The other designs of a server as real processes: what is equal in all of them, and whom a
//! stalled peer keeps waiting in each.

mod cost;
mod ending;
mod stalled;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{
    Behavior, Crowd, KIB, MIB, Pattern, Serve, Server, StreamEnd, Summary, TIMEOUT, connect_with_buffers, echoes,
    exchange, read_exactly, read_to_the_end, same_bytes,
};

/// Every design, by its flags. The pool has a thread for each peer of any test here but those that say otherwise.
const DESIGNS: [&str; 4] = ["--design iterative", "--design threads", "--design pool --workers 60", "--design reactor"];

/// Those in which a peer that stalls keeps nobody else waiting.
const SIDE_BY_SIDE: [&str; 3] = ["--design threads", "--design pool --workers 60", "--design reactor"];

fn serve(design: &str, flags: &str) -> Server {
    Serve::new().with(design).with(flags).start()
}

/// Drains it, and holds it to its own books: who came was closed, for one reason each.
#[track_caller]
fn reconciles(design: &str, server: Server) -> Summary {
    let summary = server.drain().summary();
    assert_eq!(summary.open, 0, "{design}");
    assert_eq!(summary.closed_in_all(), summary.connections, "{design}: {summary:?}");
    summary
}

/// Whether nothing comes for a while that is long beside an answer, and short beside every deadline.
fn is_left_waiting(stream: &mut TcpStream) -> bool {
    is_left_waiting_for(stream, Duration::from_millis(400))
}

fn is_left_waiting_for(stream: &mut TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).expect("not zero");
    let came = stream.read(&mut [0; 1]);
    stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    came.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn every_design_echoes_every_byte_and_ends_cleanly_behind_the_last() {
    for design in DESIGNS {
        let server = serve(design, "");
        let mut bytes_sent = 0;
        for (len, piece) in [(0, 1), (1, 1), (300, 1), (64 * KIB, 1000), (10 * MIB, MIB)] {
            let bytes = Pattern::of(len).take(len);
            let (echoed, ending) = exchange(&mut server.connect(), &bytes, piece);
            same_bytes(&echoed, &bytes);
            assert_eq!(ending, StreamEnd::Clean, "{design}, {len} bytes");
            bytes_sent += len as u64;
        }
        let summary = reconciles(design, server);
        assert_eq!((summary.bytes_in, summary.bytes_out), (bytes_sent, bytes_sent), "{design}");
        assert_eq!(summary.closed("finished"), 5, "{design}");
    }
}

#[test]
fn every_design_has_the_framing_the_prefix_and_the_exit() {
    for design in DESIGNS {
        let server = Serve::new().with(design).with("--framing lines --prefix").arg("echo: ").start();
        let mut stream = server.connect();
        stream.write_all(b"one\r\ntw").unwrap();
        assert_eq!(read_exactly(&mut stream, 10), b"echo: one\n", "{design}");
        stream.write_all(b"o\nexit\nnever\n").unwrap();
        assert_eq!(read_to_the_end(&mut stream), (b"echo: two\n".to_vec(), StreamEnd::Clean), "{design}");
        drop(stream);

        let (echoed, ending) = exchange(&mut server.connect(), b"no end of line", 3);
        assert_eq!((echoed.as_slice(), ending), (b"".as_slice(), StreamEnd::Clean), "{design}");
        let summary = reconciles(design, server);
        assert_eq!(summary.closed("partial-frame"), 1, "{design}: {summary:?}");
    }
}

#[test]
fn every_design_serves_over_a_unix_socket() {
    for design in DESIGNS {
        let path = crate::support::ScratchPath::new("sock");
        let server = Serve::bare().listen(&format!("unix:{}", path.text())).with(design).start();
        let mut stream = std::os::unix::net::UnixStream::connect(path.text()).unwrap();
        let bytes = Pattern::of(7).take(MIB);
        let (echoed, ending) = exchange(&mut stream, &bytes, 10 * KIB);
        same_bytes(&echoed, &bytes);
        assert_eq!(ending, StreamEnd::Clean, "{design}");
        reconciles(design, server);
    }
}

#[test]
fn every_design_has_the_limit_of_a_frame() {
    for design in DESIGNS {
        let server = serve(design, "--framing lines --frame-len-max 1KiB");
        let mut stream = server.connect();
        stream.write_all(&[b'x'; 4 * KIB]).unwrap();
        assert_eq!(read_to_the_end(&mut stream), (Vec::new(), StreamEnd::Clean), "{design}");
        drop(stream);
        assert_eq!(reconciles(design, server).closed("frame-too-long"), 1, "{design}");
    }
}

#[test]
fn every_design_has_the_deadlines() {
    for design in DESIGNS {
        let server = serve(design, "--framing lines --idle-timeout 300ms --frame-timeout 600ms");
        let started = Instant::now();
        let mut idle = server.connect();
        assert_eq!(read_to_the_end(&mut idle), (Vec::new(), StreamEnd::Clean), "{design}");
        assert!(started.elapsed() >= Duration::from_millis(300), "{design}: a deadline is never early");

        let mut slow = server.connect();
        let started = Instant::now();
        // One byte after another moves the idle deadline, but not that of the frame.
        while slow.write_all(b"x").is_ok() && is_left_waiting_for(&mut slow, Duration::from_millis(50)) {
            assert!(started.elapsed() < TIMEOUT, "{design}: the bytes between have moved the deadline");
        }
        assert!(started.elapsed() >= Duration::from_millis(600), "{design}: a deadline is never early");
        drop(slow);
        let summary = reconciles(design, server);
        assert_eq!((summary.closed("idle-timeout"), summary.closed("frame-timeout")), (1, 1), "{design}");
    }
}

#[test]
fn every_design_ends_a_peer_that_does_not_read() {
    for design in DESIGNS {
        let server = serve(design, "--write-timeout 500ms --recv-buffer 16KiB --send-buffer 16KiB");
        let base = server.process.descriptors();
        let mut stream = connect_with_buffers(server.address(), 4 * KIB);
        let started = Instant::now();
        let sent = loop {
            assert!(started.elapsed() < TIMEOUT, "{design}: nobody stopped us");
            if let Err(error) = stream.write_all(&[b'x'; 64 * KIB]) {
                break error;
            }
        };
        assert_eq!(StreamEnd::of(&sent), StreamEnd::Reset, "{design}");
        assert!(started.elapsed() >= Duration::from_millis(500), "{design}: a deadline is never early");
        server.descriptors_return_to(base);
        assert_eq!(reconciles(design, server).closed("write-timeout"), 1, "{design}");
    }
}

#[test]
fn every_design_lets_go_of_a_peer_that_was_told_the_end_and_stays() {
    for design in DESIGNS {
        let server = serve(design, "--framing lines --linger-timeout 400ms");
        let base = server.process.descriptors();
        let mut stream = server.connect();
        stream.write_all(b"exit\n").unwrap();
        assert_eq!(read_to_the_end(&mut stream), (Vec::new(), StreamEnd::Clean), "{design}");
        // Our direction stays open and says nothing.
        server.descriptors_return_to(base);
        reconciles(design, server);
    }
}

#[test]
fn every_design_refuses_those_beyond_the_cap() {
    for design in SIDE_BY_SIDE {
        let server = serve(design, "--max-connections 20 --when-full refuse");
        let mut crowd = Crowd::new();
        let all = crowd.join(server.address(), 30, Behavior::OnRequest);
        crowd.ask(all.clone(), 10);
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().filter(|member| !member.is_open()).count() == 10));
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().filter(|member| member.is_answered()).count() == 20));
        assert_eq!(crowd.ended(all, StreamEnd::Reset), 10, "{design}");
        drop(crowd);
        let summary = reconciles(design, server);
        assert_eq!((summary.connections, summary.refused), (20, 10), "{design}");
    }
}

#[test]
fn in_every_design_those_beyond_the_cap_wait_for_a_free_place() {
    for design in SIDE_BY_SIDE {
        let server = serve(design, "--max-connections 20");
        let mut crowd = Crowd::new();
        let all = crowd.join(server.address(), 30, Behavior::OnRequest);
        crowd.ask(all.clone(), 10);
        let answered = |crowd: &mut Crowd, count| {
            crowd.run_until(TIMEOUT, |members| members.iter().filter(|member| member.is_answered()).count() == count)
        };
        assert!(answered(&mut crowd, 20), "{design}");
        while crowd.turn(Duration::from_millis(200)) {}
        assert_eq!((crowd.answered(all.clone()), crowd.open()), (20, 30), "{design}");
        crowd.leave(0..10);
        assert!(answered(&mut crowd, 30), "{design}");
        drop(crowd);
        assert_eq!(reconciles(design, server).refused, 0, "{design}");
    }
}

/// Asks until somebody is counted out: his thread does so after he has seen its end.
#[track_caller]
fn totals_with_one_closed(server: &Server) -> Summary {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let lines = server.log.count();
        server.signal("USR1");
        assert!(server.log.wait_for(TIMEOUT, |log| log.len() > lines), "it says nothing");
        let told = Summary::among(&server.log.all());
        if told.closed_in_all() == 1 || deadline < Instant::now() {
            return told;
        }
    }
}

#[test]
fn every_design_tells_its_totals_when_asked() {
    for design in DESIGNS {
        let server = serve(design, "");
        exchange(&mut server.connect(), b"counted", 7);
        let mut open = server.connect();
        echoes(&mut open, b"here");
        let told = totals_with_one_closed(&server);
        assert_eq!((told.connections, told.open, told.closed("finished")), (2, 1, 1), "{design}");
        // Where a thread has its own books, those of a peer that is here are not known yet.
        assert!(told.bytes_in >= 7, "{design}: {told:?}");
        drop(open);
        assert_eq!(reconciles(design, server).bytes_in, 11, "{design}");
    }
}
