//! The shutdown of a server of each design: drained or stopped, in time, and without lost bytes.

use std::time::Duration;

use super::{DESIGNS, serve};
use crate::drain::check_clean_ends;
use crate::support::{Behavior, Crowd, KIB, MIB, TIMEOUT};

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

        println!("{design}");
        assert_eq!(check_clean_ends(server, &mut crowd).summary().connections, 46, "{design}");
        assert_eq!(crowd.answered(waiting), 20, "{design}: connections in the backlog are served");
        let mut repeating = crowd.members[1..21].iter().zip(sent);
        let are_echoed = repeating.all(|(member, sent)| member.received >= sent);
        assert!(are_echoed, "{design}: bytes that were sent before the drain are echoed");
    }
}

#[test]
fn a_second_signal_or_the_drain_timeout_closes_peers_that_do_not_read_in_every_design() {
    for (design, drain_timeout) in DESIGNS.into_iter().flat_map(|design| [(design, "1m"), (design, "500ms")]) {
        let flags = format!("--drain-timeout {drain_timeout} --recv-buffer 16KiB --send-buffer 16KiB");
        let server = serve(design, &flags);
        let mut crowd = Crowd::new();
        crowd.join_with_buffers(4 * KIB, server.address(), 10, Behavior::NeverReads);
        crowd.run_for(Duration::from_millis(300));
        server.signal("TERM");
        if drain_timeout == "1m" {
            server.logs("draining");
            server.signal("INT");
        }
        let ended = server.wait(TIMEOUT);
        assert_eq!(ended.code, Some(0), "{design}: {}", ended.log_text());
        assert!(ended.took < Duration::from_secs(10), "{design}: {:?} of {drain_timeout}", ended.took);
        let summary = ended.summary();
        assert_eq!((summary.closed_in_all(), summary.closed("stopped")), (10, 10), "{design}: {}", ended.log_text());
        assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| !member.is_open())), "{design}");
    }
}
