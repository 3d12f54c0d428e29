//! What the settings must be to each other, checked before anything is bound.
//!
//! What one setting may be by itself is checked where it is read.

use readyloop::connection::ENVELOPE_LEN_MAX;
use readyloop::{Address, Framing};

use crate::cli_error::CliError;
use crate::units::print_size;

use super::settings::{Design, Service, Settings, Threads};

/// The room that is left for a prefix when the longest frame has its envelope: a length is at
/// most 8 bytes.
const PREFIX_LEN_MAX: usize = ENVELOPE_LEN_MAX - 8;

/// How long a line of chargen is.
const CHARGEN_LEN: usize = 72;

/// Refuses settings that contradict each other.
pub(super) fn check(settings: &Settings) -> Result<(), CliError> {
    check_queues(settings)?;
    check_tls(settings)?;
    check_framing(settings)?;
    check_prefix(settings)?;
    check_datagrams(settings)?;
    check_design(settings)
}

fn check_queues(settings: &Settings) -> Result<(), CliError> {
    let (peer, total) = (&settings.peer, settings.total.queue_total_max);
    let (low, high) = (peer.queue_low, peer.queue_high);
    if low >= high {
        return Err(CliError::usage(
            format!("--queue-low {} is not below --queue-high {}", print_size(low), print_size(high)),
            format!("type --queue-low {}, a quarter of --queue-high", print_size(high / 4)),
        ));
    }
    // Added up with care: a limit of its own may be as large as a number can be.
    let one_peer = peer.queue_high.checked_add(peer.frame_len_max).and_then(|sum| {
        sum.checked_add(peer.frame_len_max)?.checked_add(2 * (readyloop::connection::READ_LEN_MAX + ENVELOPE_LEN_MAX))
    });
    match one_peer {
        Some(bytes) if bytes <= total => Ok(()),
        Some(bytes) => Err(CliError::usage(
            format!("one peer may need {}, more than --queue-total-max {}", print_size(bytes), print_size(total)),
            format!("type --queue-total-max {} or more, or lower --queue-high or --frame-len-max", print_size(bytes)),
        )),
        None => Err(CliError::usage(
            "--queue-high and --frame-len-max together are more than any memory",
            "lower --queue-high or --frame-len-max",
        )),
    }
}

fn check_tls(settings: &Settings) -> Result<(), CliError> {
    let tls = &settings.tls;
    let served = settings.endpoints.listen.iter().find(|address| matches!(address, Address::Tls(_)));
    let given = [
        ("--cert", tls.cert.is_some()),
        ("--key", tls.key.is_some()),
        ("--client-ca", tls.client_ca.is_some()),
        ("--self-signed", tls.self_signed),
        ("--alpn", !tls.alpn.is_empty()),
    ];
    let given = given.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag);
    match (served, given, &tls.cert, &tls.key, tls.self_signed) {
        (None, Some(flag), ..) => Err(CliError::usage(
            format!("{flag} is for tls:// addresses, and there is none"),
            "type --listen tls://127.0.0.1:7443",
        )),
        (Some(address), _, None, None, false) => Err(CliError::usage(
            format!("{address} needs a certificate to show"),
            "type --cert FILE --key FILE, which `readyloop cert` makes for development, or --self-signed for a trial",
        )),
        (Some(_), _, Some(_), None, false) => {
            Err(CliError::usage("--cert needs the private key of that certificate", "type --key FILE with it"))
        }
        (Some(_), _, None, Some(_), false) => {
            Err(CliError::usage("--key needs the certificate that it belongs to", "type --cert FILE with it"))
        }
        (Some(_), _, Some(_), _, true) | (Some(_), _, _, Some(_), true) => Err(CliError::usage(
            "--self-signed makes a certificate, and one is given",
            "leave --self-signed out, or --cert and --key",
        )),
        (None, None, ..) | (Some(_), _, Some(_), Some(_), false) | (Some(_), _, None, None, true) => Ok(()),
    }
}

fn check_framing(settings: &Settings) -> Result<(), CliError> {
    let Framing::Fixed(fixed) = settings.framing() else { return Ok(()) };
    let (len, len_max) = (fixed.len(), settings.peer.frame_len_max);
    if len > len_max {
        return Err(CliError::usage(
            format!("frames of --framing fixed:{len} are longer than --frame-len-max {}", print_size(len_max)),
            format!("type --frame-len-max {}", print_size(len)),
        ));
    }
    if settings.endpoints.service == Service::Chargen && len != CHARGEN_LEN {
        return Err(CliError::usage(
            format!("the lines of chargen have {CHARGEN_LEN} characters and do not fit --framing fixed:{len}"),
            "type --framing raw, lines or length",
        ));
    }
    Ok(())
}

fn check_prefix(settings: &Settings) -> Result<(), CliError> {
    let Some(prefix) = settings.prefix() else { return Ok(()) };
    match settings.endpoints.service {
        Service::Echo | Service::Chat => {}
        Service::Discard | Service::Chargen => {
            return Err(CliError::usage(
                "--prefix is for what peers sent, which this service does not send on",
                "leave --prefix out, or type --service echo",
            ));
        }
    }
    if prefix.len() > PREFIX_LEN_MAX {
        return Err(CliError::usage(
            format!("the --prefix has {} bytes", prefix.len()),
            format!("type one of at most {PREFIX_LEN_MAX} bytes"),
        ));
    }
    match settings.framing() {
        Framing::Lines(_) if prefix.contains('\n') => Err(CliError::usage(
            "a --prefix of lines cannot hold a line feed",
            "leave the line feed out, or type --framing length",
        )),
        Framing::Lines(_) | Framing::Length(_) => Ok(()),
        framing @ (Framing::Raw(_) | Framing::Fixed(_)) => Err(CliError::usage(
            format!("--prefix needs frames that can grow, which those of --framing {framing} cannot"),
            "type --framing lines or --framing length with it",
        )),
    }
}

fn check_datagrams(settings: &Settings) -> Result<(), CliError> {
    let groups = &settings.datagrams.multicast;
    let Some(address) = settings.endpoints.listen.iter().find(|address| matches!(address, Address::Udp(_))) else {
        return match groups.first() {
            Some(group) => Err(CliError::usage(
                format!("--multicast {group} is for datagrams, and no --listen address takes them"),
                "type --listen udp://0.0.0.0:7007 with it",
            )),
            None => Ok(()),
        };
    };
    if settings.endpoints.service == Service::Chat {
        return Err(CliError::usage(
            format!("chat needs connections, which {address} has none of"),
            "type a tcp:// address, or --service echo",
        ));
    }
    if settings.prefix().is_some() {
        return Err(CliError::usage(
            format!("with a --prefix an answer at {address} would be longer than its question, and those are not sent"),
            "leave --prefix out, or type a tcp:// address",
        ));
    }
    Ok(())
}

fn check_design(settings: &Settings) -> Result<(), CliError> {
    let Threads { design, workers } = settings.threads;
    match design {
        Design::Pool => {}
        Design::Reactor | Design::Iterative | Design::Threads if workers.is_some() => {
            return Err(CliError::usage("--workers is how many threads a pool has", "type --design pool with it"));
        }
        Design::Reactor => return Ok(()),
        Design::Iterative | Design::Threads => {}
    }
    if settings.endpoints.service == Service::Chat {
        return Err(CliError::usage(
            "chat needs a design in which peers reach each other, which only the reactor is",
            "leave --design out, or type --service echo",
        ));
    }
    let is_other = |address: &&Address| matches!(address, Address::Udp(_) | Address::Tls(_));
    match settings.endpoints.listen.iter().find(is_other) {
        Some(address) => Err(CliError::usage(
            format!("only the reactor serves {address}: the other designs are there to compare plain connections"),
            "leave --design out, or type a tcp:// address",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn checked(arguments: &str) -> Result<(), CliError> {
        let all = ["readyloop", "serve"].into_iter().chain(arguments.split_whitespace()).map(OsString::from);
        let Ok(matches) = crate::command_line::read(all) else { panic!("{arguments} cannot be read") };
        let (_, matches) = matches.subcommand().unwrap();
        check(&super::super::sources::read_settings(matches, |_| None)?)
    }

    #[track_caller]
    fn check_right(arguments: &str) {
        assert_eq!(checked(arguments), Ok(()), "{arguments}");
    }

    #[track_caller]
    fn check_wrong(arguments: &str, message: &str) {
        assert_eq!(checked(arguments).map_err(|error| error.message), Err(message.to_owned()));
    }

    #[test]
    fn the_queues_fit_into_each_other() {
        check_right("");
        check_right("--queue-low 0 --queue-high 1");
        check_wrong("--queue-low 128KiB", "--queue-low 128KiB is not below --queue-high 128KiB");
        check_wrong("--queue-high 1000", "--queue-low 32KiB is not below --queue-high 1000B");
        check_wrong(
            "--queue-total-max 1MiB --frame-len-max 1MiB",
            "one peer may need 2696KiB, more than --queue-total-max 1MiB",
        );
        check_wrong(
            "--queue-high 18446744073709551615",
            "--queue-high and --frame-len-max together are more than any memory",
        );
    }

    #[test]
    fn a_certificate_has_its_key_and_an_address_to_be_shown_at() {
        check_right("-l tls://[::1]:0 --cert c --key k --client-ca a --alpn echo/1");
        check_right("-l tls://[::1]:0 --self-signed");
        check_wrong("-l tls://[::1]:0", "tls://[::1]:0 needs a certificate to show");
        check_wrong("-l tls://[::1]:0 --alpn echo/1", "tls://[::1]:0 needs a certificate to show");
        check_wrong("-l tls://[::1]:0 --cert c", "--cert needs the private key of that certificate");
        check_wrong("-l tls://[::1]:0 --key k", "--key needs the certificate that it belongs to");
        check_wrong(
            "-l tls://[::1]:0 --self-signed --cert c --key k",
            "--self-signed makes a certificate, and one is given",
        );
        check_wrong("--cert c --key k", "--cert is for tls:// addresses, and there is none");
        check_wrong(
            "-l tls://[::1]:0 --self-signed --design threads",
            "only the reactor serves tls://[::1]:0: the other designs are there to compare plain connections",
        );
        check_wrong("--self-signed", "--self-signed is for tls:// addresses, and there is none");
    }

    #[test]
    fn a_fixed_frame_is_within_the_limit_and_fits_its_service() {
        check_right("--framing fixed:1024 --frame-len-max 1KiB");
        check_wrong(
            "--framing fixed:1025 --frame-len-max 1KiB",
            "frames of --framing fixed:1025 are longer than --frame-len-max 1KiB",
        );
        check_right("--service chargen --framing fixed:72");
        check_wrong(
            "--service chargen --framing fixed:64",
            "the lines of chargen have 72 characters and do not fit --framing fixed:64",
        );
    }

    #[test]
    fn datagrams_have_no_crowd_and_no_longer_answers() {
        check_right("-l udp://127.0.0.1:0 --multicast 239.1.1.1 --multicast ff02::1234");
        check_wrong(
            "--multicast 239.1.1.1",
            "--multicast 239.1.1.1 is for datagrams, and no --listen address takes them",
        );
        check_wrong(
            "-l udp://127.0.0.1:1 --service chat",
            "chat needs connections, which udp://127.0.0.1:1 has none of",
        );
        check_wrong(
            "-l udp://127.0.0.1:1 --prefix a",
            "with a --prefix an answer at udp://127.0.0.1:1 would be longer than its question, and those are not sent",
        );
    }

    #[test]
    fn a_prefix_needs_frames_that_can_grow() {
        check_right("--prefix a");
        check_right("--prefix a --framing lines");
        check_right("--prefix a --framing length:u16");
        check_right("--prefix a --service chat");
        check_right("--prefix= --framing raw");
        let message =
            |name: &str| format!("--prefix needs frames that can grow, which those of --framing {name} cannot");
        check_wrong("--prefix a --framing raw", &message("raw"));
        check_wrong("--prefix a --framing fixed:8", &message("fixed:8"));
        check_wrong(
            "--prefix a --service discard",
            "--prefix is for what peers sent, which this service does not send on",
        );
        check_wrong(&format!("--prefix {}", "a".repeat(4089)), "the --prefix has 4089 bytes");
    }

    #[test]
    fn a_design_with_threads_serves_connections_one_by_one() {
        check_right("--design pool");
        check_right("--design pool --workers 4");
        check_right("--design threads --service chargen");
        check_right("--design reactor --service chat");
        check_wrong("--workers 4", "--workers is how many threads a pool has");
        check_wrong("--design threads --workers 4", "--workers is how many threads a pool has");
        check_wrong(
            "--design iterative --service chat",
            "chat needs a design in which peers reach each other, which only the reactor is",
        );
        check_wrong(
            "--design pool -l 127.0.0.1:0 -l udp://127.0.0.1:7007",
            "only the reactor serves udp://127.0.0.1:7007: the other designs are there to compare plain connections",
        );
    }
}
