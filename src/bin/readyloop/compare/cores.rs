//! The cores of servers and generators. A supervised process is pinned by its supervisor.

use super::request_flags::RequestFlags;
use crate::cli_error::CliError;
use crate::quantity::counted;
use crate::report::comparison::Cores;

/// The first cores for the servers and the last ones for the generator. They overlap if there are too few.
///
/// With one core, or if the cores are unknown, nothing is pinned.
pub(super) fn choose(requests: &RequestFlags) -> Result<Option<Cores>, CliError> {
    divide(&available(), requests.server_cores, requests.threads)
}

fn divide(available: &[usize], server: usize, generator: usize) -> Result<Option<Cores>, CliError> {
    if available.len() < 2 && server.max(generator) == 1 {
        return Ok(None);
    }
    for (flag, wanted) in [("--server-cores", server), ("--threads", generator)] {
        if available.len().max(1) < wanted {
            let message = match available.len() {
                0 => format!("{flag} {wanted} is not possible: this system pins no process to a core"),
                len => format!("{flag} {wanted} is not possible: {} can be used", counted(len as u64, "core")),
            };
            return Err(CliError::usage(message, format!("type a smaller {flag}")));
        }
    }
    let (first, last) = (&available[..server], &available[available.len() - generator..]);
    Ok(Some(Cores { server: first.to_vec(), generator: last.to_vec() }))
}

#[cfg(target_os = "linux")]
fn available() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Other systems cannot pin a process to a core.
#[cfg(not(target_os = "linux"))]
fn available() -> Vec<usize> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(available: &[usize], wanted: (usize, usize), expected: Option<(&[usize], &[usize])>) {
        let cores = divide(available, wanted.0, wanted.1).unwrap();
        assert_eq!(cores.as_ref().map(|cores| (&cores.server[..], &cores.generator[..])), expected);
    }

    #[test]
    fn servers_and_generator_have_cores_of_their_own_if_there_are_enough() {
        check(&[0, 1], (1, 1), Some((&[0], &[1])));
        check(&[2, 3, 5, 7], (2, 2), Some((&[2, 3], &[5, 7])));
        check(&[2, 3, 5, 7], (1, 2), Some((&[2], &[5, 7])));
        check(&[0, 1], (2, 1), Some((&[0, 1], &[1])));
    }

    #[test]
    fn nothing_is_pinned_to_the_only_core() {
        check(&[0], (1, 1), None);
        check(&[], (1, 1), None);
    }

    #[test]
    fn more_cores_than_there_are_is_wrong_usage() {
        for (available, wanted, part) in [
            (&[0, 1][..], (3, 1), "--server-cores 3 is not possible: 2 cores can be used"),
            (&[0, 1], (1, 3), "--threads 3 is not possible: 2 cores can be used"),
            (&[0], (2, 1), "--server-cores 2 is not possible: 1 core can be used"),
            (&[], (1, 2), "--threads 2 is not possible: this system pins no process to a core"),
        ] {
            assert_eq!(divide(available, wanted.0, wanted.1).unwrap_err().message, part);
        }
    }
}
