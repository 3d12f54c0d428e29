//! Finds settings that contradict each other, before any listener is bound.
//!
//! The value of a single setting is checked by the parser of its flag.

use std::fs;
use std::path::{Path, PathBuf};

use readyloop::connection::ENVELOPE_LEN_MAX;
use readyloop::{Address, Framing};

use crate::cli_error::CliError;
use crate::output_file;
use crate::units::print_size;

use super::settings::{Service, Settings};
use super::threads::Design;
use super::{admin, recording};

/// The longest prefix, in bytes. The rest of an envelope is the length of a frame, at most 8 bytes.
const PREFIX_LEN_MAX: usize = ENVELOPE_LEN_MAX - 8;

/// The most listeners of a server.
const LISTENERS_MAX: usize = 255;

/// The length of a line of chargen, without its end.
const CHARGEN_LEN: usize = 72;

/// Checks the settings against each other.
///
/// # Errors
/// The first contradiction.
pub(super) fn check(settings: &Settings) -> Result<(), CliError> {
    check_addresses(settings)?;
    admin::check(settings)?;
    recording::check(settings)?;
    check_ready_file(settings)?;
    check_queues(settings)?;
    check_tls(settings)?;
    check_proxy(settings)?;
    check_framing(settings)?;
    check_prefix(settings)?;
    check_datagrams(settings)?;
    check_design(settings)
}

/// A rule: the condition under which it is broken, with the message and the hint.
fn refuse_if(is_broken: bool, message: impl Into<String>, hint: impl Into<String>) -> Result<(), CliError> {
    if is_broken { Err(CliError::usage(message, hint)) } else { Ok(()) }
}

fn check_addresses(settings: &Settings) -> Result<(), CliError> {
    let listen = &settings.endpoints.listen;
    refuse_if(
        listen.len() > LISTENERS_MAX,
        format!("{} addresses are too many: at most {LISTENERS_MAX}", listen.len()),
        "start another process for the rest",
    )?;
    let all: Vec<&Address> = listen.iter().chain(&settings.admin).collect();
    for (index, address) in all.iter().enumerate() {
        refuse_if(
            all[..index].iter().any(|other| collide(address, other, settings.sockets.reuse_port)),
            format!("{address} is the address of two listeners"),
            "type each --listen address once, or port 0 for any free port",
        )?;
    }
    Ok(())
}

/// Whether the kernel refuses to bind both addresses.
fn collide(address: &Address, other: &Address, reuse_port: bool) -> bool {
    match (address, other) {
        (Address::Tcp(host_port) | Address::Tls(host_port), Address::Tcp(other) | Address::Tls(other))
        | (Address::Udp(host_port), Address::Udp(other)) => {
            host_port == other && !reuse_port && !host_port.ends_with(":0")
        }
        (Address::Unix(path), Address::Unix(other)) => path == other,
        (_, _) => false,
    }
}

/// A ready file at the path of a socket would replace it.
fn check_ready_file(settings: &Settings) -> Result<(), CliError> {
    let Some(ready_file) = &settings.output.ready_file else { return Ok(()) };
    let is_same = |address: &&Address| matches!(address, Address::Unix(path) if whole(path) == whole(ready_file));
    if let Some(address) = settings.endpoints.listen.iter().chain(&settings.admin).find(is_same) {
        return Err(CliError::usage(
            format!("--ready-file {} is the path of {address}", ready_file.display()),
            "type another path for the ready file",
        ));
    }
    output_file::check([("--ready-file", ready_file.as_path())])
}

/// The path with its directory in one form, or as it is if the directory does not exist.
fn whole(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let directory = absolute.parent().and_then(|parent| fs::canonicalize(parent).ok());
    directory.zip(path.file_name()).map_or(absolute, |(directory, name)| directory.join(name))
}

fn check_queues(settings: &Settings) -> Result<(), CliError> {
    let (peer, total) = (&settings.peer, settings.total.queue_total_max);
    let (low, high) = (peer.queue_low, peer.queue_high);
    refuse_if(
        low >= high,
        format!("--queue-low {} must be less than --queue-high {}", print_size(low), print_size(high)),
        format!("type --queue-low {}, a quarter of --queue-high", print_size(high / 4)),
    )?;
    // Checked arithmetic, because each limit may be as large as a `usize`.
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
            "the sum of --queue-high and --frame-len-max is too large",
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
    let Some(address) = served else {
        return match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => {
                Err(CliError::usage(format!("{flag} needs a tls:// address"), "add --listen tls://127.0.0.1:7443"))
            }
            None => Ok(()),
        };
    };
    match (&tls.cert, &tls.key, tls.self_signed) {
        (Some(_), Some(_), false) | (None, None, true) => Ok(()),
        (None, None, false) => Err(CliError::usage(
            format!("{address} needs a certificate"),
            "add --cert FILE --key FILE, which `readyloop cert` makes for development, or --self-signed for tests",
        )),
        (Some(_), None, false) => {
            Err(CliError::usage("--cert needs the private key of the certificate", "add --key FILE"))
        }
        (None, Some(_), false) => Err(CliError::usage("--key needs the certificate for the key", "add --cert FILE")),
        (_, _, true) => Err(CliError::usage(
            "--self-signed cannot be used with --cert or --key",
            "remove --self-signed, or --cert and --key",
        )),
    }
}

fn check_proxy(settings: &Settings) -> Result<(), CliError> {
    let is_on = settings.proxy.proxy_protocol;
    refuse_if(
        !is_on && !settings.proxy.proxy_from.is_empty(),
        "--proxy-from needs --proxy-protocol",
        "add --proxy-protocol, or remove --proxy-from",
    )?;
    let is_datagram = |address: &&Address| matches!(address, Address::Udp(_));
    let hint = "start another process for the udp:// address";
    match settings.endpoints.listen.iter().find(is_datagram).filter(|_| is_on) {
        Some(address) => Err(CliError::usage(format!("--proxy-protocol cannot be used with {address}"), hint)),
        None => Ok(()),
    }
}

fn check_framing(settings: &Settings) -> Result<(), CliError> {
    let Framing::Fixed(fixed) = settings.framing() else { return Ok(()) };
    let (len, len_max) = (fixed.len(), settings.peer.frame_len_max);
    refuse_if(
        len > len_max,
        format!("--framing fixed:{len} exceeds --frame-len-max {}", print_size(len_max)),
        format!("type --frame-len-max {}", print_size(len)),
    )?;
    refuse_if(
        settings.endpoints.service == Service::Chargen && len != CHARGEN_LEN,
        format!("lines of chargen have {CHARGEN_LEN} characters, which --framing fixed:{len} cannot carry"),
        "type --framing raw, lines or length",
    )
}

fn check_prefix(settings: &Settings) -> Result<(), CliError> {
    let Some(prefix) = settings.prefix() else { return Ok(()) };
    refuse_if(
        matches!(settings.endpoints.service, Service::Discard | Service::Chargen),
        "--prefix needs a service that sends frames of peers: echo or chat",
        "remove --prefix, or type --service echo",
    )?;
    refuse_if(
        prefix.len() > PREFIX_LEN_MAX,
        format!("--prefix is {} bytes long", prefix.len()),
        format!("type a prefix of at most {PREFIX_LEN_MAX} bytes"),
    )?;
    match settings.framing() {
        Framing::Lines(_) if prefix.contains('\n') => Err(CliError::usage(
            "with --framing lines, --prefix cannot contain a line feed",
            "remove the line feed, or type --framing length",
        )),
        Framing::Lines(_) | Framing::Length(_) => Ok(()),
        framing @ (Framing::Raw(_) | Framing::Fixed(_)) => Err(CliError::usage(
            format!("--prefix cannot be used with --framing {framing}: its frames cannot grow"),
            "type --framing lines or --framing length",
        )),
    }
}

fn check_datagrams(settings: &Settings) -> Result<(), CliError> {
    let groups = &settings.datagrams.multicast;
    let Some(address) = settings.endpoints.listen.iter().find(|address| matches!(address, Address::Udp(_))) else {
        return match groups.first() {
            Some(group) => Err(CliError::usage(
                format!("--multicast {group} needs a udp:// address"),
                "add --listen udp://0.0.0.0:7007",
            )),
            None => Ok(()),
        };
    };
    refuse_if(
        settings.endpoints.service == Service::Chat,
        format!("chat needs connections, and {address} has none"),
        "type a tcp:// address, or --service echo",
    )?;
    refuse_if(
        settings.prefix().is_some(),
        format!("--prefix cannot be used with {address}: a reply must not be longer than its request"),
        "remove --prefix, or type a tcp:// address",
    )
}

fn check_design(settings: &Settings) -> Result<(), CliError> {
    settings.threads.check()?;
    if settings.threads.design == Design::Reactor {
        return Ok(());
    }
    refuse_if(
        settings.endpoints.service == Service::Chat,
        "chat needs --design reactor: peers of other designs cannot send to each other",
        "remove --design, or type --service echo",
    )?;
    refuse_if(
        settings.proxy.proxy_protocol,
        "--proxy-protocol needs --design reactor",
        "remove --design, or --proxy-protocol",
    )?;
    refuse_if(settings.faults.plan.is_some(), "--faults needs --design reactor", "remove --design, or --faults")?;
    let needs_reactor = |address: &&Address| matches!(address, Address::Udp(_) | Address::Tls(_));
    match settings.endpoints.listen.iter().find(needs_reactor) {
        Some(address) => Err(CliError::usage(
            format!("{address} needs --design reactor: other designs serve plain connections only"),
            "remove --design, or type a tcp:// address",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn checked(arguments: &str) -> Result<(), CliError> {
        let arguments = std::iter::once("serve").chain(arguments.split_whitespace());
        let matches = Settings::augment_args(Command::new("serve")).get_matches_from(arguments);
        check(&Settings::from_arg_matches(&matches).unwrap())
    }

    #[track_caller]
    fn check_valid(arguments: &str) {
        assert_eq!(checked(arguments), Ok(()), "{arguments}");
    }

    #[track_caller]
    fn check_invalid(arguments: &str, message: &str) {
        assert_eq!(checked(arguments).map_err(|error| error.message), Err(message.to_owned()));
    }

    #[test]
    fn each_address_is_bound_once() {
        check_valid("-l 127.0.0.1:0,127.0.0.1:0 -l udp://127.0.0.1:1 -l tcp://127.0.0.1:1 -l unix:/a -l unix:/b");
        check_valid("-l 127.0.0.1:1,127.0.0.1:1 --reuse-port");
        check_invalid("-l 127.0.0.1:1 -l tcp://127.0.0.1:1", "tcp://127.0.0.1:1 is the address of two listeners");
        check_invalid(
            "-l 127.0.0.1:1,tls://127.0.0.1:1 --self-signed",
            "tls://127.0.0.1:1 is the address of two listeners",
        );
        check_invalid("-l unix:/a,unix:/a --reuse-port", "unix:/a is the address of two listeners");
        let many = |count: usize| format!("-l {}", vec!["a:0"; count].join(","));
        check_valid(&many(255));
        check_invalid(&many(256), "256 addresses are too many: at most 255");
    }

    #[test]
    fn a_ready_file_is_not_a_socket_and_its_directory_exists() {
        check_valid("-l unix:/tmp/a --ready-file /tmp/b");
        check_invalid("-l unix:/tmp/a --ready-file /tmp/a", "--ready-file /tmp/a is the path of unix:/tmp/a");
        let dotted = "--ready-file /tmp/./a is the path of unix:/tmp/a";
        check_invalid("-l unix:/tmp/a --ready-file /tmp/./a", dotted);
        check_invalid("--ready-file /tmp", "cannot write --ready-file /tmp: it is a directory");
    }

    #[test]
    fn queue_limits_are_consistent() {
        check_valid("");
        check_valid("--queue-low 0 --queue-high 1");
        check_invalid("--queue-low 128KiB", "--queue-low 128KiB must be less than --queue-high 128KiB");
        check_invalid("--queue-high 1000", "--queue-low 32KiB must be less than --queue-high 1000B");
        check_invalid(
            "--queue-total-max 1MiB --frame-len-max 1MiB",
            "one peer may need 2696KiB, more than --queue-total-max 1MiB",
        );
        check_invalid("--queue-high 18446744073709551615", "the sum of --queue-high and --frame-len-max is too large");
    }

    #[test]
    fn a_certificate_needs_its_key_and_a_tls_address() {
        check_valid("-l tls://[::1]:0 --cert c --key k --client-ca a --alpn echo/1");
        check_valid("-l tls://[::1]:0 --self-signed");
        check_invalid("-l tls://[::1]:0", "tls://[::1]:0 needs a certificate");
        check_invalid("-l tls://[::1]:0 --alpn echo/1", "tls://[::1]:0 needs a certificate");
        check_invalid("-l tls://[::1]:0 --cert c", "--cert needs the private key of the certificate");
        check_invalid("-l tls://[::1]:0 --key k", "--key needs the certificate for the key");
        check_invalid(
            "-l tls://[::1]:0 --self-signed --cert c --key k",
            "--self-signed cannot be used with --cert or --key",
        );
        check_invalid("--cert c --key k", "--cert needs a tls:// address");
        check_invalid(
            "-l tls://[::1]:0 --self-signed --design threads",
            "tls://[::1]:0 needs --design reactor: other designs serve plain connections only",
        );
        check_invalid("--self-signed", "--self-signed needs a tls:// address");
    }

    #[test]
    fn a_fixed_frame_fits_the_limit_and_the_service() {
        check_valid("--framing fixed:1024 --frame-len-max 1KiB");
        check_invalid("--framing fixed:1025 --frame-len-max 1KiB", "--framing fixed:1025 exceeds --frame-len-max 1KiB");
        check_valid("--service chargen --framing fixed:72");
        check_invalid(
            "--service chargen --framing fixed:64",
            "lines of chargen have 72 characters, which --framing fixed:64 cannot carry",
        );
    }

    #[test]
    fn datagrams_need_a_service_without_chat_and_prefix() {
        check_valid("-l udp://127.0.0.1:0 --multicast 239.1.1.1 --multicast ff02::1234");
        check_invalid("--multicast 239.1.1.1", "--multicast 239.1.1.1 needs a udp:// address");
        check_invalid("-l udp://127.0.0.1:1 --service chat", "chat needs connections, and udp://127.0.0.1:1 has none");
        check_invalid(
            "-l udp://127.0.0.1:1 --prefix a",
            "--prefix cannot be used with udp://127.0.0.1:1: a reply must not be longer than its request",
        );
    }

    #[test]
    fn a_prefix_needs_frames_that_can_grow() {
        check_valid("--prefix a");
        check_valid("--prefix a --framing lines");
        check_valid("--prefix a --framing length:u16");
        check_valid("--prefix a --service chat");
        check_valid("--prefix= --framing raw");
        let message = |name: &str| format!("--prefix cannot be used with --framing {name}: its frames cannot grow");
        check_invalid("--prefix a --framing raw", &message("raw"));
        check_invalid("--prefix a --framing fixed:8", &message("fixed:8"));
        check_invalid(
            "--prefix a --service discard",
            "--prefix needs a service that sends frames of peers: echo or chat",
        );
        check_invalid(&format!("--prefix {}", "a".repeat(4089)), "--prefix is 4089 bytes long");
    }

    #[test]
    fn blocking_designs_serve_plain_connections_only() {
        check_valid("--design pool");
        check_valid("--design pool --workers 4");
        check_valid("--design threads --service chargen");
        check_valid("--design reactor --service chat");
        check_invalid("--workers 4", "--workers needs --design pool");
        check_invalid("--design threads --workers 4", "--workers needs --design pool");
        check_invalid(
            "--design iterative --service chat",
            "chat needs --design reactor: peers of other designs cannot send to each other",
        );
        check_invalid(
            "--design pool -l 127.0.0.1:0 -l udp://127.0.0.1:7007",
            "udp://127.0.0.1:7007 needs --design reactor: other designs serve plain connections only",
        );
    }
}
