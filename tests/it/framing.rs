//! Each framing over a real socket: frame boundaries, ends of connections, and frames that are too long.

use std::io::Write as _;
use std::time::Duration;

use crate::support::{
    Duplex as _, KIB, MIB, Serve, Server, StreamEnd, Summary, echoes, exchange, read_exactly, read_to_the_end,
    same_bytes,
};

fn serve(flags: &str) -> Server {
    Serve::new().with(flags).start()
}

/// Sends each input on a connection, half-closes, and checks for the output and a clean end.
#[track_caller]
fn check(server: Server, cases: &[(&[u8], &[u8])]) -> Summary {
    for (input, output) in cases {
        let (reply, ending) = exchange(&mut server.connect(), input, input.len().max(1));
        assert_eq!((reply.escape_ascii().to_string(), ending), (output.escape_ascii().to_string(), StreamEnd::Clean));
    }
    server.drain().summary()
}

#[test]
fn replies_to_lines_end_in_lf() {
    let lines: &[u8] = b"one\ntwo\r\n\n\r\nth\rree\n";
    let summary = check(serve("--framing lines"), &[(lines, b"one\ntwo\n\n\nth\rree\n"), (b"no end of line", b"")]);
    assert_eq!((summary.closed("finished"), summary.closed("partial-frame")), (1, 1));
}

#[test]
fn exit_ends_the_connection_however_it_is_split() {
    let server = serve("--framing lines");
    for input in ["hello\nexit\n", "hello\r\nexit\r\n"] {
        for split in 1..input.len() {
            let mut stream = server.connect();
            let (first, second) = input.as_bytes().split_at(split);
            stream.write_all(first).unwrap();
            if first.contains(&b'\n') {
                // After this reply, the server has read the first part separately.
                assert_eq!(read_exactly(&mut stream, 6), b"hello\n");
            }
            stream.write_all(second).unwrap();
            let (rest, ending) = read_to_the_end(&mut stream);
            let expected: &[u8] = if first.contains(&b'\n') { b"" } else { b"hello\n" };
            assert_eq!((rest.as_slice(), ending), (expected, StreamEnd::Clean), "split at {split}");
        }
    }
    server.drain();
}

#[test]
fn only_the_exact_line_exit_ends_the_connection() {
    let words = b"exit now\n exit\nEXIT\nexit \nexi\rt\nexits\n";
    check(serve("--framing lines"), &[(words, words), (b"a\nexit\nb\n", b"a\n"), (b"exit", b"")]);
}

#[test]
fn a_prefix_precedes_every_line() {
    let server = Serve::new().with("--framing lines --prefix").arg("echo: ").start();
    check(server, &[(b"one\ntwo\r\n", b"echo: one\necho: two\n")]);
}

#[test]
fn a_line_that_is_too_long_ends_the_connection_after_earlier_replies() {
    let lines: &[u8] = b"12345678\n12345678\r\n123456789\nnever\n";
    let summary = check(serve("--framing lines --frame-len-max 8"), &[(lines, b"12345678\n12345678\n")]);
    assert_eq!(summary.closed("frame-too-long"), 1);
}

#[test]
fn an_endless_line_is_rejected_before_it_fills_memory() {
    let server = serve("--framing lines --frame-len-max 64KiB");
    let mut first = server.connect();
    echoes(&mut first, b"warm\n");
    let base = server.process.memory_bytes();
    let mut stream = server.connect();
    let sent = (0..128).take_while(|_| stream.write_all(&[b'x'; 64 * KIB]).is_ok()).count();
    assert!(sent > 0);
    let used = server.process.memory_bytes().saturating_sub(base);
    assert!(used < 4 * MIB, "{used} bytes for one endless line");
    assert_eq!(read_to_the_end(&mut stream).0, b"");
    echoes(&mut first, b"still served\n");
    drop((first, stream));
    assert_eq!(server.drain().summary().closed("frame-too-long"), 1);
}

fn with_length(frame: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(frame.len()).expect("the frame is short").to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

#[test]
fn length_prefixed_frames_are_echoed() {
    let server = serve("--framing length");
    let input = [with_length(b"hello"), with_length(b""), with_length(&vec![b'z'; 300 * KIB])].concat();
    let (reply, ending) = exchange(&mut server.connect(), &input, 1000);
    same_bytes(&reply, &input);
    assert_eq!(ending, StreamEnd::Clean);
    let summary = check(server, &[(&with_length(b"cut off")[..9], b"")]);
    assert_eq!((summary.closed("finished"), summary.closed("partial-frame")), (1, 1));
}

#[test]
fn each_length_format_has_its_width_and_byte_order() {
    // The length prefix of `hello` in each format.
    for (framing, head) in [
        ("length", &[0, 0, 0, 5][..]),
        ("length:u8", &[5]),
        ("length:u16", &[0, 5]),
        ("length:u16le", &[5, 0]),
        ("length:u32", &[0, 0, 0, 5]),
        ("length:u32le", &[5, 0, 0, 0]),
        ("length:u64", &[0, 0, 0, 0, 0, 0, 0, 5]),
        ("length:u64le", &[5, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let server = serve(&format!("--framing {framing} --prefix said:"));
        let frame = [head, b"hello"].concat();
        let mut reply = [head, b"said:hello"].concat();
        *reply.iter_mut().find(|byte| **byte == 5).expect("the length is 5") = 10;
        check(server, &[(&frame.repeat(2), &reply.repeat(2))]);
    }
}

#[test]
fn a_length_that_is_too_large_is_rejected_before_its_frame_arrives() {
    let server = serve("--framing length --frame-len-max 1KiB");
    let mut stream = server.connect();
    stream.write_all(&with_length(b"fits")).unwrap();
    stream.write_all(&1025_u32.to_be_bytes()).unwrap();
    assert_eq!(read_to_the_end(&mut stream), (with_length(b"fits"), StreamEnd::Clean));
    drop(stream);
    assert_eq!(server.drain().summary().closed("frame-too-long"), 1);
}

#[test]
fn fixed_frames_wait_for_their_last_byte() {
    let server = serve("--framing fixed:8");
    let mut stream = server.connect();
    stream.write_all(b"12345678abcd").unwrap();
    assert_eq!(read_exactly(&mut stream, 8), b"12345678");
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(std::io::Read::read(&mut stream, &mut [0]).is_err(), "half a frame gets a reply");
    stream.write_all(b"efgh").unwrap();
    assert_eq!(read_exactly(&mut stream, 8), b"abcdefgh");
    stream.write_all(b"half").unwrap();
    stream.finish();
    assert_eq!(read_to_the_end(&mut stream), (Vec::new(), StreamEnd::Clean));
    assert_eq!(server.drain().summary().closed("partial-frame"), 1);
}

#[test]
fn raw_bytes_are_echoed_as_they_arrive() {
    let server = serve("");
    let mut stream = server.connect();
    for word in [b"a".as_slice(), b"exit\n", b"\r\n", b"\0\xFF"] {
        echoes(&mut stream, word);
    }
    drop(stream);
    server.drain();
}
