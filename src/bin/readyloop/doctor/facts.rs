//! `Facts`: the settings of the system that limit a server. A fact that the system does not show is absent.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rlimit::Resource;

/// The longest file that is read. All of them are short; one that never ends is no setting.
const FILE_LEN_MAX: u64 = 64 * 1024;

/// What the system shows. Those from `/proc` and `/sys` exist on Linux only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The soft and the hard limit on descriptors of this process.
    pub(super) descriptors: Option<(u64, u64)>,
    /// The highest limit that a process may have (`fs.nr_open`).
    pub(super) descriptors_of_process_max: Option<u64>,
    /// Open files of the whole system (`fs.file-max`).
    pub(super) files_max: Option<u64>,
    /// Descriptors in all epoll instances of a user (`fs.epoll.max_user_watches`).
    pub(super) watches_max: Option<u64>,
    /// The longest backlog of a listener (`net.core.somaxconn`).
    pub(super) backlog_max: Option<u64>,
    /// The first and the last port of outbound connections.
    pub(super) ports: Option<(u64, u64)>,
    /// Memory that can be used without swapping, in bytes.
    pub(super) memory: Option<u64>,
    /// Connections in the backlog of a listener that closes move to another one (`net.ipv4.tcp_migrate_req`).
    pub(super) migrates: Option<bool>,
    pub(super) congestion_control: Option<String>,
    /// Connections that the firewall tracks now, and the most that it can.
    pub(super) conntrack: Option<(u64, u64)>,
    /// `vm.overcommit_memory`.
    pub(super) overcommit: Option<u64>,
    /// The mode of transparent huge pages.
    pub(super) huge_pages: Option<String>,
}

impl Facts {
    /// Reads the facts below this root.
    pub(super) fn read(root: &Path) -> Self {
        let numbers = |path: &str| numbers(&text(root, path)?);
        let number = |path: &str| numbers(path)?.first().copied();
        let pair = |path: &str| numbers(path).and_then(|numbers| Some((*numbers.first()?, *numbers.get(1)?)));
        let conntrack = |name: &str| number(&format!("proc/sys/net/netfilter/nf_conntrack_{name}"));
        Self {
            descriptors: Resource::NOFILE.get().ok(),
            descriptors_of_process_max: number("proc/sys/fs/nr_open"),
            files_max: number("proc/sys/fs/file-max"),
            watches_max: number("proc/sys/fs/epoll/max_user_watches"),
            backlog_max: number("proc/sys/net/core/somaxconn"),
            ports: pair("proc/sys/net/ipv4/ip_local_port_range").filter(|(first, last)| first <= last),
            memory: text(root, "proc/meminfo").and_then(|text| memory(&text)),
            migrates: number("proc/sys/net/ipv4/tcp_migrate_req").map(|number| number != 0),
            congestion_control: text(root, "proc/sys/net/ipv4/tcp_congestion_control").and_then(|text| word(&text)),
            conntrack: conntrack("count").zip(conntrack("max")),
            overcommit: number("proc/sys/vm/overcommit_memory"),
            huge_pages: text(root, "sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
        }
    }
}

fn text(root: &Path, path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(root.join(path)).ok()?.take(FILE_LEN_MAX).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// All numbers of a line; `None` if one of them is none.
fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}

/// A name of letters, digits and hyphens, so that nothing else reaches a terminal.
fn word(text: &str) -> Option<String> {
    let word = text.trim();
    let is_name = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    (!word.is_empty() && word.len() <= 32 && word.chars().all(is_name)).then(|| word.to_owned())
}

/// `madvise` of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    word(text.split_once('[')?.1.split_once(']')?.0)
}

fn memory(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    /// The facts without that of this process.
    fn read(files: &[(&str, &[u8])]) -> Facts {
        Facts { descriptors: None, ..Facts::read(root_with(files).path()) }
    }

    #[test]
    fn settings_are_read_from_their_files() {
        let facts = read(&[
            ("proc/sys/fs/nr_open", b"1048576\n"),
            ("proc/sys/net/ipv4/ip_local_port_range", b"32768\t60999\n"),
            ("proc/meminfo", b"MemTotal:  9 kB\nMemAvailable:    2048 kB\n"),
            ("proc/sys/net/ipv4/tcp_migrate_req", b"0\n"),
            ("proc/sys/net/ipv4/tcp_congestion_control", b"cubic\n"),
            ("proc/sys/net/netfilter/nf_conntrack_count", b"7\n"),
            ("proc/sys/net/netfilter/nf_conntrack_max", b"65536\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", b"always [madvise] never\n"),
        ]);
        let expected = Facts {
            descriptors_of_process_max: Some(1_048_576),
            ports: Some((32_768, 60_999)),
            memory: Some(2 << 20),
            migrates: Some(false),
            congestion_control: Some("cubic".to_owned()),
            conntrack: Some((7, 65_536)),
            huge_pages: Some("madvise".to_owned()),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn a_file_that_is_absent_or_lies_is_no_fact() {
        assert_eq!(read(&[]), Facts::default());
        for bytes in [b"".as_slice(), b"-1", b"99999999999999999999999", b"\xff\xfe", b"nan", b"\0", &[b'1'; 100_000]] {
            let paths = [
                "proc/sys/fs/nr_open",
                "proc/sys/net/core/somaxconn",
                "proc/sys/net/ipv4/ip_local_port_range",
                "proc/meminfo",
                "sys/kernel/mm/transparent_hugepage/enabled",
            ];
            assert_eq!(read(&paths.map(|path| (path, bytes))), Facts::default(), "{:?}", bytes.get(..30));
        }
        let escape: &[u8] = b"\x1b[2J";
        assert_eq!(read(&[("proc/sys/net/ipv4/tcp_congestion_control", escape)]), Facts::default());
        assert_eq!(read(&[("proc/sys/net/ipv4/ip_local_port_range", b"9 1")]), Facts::default());
        assert_eq!(read(&[("proc/meminfo", b"MemAvailable: 18446744073709551615 kB")]), Facts::default());
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc/meminfo")).unwrap();
        assert_eq!(Facts::read(folder.path()).memory, None);
    }
}
