//! Servers and machines that fail.

use super::*;
use crate::client::Backoff;
use crate::load::plan::{Distribution, Ramp};
use crate::load::record::ErrorKind;
use crate::sim::Faults;

#[test]
fn missing_answers_time_out() {
    let mut simulated =
        SimulatedRun::healthy(Plan { connections: 3, run_length: RunLength::Time(10 * SECOND), ..plan() });
    simulated.stall = 500 * MS..Duration::MAX;
    let record = simulated.run(4 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.requests.failed, record.ending), (3, RunEnd::Abandoned));
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::TimedOut, 3));
    assert!(record.requests.measured_ns < 2_000_000_000, "the run ended with the last connection");
}

#[test]
fn changed_bytes_are_a_mismatch() {
    let alterations: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
        |bytes| bytes.extend_from_within(..bytes.len().min(1)),
        |bytes| bytes.reverse(),
    ];
    for alter in alterations {
        let mut simulated = SimulatedRun::healthy(Plan { connections: 2, ..plan() });
        simulated.alter = alter;
        let record = simulated.run(4 * SECOND);
        assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::Mismatch, 2), "{:?}", record.errors);
        assert_eq!(record.ending, RunEnd::Abandoned);
    }
    let mut simulated = SimulatedRun::healthy(Plan { verify: Verify::Length, ..plan() });
    simulated.alter = alterations[0];
    assert!(simulated.run(4 * SECOND).errors.is_empty(), "without verification there is no mismatch");
}

#[test]
fn each_cause_of_a_failed_connect_has_its_own_kind() {
    let refused = SimulatedRun::new(World::new(1), Plan { connections: 3, ..plan() }).run(SECOND);
    assert_eq!((refused.errors[0].kind, refused.ending), (ErrorKind::Refused, RunEnd::Abandoned));
    assert_eq!(refused.connections.failed, 3);

    let world = World::new(1);
    world.ignore_connects_at(&address());
    let silent = SimulatedRun::new(world, plan()).run(2 * SECOND);
    assert_eq!((silent.errors[0].kind, silent.ending), (ErrorKind::ConnectTimedOut, RunEnd::Abandoned));

    let world = World::new(1).with_descriptors(2);
    world.accept_connects_at(&address(), Behavior::default());
    let own = SimulatedRun::new(world, Plan { connections: 3, ..plan() }).run(4 * SECOND);
    assert_eq!((own.errors[0].kind, own.errors[0].count), (ErrorKind::NoDescriptors, 1));
    assert!(own.requests.answered > 500, "the other connections continued");
}

#[test]
fn connects_to_a_full_backlog_time_out_together() {
    let mut simulated = SimulatedRun::healthy(Plan { connections: 2_000, connect_rate: Some(1_000.0), ..plan() });
    while simulated.generator.connects_begun < 3 {
        assert_eq!(simulated.step(), None);
    }
    simulated.world.ignore_connects_at(&address());
    let record = simulated.run(3 * SECOND);
    assert_reconciled(&record);
    let opened = record.connections.opened;
    assert!(record.requests.answered > 0 && opened < 10, "{:?}", record.connections);
    assert_eq!(record.connections.failed, 2_000 - opened);
    assert_eq!((record.errors[0].kind, record.errors[0].count), (ErrorKind::ConnectTimedOut, 2_000 - opened));
}

#[test]
fn each_way_to_close_a_connection_has_its_own_kind() {
    for (ending, kind) in [
        (PeerEnding::ResetsAt(640), ErrorKind::Reset),
        (PeerEnding::FinishesAt(640), ErrorKind::Ended),
        // A closed peer answers further bytes with a reset.
        (PeerEnding::ClosesAt(640), ErrorKind::Reset),
    ] {
        let world = World::new(1);
        world.accept_connects_at(&address(), Behavior { ending, ..Behavior::default() });
        let record = SimulatedRun::new(world, plan()).run(4 * SECOND);
        assert_reconciled(&record);
        assert_eq!((record.errors[0].kind, record.requests.answered), (kind, 10), "{ending:?}");
    }
}

#[test]
fn a_run_with_a_connection_per_request_ends_when_the_server_is_gone() {
    let plan = Plan { reuse: ConnectionReuse::PerRequest, run_length: RunLength::Requests(u64::MAX), ..plan() };
    let record = SimulatedRun::new(World::new(1), plan).run(4 * SECOND);
    assert_reconciled(&record);
    assert_eq!((record.requests.answered, record.ending), (0, RunEnd::Abandoned));
}

#[test]
fn measurements_before_an_interruption_are_valid() {
    let mut simulated =
        SimulatedRun::healthy(Plan { connections: 3, run_length: RunLength::Time(60 * SECOND), ..plan() });
    for _ in 0..500 {
        assert_eq!(simulated.step(), None);
    }
    let progress = simulated.generator.progress();
    assert!(progress.answered > 1000 && progress.measured > 400 * MS && progress.open == 3, "{progress:?}");
    simulated.generator.client.handle().stop();
    let record = simulated.run(100 * MS);
    assert_reconciled(&record);
    assert_eq!((record.ending, record.requests.failed), (RunEnd::Interrupted, 0));
    assert!(record.requests.measured_ns < 600_000_000 && record.errors.is_empty(), "{record:?}");
}

/// With random faults, the run ends in time and every request has exactly one outcome. There is no
/// mismatch, because the world changes no byte.
#[test]
fn random_faults_leave_each_request_with_one_outcome() {
    let (mut answered, mut failed) = (0, 0);
    for seed in 0..40 {
        let world = World::new(seed).with_faults(Faults::drawn_from(seed));
        let pause_max = Backoff::default().pause(0, seed) / 20;
        world.accept_connects_at(&address(), Behavior { pause_max, ..Behavior::default() });
        let short = Distribution::Exponential(50 * MS);
        let reuse = match seed % 4 {
            0 => ConnectionReuse::PerRequest,
            1 => ConnectionReuse::Persistent,
            2 => ConnectionReuse::Requests(5),
            _ => ConnectionReuse::Time(short),
        };
        let is_closed = seed / 4 % 2 == 0;
        let pace = if is_closed { Pace::Closed } else { Pace::Open(300.0) };
        let think = (is_closed && seed % 4 > 0 && seed % 5 > 2).then_some(short);
        let ramp = (is_closed && seed % 3 == 0).then_some(Ramp { from: 2, to: 6, time: SECOND });
        let plan = Plan { connections: 6, message_len_min: Some(1), reuse, pace, think, ramp, ..plan() };
        plan.check().unwrap();
        let record = SimulatedRun::new(world, plan).run(20 * SECOND);
        assert_reconciled(&record);
        let mismatch = record.errors.iter().find(|error| error.kind == ErrorKind::Mismatch);
        assert_eq!(mismatch, None, "seed {seed}");
        answered += record.requests.answered;
        failed += record.requests.failed;
    }
    assert!(answered > 1000 && failed > 20, "{answered} answered, {failed} failed");
}
