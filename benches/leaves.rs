//! The time of single calls of the building blocks, without a socket and without a clock.
//!
//! The results show where user time is spent, not whether it matters: a message costs microseconds in the
//! kernel and these calls cost nanoseconds. The yardstick measures whole messages.
//!
//! ```text
//! cargo bench --bench leaves                  all, about a minute
//! cargo bench --bench leaves -- --quick       a quick run
//! cargo bench --bench leaves -- codec         those with that word in their name
//! ```

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use readyloop::buffer::{ByteQueue, Reserve};
use readyloop::codec::{Codec, Decoded};
use readyloop::connection::{Connection, Ledger, Resources, Role};
use readyloop::instant::Instant;
use readyloop::slab::{Key, Slab};
use readyloop::timers::Timers;
use readyloop::watermark::Watermarks;
use readyloop::{Fixed, Length, Limits, Lines, Raw};

/// A typical number of peers of one thread.
const PEERS: usize = 10_000;
/// A prime, so that the order of peers is one that caches cannot predict.
const STRIDE: usize = 7_919;

const LENT_BYTES_MAX: usize = 64 << 20;
const FRAME_LEN_MAX: usize = 1 << 20;
/// A short message, and one of several pages.
const LENGTHS: [usize; 2] = [64, 16 * 1024];

/// All indexes below `count` in steps of [`STRIDE`], repeated without end.
fn strides(count: usize) -> impl FnMut() -> usize {
    let mut index = 0;
    // A division would take longer than the measured call.
    move || {
        index += STRIDE;
        if count <= index {
            index -= count;
        }
        index
    }
}

fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ByteQueue");
    for len in LENGTHS {
        let (bytes, mut reserve) = (vec![b'x'; len], Reserve::new(LENT_BYTES_MAX));
        group.throughput(Throughput::Bytes(len as u64));
        let mut queue = ByteQueue::new();
        group.bench_function(BenchmarkId::new("push and consume", len), |bencher| {
            bencher.iter(|| {
                queue.push(black_box(&bytes), &mut reserve).expect("the reserve has memory");
                queue.consume(len, &mut reserve);
            });
        });
        // Some bytes are always queued, as for a slow peer.
        queue.push(&bytes, &mut reserve).expect("the reserve has memory");
        group.bench_function(BenchmarkId::new("push and consume behind others", len), |bencher| {
            bencher.iter(|| {
                queue.push(black_box(&bytes), &mut reserve).expect("the reserve has memory");
                queue.consume(len, &mut reserve);
            });
        });
    }
}

fn slab(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Slab");
    let mut slab = Slab::new();
    let mut keys: Vec<Key> = (0..PEERS).map(|number| slab.insert(number)).collect();
    let mut next = strides(PEERS);
    group.bench_function("find one of 10,000", |bencher| {
        bencher.iter(|| slab.get_mut(black_box(keys[next()])).copied());
    });
    group.bench_function("remove one of 10,000, insert another", |bencher| {
        bencher.iter(|| {
            let index = next();
            slab.remove(keys[index]);
            keys[index] = slab.insert(index);
        });
    });
    let stale = keys[0];
    slab.remove(stale);
    group.bench_function("find nothing by a stale key", |bencher| bencher.iter(|| slab.contains(black_box(stale))));
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("Timers");
    let mut slab = Slab::new();
    let keys: Vec<Key> = (0..PEERS).map(|number| slab.insert(number)).collect();
    let (mut timers, mut next) = (Timers::new(), strides(PEERS));
    let mut now = Instant::ORIGIN;
    for key in &keys {
        now = now + Duration::from_micros(10);
        timers.arm(*key, now + Duration::from_secs(300));
    }
    group.bench_function("disarm one of 10,000, arm it again", |bencher| {
        bencher.iter(|| {
            let key = keys[next()];
            now = now + Duration::from_nanos(100);
            timers.disarm(key);
            timers.arm(key, now + Duration::from_secs(300));
        });
    });
    group.bench_function("one of 10,000 is due and armed again", |bencher| {
        bencher.iter(|| {
            now = timers.next().expect("all are armed");
            let key = timers.pop_due(now).expect("a timer is due");
            timers.arm(key, now + Duration::from_secs(300));
        });
    });
    group.bench_function("none is due", |bencher| bencher.iter(|| timers.pop_due(black_box(Instant::ORIGIN))));
}

fn watermark(criterion: &mut Criterion) {
    let (marks, mut next) = (Watermarks::new(32 << 10, 128 << 10), strides(256 << 10));
    let mut is_paused = false;
    criterion.bench_function("Watermarks/pause and resume", |bencher| {
        bencher.iter(|| {
            is_paused = marks.is_paused(is_paused, black_box(next()));
            is_paused
        });
    });
}

/// Decodes `input`, which is one whole frame.
fn decode<C: Codec>(criterion: &mut Criterion, name: &str, codec: &C, input: &[u8]) {
    let mut group = criterion.benchmark_group("codec");
    group.bench_function(BenchmarkId::new(name, input.len()), |bencher| {
        bencher.iter(|| {
            let decoded = codec.decode(&mut C::State::default(), black_box(input), FRAME_LEN_MAX);
            assert!(matches!(decoded, Ok(Decoded::Frame { .. })));
        });
    });
}

fn codecs(criterion: &mut Criterion) {
    for len in LENGTHS {
        let mut line = vec![b'x'; len];
        line[len - 1] = b'\n';
        decode(criterion, "lines", &Lines::new(), &line);
        decode(criterion, "lines of text", &Lines::new().utf8_only(), &line);
        decode(criterion, "raw", &Raw, &line);
        decode(criterion, "fixed", &Fixed::new(len), &line);
        let mut counted = vec![b'x'; len];
        let head = u32::try_from(len - 4).expect("the frame is short").to_be_bytes();
        counted[..4].copy_from_slice(&head);
        decode(criterion, "length", &Length::default(), &counted);
    }
}

/// All work of the connection machine for one echoed message.
fn echo<C: Codec>(criterion: &mut Criterion, name: &str, codec: &C, input: &[u8]) {
    let limits = Limits::default();
    let (mut reserve, mut ledger) = (Reserve::new(LENT_BYTES_MAX), Ledger::default());
    let mut resources =
        Resources { codec, limits: &limits, reserve: &mut reserve, ledger: &mut ledger, now: Instant::ORIGIN };
    let mut peer = Connection::<C>::new(Role::Accepted, resources.now);
    let mut group = criterion.benchmark_group("connection");
    group.bench_function(BenchmarkId::new(name, input.len()), |bencher| {
        bencher.iter(|| {
            resources.now = resources.now + Duration::from_micros(1);
            let in_input = peer.handle_input(black_box(input), &mut resources, |frame, reply| {
                reply.send(&[frame]);
                Ok(ControlFlow::Continue(()))
            });
            // The stream takes all bytes at once.
            let (from_queue, from_input) = (peer.unsent().len(), in_input.len());
            peer.handle_written(from_queue, from_input, &mut resources);
            peer.apply_watermarks(&resources);
            assert_eq!(from_queue + from_input, input.len());
            peer.poll_deadline(codec, &limits)
        });
    });
}

fn connection(criterion: &mut Criterion) {
    for len in LENGTHS {
        let mut line = vec![b'x'; len];
        line[len - 1] = b'\n';
        echo(criterion, "echo, raw", &Raw, &line);
        echo(criterion, "echo, lines", &Lines::new(), &line);
    }
    echo(criterion, "echo of 32 lines in one read", &Lines::new(), &b"x\n".repeat(32));
}

criterion_group! {
    name = leaves;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = queue, slab, timers, watermark, codecs, connection
}
criterion_main!(leaves);
