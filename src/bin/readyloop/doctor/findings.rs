//! What the facts mean for a number of connections. It reads nothing.

use readyloop::ListenOptions;

use crate::quantity::{Unit, counted};
use crate::serve::DESCRIPTORS_RESERVE;

use super::facts::Facts;

/// Memory of the kernel for one idle TCP connection, in bytes: the objects `TCP`, `sock_inode_cache`, `filp`,
/// `dentry` and `eventpoll_epi` of slabinfo(5), rounded up. Unread and unsent bytes come on top.
const KERNEL_BYTES: u64 = 5 * 1024;

/// Memory of the process for one idle connection, in bytes: its slot, its timer and their indices.
const PROCESS_BYTES: u64 = 128;

/// The meaning of one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) name: &'static str,
    pub(super) text: String,
    /// What to type.
    pub(super) command: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fits,
    /// It limits only some uses, or costs time.
    Note,
    /// It is too little.
    Change,
    /// The system does not show it.
    Unknown,
}

/// All findings, and how many connections fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The connections that were asked for.
    pub(super) wanted: u64,
    /// The most that fit.
    pub(super) holds: u64,
    /// What ends first.
    pub(super) limited_by: &'static str,
    pub(super) findings: Vec<Finding>,
}

/// A bound on the number of connections.
struct Bound {
    name: &'static str,
    fits: u64,
}

/// Examines the facts for `wanted` connections, or for as many as descriptors allow.
pub(super) fn examine(facts: &Facts, wanted: Option<u64>) -> Outcome {
    let bounds = bounds(facts);
    let first = bounds.iter().min_by_key(|bound| bound.fits);
    let holds = first.map_or(u64::MAX, |bound| bound.fits);
    let wanted = wanted.or(facts.descriptors.map(|(_, hard)| connections(hard))).unwrap_or(holds);
    let findings = vec![
        descriptors(facts, wanted),
        files(facts, wanted),
        watches(facts, wanted),
        memory(facts, wanted),
        backlog(facts),
        conntrack(facts, wanted),
        ports(facts, wanted),
        restart(facts),
        congestion_control(facts),
        overcommit(facts),
        huge_pages(facts),
    ];
    Outcome { wanted, holds, limited_by: first.map_or("unknown limits", |bound| bound.name), findings }
}

/// The connections of a process with this many descriptors and one listener.
fn connections(descriptors: u64) -> u64 {
    descriptors.saturating_sub(DESCRIPTORS_RESERVE as u64 + 1)
}

fn descriptors_for(connections: u64) -> u64 {
    connections.saturating_add(DESCRIPTORS_RESERVE as u64 + 1)
}

fn bounds(facts: &Facts) -> Vec<Bound> {
    let bounds = [
        ("descriptors", facts.descriptors.map(|(_, hard)| connections(hard))),
        ("files", facts.files_max.map(connections)),
        ("watches", facts.watches_max),
        ("bytes of memory", facts.memory.map(|bytes| bytes / (KERNEL_BYTES + PROCESS_BYTES))),
        ("tracked connections", facts.conntrack.map(|(count, max)| max.saturating_sub(count))),
    ];
    bounds.into_iter().filter_map(|(name, fits)| Some(Bound { name, fits: fits? })).collect()
}

fn finding(verdict: Verdict, name: &'static str, text: impl Into<String>) -> Finding {
    Finding { verdict, name, text: text.into(), command: None }
}

fn change(verdict: Verdict, name: &'static str, text: impl Into<String>, command: impl Into<String>) -> Finding {
    Finding { command: Some(command.into()), ..finding(verdict, name, text) }
}

fn unknown(name: &'static str) -> Finding {
    finding(Verdict::Unknown, name, "this system does not show it")
}

/// A setting of sysctl that must be at least `needed`.
fn at_least(name: &'static str, setting: &str, value: Option<u64>, needed: u64) -> Finding {
    match value {
        None => unknown(name),
        Some(value) if value >= needed => finding(Verdict::Fits, name, format!("{setting} is {value}")),
        Some(value) => change(
            Verdict::Change,
            name,
            format!("{setting} is {value}, and {needed} are needed"),
            format!("sysctl -w {setting}={needed}"),
        ),
    }
}

fn descriptors(facts: &Facts, wanted: u64) -> Finding {
    let (name, needed) = ("descriptors", descriptors_for(wanted));
    let Some((soft, hard)) = facts.descriptors else { return unknown(name) };
    if hard >= needed {
        let raised = if soft < hard { ", to which the server raises its soft limit" } else { "" };
        return finding(Verdict::Fits, name, format!("the hard limit is {hard}{raised}"));
    }
    let text = format!("the hard limit is {hard}, and {needed} are needed; under systemd: LimitNOFILE={needed}");
    let raise = format!("ulimit -n {needed}");
    match facts.descriptors_of_process_max {
        Some(max) if max < needed => {
            change(Verdict::Change, name, text, format!("sysctl -w fs.nr_open={needed} && {raise}"))
        }
        Some(_) | None => change(Verdict::Change, name, text, raise),
    }
}

fn files(facts: &Facts, wanted: u64) -> Finding {
    at_least("files", "fs.file-max", facts.files_max, descriptors_for(wanted))
}

fn watches(facts: &Facts, wanted: u64) -> Finding {
    at_least("watches", "fs.epoll.max_user_watches", facts.watches_max, descriptors_for(wanted))
}

fn memory(facts: &Facts, wanted: u64) -> Finding {
    let Some(available) = facts.memory else { return unknown("memory") };
    let needed = wanted.saturating_mul(KERNEL_BYTES + PROCESS_BYTES);
    let print = |bytes: u64| Unit::Bytes.print(bytes as f64);
    let text = format!(
        "{} are available; idle connections use about {}, {PROCESS_BYTES} B each in the process and 5 KiB in the kernel",
        print(available),
        print(needed)
    );
    finding(if needed <= available { Verdict::Fits } else { Verdict::Change }, "memory", text)
}

fn backlog(facts: &Facts) -> Finding {
    let backlog = u64::from(ListenOptions::default().backlog);
    at_least("backlog", "net.core.somaxconn", facts.backlog_max, backlog)
}

fn conntrack(facts: &Facts, wanted: u64) -> Finding {
    let name = "conntrack";
    match facts.conntrack {
        None => finding(Verdict::Fits, name, "the firewall of this machine tracks no connections"),
        Some((count, max)) if max.saturating_sub(count) >= wanted => {
            finding(Verdict::Fits, name, format!("the firewall tracks {count} of at most {max} connections"))
        }
        Some((count, max)) => change(
            Verdict::Change,
            name,
            format!("the firewall tracks {count} of at most {max} connections, and drops further ones"),
            format!("sysctl -w net.netfilter.nf_conntrack_max={}", count.saturating_add(wanted).saturating_mul(2)),
        ),
    }
}

/// The ports of this machine limit its own clients, such as a proxy or a load generator, not its server.
fn ports(facts: &Facts, wanted: u64) -> Finding {
    let Some((first, last)) = facts.ports else { return unknown("ports") };
    let count = last - first + 1;
    let text = format!("a client on this machine has {} per source address and server address", counted(count, "port"));
    if count >= wanted {
        return finding(Verdict::Fits, "ports", text);
    }
    let command = "sysctl -w net.ipv4.ip_local_port_range='1024 65535'";
    change(Verdict::Note, "ports", format!("{text}; more addresses of `bench --source` give more"), command)
}

fn restart(facts: &Facts) -> Finding {
    let name = "restart";
    match facts.migrates {
        None => unknown(name),
        Some(true) => finding(Verdict::Fits, name, "the backlog of a listener that closes moves to another one"),
        Some(false) => change(
            Verdict::Note,
            name,
            "with --reuse-port, the kernel resets the backlog of a listener that closes",
            "sysctl -w net.ipv4.tcp_migrate_req=1",
        ),
    }
}

fn congestion_control(facts: &Facts) -> Finding {
    let name = "congestion";
    facts.congestion_control.as_ref().map_or_else(
        || unknown(name),
        |control| finding(Verdict::Fits, name, format!("{control} decides how fast each connection sends")),
    )
}

fn overcommit(facts: &Facts) -> Finding {
    let name = "overcommit";
    match facts.overcommit {
        None => unknown(name),
        Some(2) => change(
            Verdict::Note,
            name,
            "vm.overcommit_memory is 2, so a mapping for queues may be refused although memory is free",
            "sysctl -w vm.overcommit_memory=0",
        ),
        Some(mode) => finding(Verdict::Fits, name, format!("vm.overcommit_memory is {mode}")),
    }
}

fn huge_pages(facts: &Facts) -> Finding {
    let name = "huge pages";
    match facts.huge_pages.as_deref() {
        None => unknown(name),
        Some("always") => change(
            Verdict::Note,
            name,
            "transparent huge pages are always used, so a short queue may take 2 MiB for a while",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(mode) => finding(Verdict::Fits, name, format!("transparent huge pages: {mode}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> Facts {
        Facts {
            descriptors: Some((1_024, 1_048_576)),
            descriptors_of_process_max: Some(1_048_576),
            files_max: Some(u64::MAX),
            watches_max: Some(3_000_000),
            backlog_max: Some(4_096),
            ports: Some((32_768, 60_999)),
            memory: Some(8 << 30),
            migrates: Some(true),
            congestion_control: Some("cubic".to_owned()),
            conntrack: None,
            overcommit: Some(0),
            huge_pages: Some("madvise".to_owned()),
        }
    }

    /// Checks the finding of this name.
    #[track_caller]
    fn check(facts: &Facts, wanted: u64, name: &str, verdict: Verdict, command: Option<&str>) {
        let outcome = examine(facts, Some(wanted));
        let found = outcome.findings.iter().find(|finding| finding.name == name).expect("it is examined");
        assert_eq!((found.verdict, found.command.as_deref()), (verdict, command), "{found:?}");
    }

    #[test]
    fn a_large_machine_fits() {
        let outcome = examine(&large(), Some(20_000));
        let all_fit =
            outcome.findings.iter().all(|finding| finding.verdict == Verdict::Fits && finding.command.is_none());
        assert!(all_fit, "{outcome:#?}");
        assert_eq!((outcome.holds, outcome.limited_by), (1_048_543, "descriptors"));
        assert_eq!(examine(&large(), None).wanted, 1_048_543);
    }

    #[test]
    fn each_fact_that_is_too_small_has_its_command() {
        use Verdict::{Change, Note};
        let few = Facts { descriptors: Some((256, 1_024)), ..large() };
        check(&few, 5_000, "descriptors", Change, Some("ulimit -n 5033"));
        let command = "sysctl -w fs.nr_open=2000033 && ulimit -n 2000033";
        check(&large(), 2_000_000, "descriptors", Change, Some(command));
        check(&Facts { files_max: Some(100), ..large() }, 100, "files", Change, Some("sysctl -w fs.file-max=133"));
        let watches = "sysctl -w fs.epoll.max_user_watches=133";
        check(&Facts { watches_max: Some(100), ..large() }, 100, "watches", Change, Some(watches));
        let backlog = "sysctl -w net.core.somaxconn=4096";
        check(&Facts { backlog_max: Some(128), ..large() }, 1, "backlog", Change, Some(backlog));
        check(&Facts { memory: Some(1 << 20), ..large() }, 1_000, "memory", Change, None);
        let tracked = "sysctl -w net.netfilter.nf_conntrack_max=2180";
        check(&Facts { conntrack: Some((90, 1_000)), ..large() }, 1_000, "conntrack", Change, Some(tracked));
        let ports = "sysctl -w net.ipv4.ip_local_port_range='1024 65535'";
        check(&large(), 30_000, "ports", Note, Some(ports));
        let migrate = "sysctl -w net.ipv4.tcp_migrate_req=1";
        check(&Facts { migrates: Some(false), ..large() }, 1, "restart", Note, Some(migrate));
        let overcommit = "sysctl -w vm.overcommit_memory=0";
        check(&Facts { overcommit: Some(2), ..large() }, 1, "overcommit", Note, Some(overcommit));
        let pages = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
        check(&Facts { huge_pages: Some("always".to_owned()), ..large() }, 1, "huge pages", Note, Some(pages));
    }

    #[test]
    fn a_system_without_facts_and_extreme_numbers_are_examined() {
        let outcome = examine(&Facts::default(), Some(u64::MAX));
        assert_eq!((outcome.holds, outcome.limited_by), (u64::MAX, "unknown limits"));
        let extreme = Facts {
            descriptors: Some((0, 0)),
            memory: Some(u64::MAX),
            conntrack: Some((u64::MAX, 0)),
            ports: Some((0, u64::MAX - 1)),
            ..Facts::default()
        };
        for wanted in [None, Some(1), Some(u64::MAX)] {
            assert_eq!(examine(&extreme, wanted).holds, 0);
        }
    }
}
