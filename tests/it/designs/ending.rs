//! The shutdown of a server of each design: drained or stopped, in time, and without lost bytes.

use std::time::Duration;

use super::{DESIGNS, serve};
use crate::support::{Behavior, Crowd, KIB, MIB, StreamEnd, TIMEOUT};

#[test]
fn sigterm_loses_nothing_in_any_design() {
    for design in DESIGNS {
        let server = serve(design, "");
        let mut crowd = Crowd::new();
        // This peer is served in every design; the others are served with it, or wait.
        crowd.join(server.address(), 1, Behavior::Streams { in_flight: MIB as u64 });
        assert!(crowd.run_until(TIMEOUT, |members| members[0].received > MIB as u64));
        crowd.join(server.address(), 20, Behavior::Repeats { len: 1000 });
        crowd.join(server.address(), 5, Behavior::OnRequest);
        crowd.run_for(Duration::from_millis(100));
        server.process.stop();
        let waiting = crowd.join(server.address(), 20, Behavior::OnRequest);
        crowd.ask(waiting.clone(), 100);
        crowd.settle(Duration::from_millis(20));
        let sent: Vec<u64> = crowd.members[1..21].iter().map(|member| member.sent).collect();
        server.signal("TERM");
        server.process.resume();

        let gone = crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open()));
        assert!(gone, "{design}: {} are still connected", crowd.open());
        assert_eq!(crowd.ended(0..crowd.members.len(), StreamEnd::Clean), crowd.members.len(), "{design}");
        assert_eq!(crowd.answered(waiting), 20, "{design}: connections in the backlog are served");
        let mut repeating = crowd.members[1..21].iter().zip(sent);
        assert!(
            repeating.all(|(member, sent)| member.received >= sent),
            "{design}: bytes that were sent before the drain are echoed"
        );
        let ended = server.wait(TIMEOUT);
        assert_eq!(ended.code, Some(0), "{design}: {}", ended.log_text());
        let summary = ended.summary();
        assert_eq!(summary.bytes_out, crowd.bytes_received(), "{design}: written and received bytes differ");
        assert_eq!((summary.connections, summary.open), (46, 0), "{design}");
        assert_eq!(summary.closed_in_all(), 46, "{design}: {summary:?}");
    }
}

#[test]
fn a_second_signal_stops_every_design_at_once() {
    for design in DESIGNS {
        let server = serve(design, "--drain-timeout 1m --recv-buffer 16KiB --send-buffer 16KiB");
        let mut crowd = Crowd::new();
        crowd.join_with_buffers(4 * KIB, server.address(), 10, Behavior::NeverReads);
        crowd.run_for(Duration::from_millis(300));
        server.signal("TERM");
        server.logs("draining");
        server.signal("INT");
        let ended = server.wait(TIMEOUT);
        assert_eq!(ended.code, Some(0), "{design}: {}", ended.log_text());
        assert!(ended.took < Duration::from_secs(10), "{design}: {:?} of a minute", ended.took);
        assert_eq!(ended.summary().closed("stopped"), 10, "{design}: {}", ended.log_text());
    }
}

#[test]
fn the_drain_timeout_closes_peers_that_do_not_read_in_every_design() {
    for design in DESIGNS {
        let server = serve(design, "--drain-timeout 500ms --recv-buffer 16KiB --send-buffer 16KiB");
        let mut crowd = Crowd::new();
        crowd.join_with_buffers(4 * KIB, server.address(), 5, Behavior::NeverReads);
        crowd.run_for(Duration::from_millis(300));
        server.signal("TERM");
        let ended = server.wait(TIMEOUT);
        assert_eq!(ended.code, Some(0), "{design}: {}", ended.log_text());
        let summary = ended.summary();
        assert_eq!((summary.closed_in_all(), summary.closed("stopped")), (5, 5), "{design}: {}", ended.log_text());
    }
}
