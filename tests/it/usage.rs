//! Errors of `serve`: wrong arguments, wrong files and failed system calls, each with one error line,
//! one hint and its exit status.

use std::time::Duration;

use crate::support::{Ended, ScratchPath, Serve, Server, TIMEOUT, exchange, has_ipv6, wait_until};

const FAILURE: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

/// Checks for exit status `code`, one error line with all `parts`, and a hint.
#[track_caller]
fn check_error(ended: &Ended, code: Option<i32>, parts: &[&str]) {
    let text = ended.log_text();
    assert_eq!(ended.code, code, "{text}");
    let errors: Vec<_> = ended.log.iter().filter(|line| line.starts_with("readyloop: error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for part in parts {
        assert!(errors[0].contains(part), "no `{part}` in: {}", errors[0]);
    }
    assert!(ended.log.iter().any(|line| line.starts_with("hint: ")), "{text}");
    assert_eq!(ended.out, Vec::<String>::new());
}

#[test]
fn no_argument_prints_the_help_on_standard_error() {
    let ended = Serve::command("").run();
    assert_eq!((ended.code, ended.out.len()), (USAGE, 0));
    let log = ended.log_text();
    assert!(log.contains("Usage: readyloop") && log.contains("serve"), "{log}");
}

#[test]
fn help_goes_to_standard_output() {
    for (subcommand, flags) in [
        ("serve", "--max-connections ENVIRONMENT"),
        ("cert", "--valid-for"),
        ("client", "ENVIRONMENT --connect-timeout --retries --hex --framing"),
    ] {
        let ended = Serve::command(&format!("{subcommand} --help")).run();
        assert_eq!((ended.code, ended.log_text()), (Some(0), String::new()));
        let help = ended.out.join("\n");
        for part in ["EXAMPLES", "EXIT STATUS"].into_iter().chain(flags.split(' ')) {
            assert!(help.contains(part), "no {part} in the help of {subcommand}");
        }
    }
    assert_eq!(Serve::command("--version").run().code, Some(0));
}

#[test]
fn a_full_disk_is_an_error_for_every_output() {
    for words in ["--help", "--version", "serve --help", "cert --help", "sim --seed 1", "serve -l 127.0.0.1:0"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = Serve::command(words).stdout(full.into()).run();
        check_error(&ended, FAILURE, &["cannot write to standard output", "os error 28"]);
    }
}

/// The flags of `serve` that have a variable, without dashes.
fn flags_of_serve() -> Vec<String> {
    let help = Serve::command("serve --help").run().out;
    let flag = |line: &String| {
        let (_, rest) = line.trim_start().strip_prefix('-').and(line.split_once("--"))?;
        let flag = rest.split(|sign: char| !(sign.is_ascii_lowercase() || sign == '-')).next()?;
        (line.len() - line.trim_start().len() < 8 && flag != "help").then(|| flag.to_owned())
    };
    help.iter().filter_map(flag).collect()
}

#[test]
fn every_flag_is_a_variable_and_its_error_names_it() {
    let flags = flags_of_serve();
    assert!(flags.len() > 30, "{flags:?}");
    for flag in flags {
        let variable = format!("READYLOOP_{}", flag.replace('-', "_").to_uppercase());
        // A file that does not exist, a needed tls:// address, or a needed framing.
        let parts: &[&str] = match flag.as_str() {
            "config" | "ready-file" | "record" => &["no such file"],
            "cert" | "key" | "client-ca" | "alpn" => &["needs a tls:// address"],
            "prefix" => continue,
            _ => &[&variable, "\u{1f41f}"],
        };
        check_error(&Serve::bare().env(&variable, "/none/\u{1f41f}").run(), USAGE, parts);
    }
    let ended = Serve::new().env("READYLOOP_IDEL_TIMEOUT", "5s").run();
    check_error(&ended, USAGE, &["unknown variable `READYLOOP_IDEL_TIMEOUT`"]);
    assert!(ended.log_text().contains("READYLOOP_IDLE_TIMEOUT"), "{}", ended.log_text());
}

#[test]
fn a_ready_file_belongs_to_one_running_server() {
    let ready = ScratchPath::new("ready");
    let serve = || Serve::new().with("--ready-file").arg(ready.text());
    let first = serve().start();
    wait_until(TIMEOUT, "the ready file exists", || std::fs::exists(ready.text()).unwrap());
    let ended = serve().run();
    check_error(&ended, FAILURE, &["belongs to a running server"]);
    let text = std::fs::read_to_string(ready.text()).unwrap();
    assert_eq!(text, format!("listening on tcp://{}\n", first.address()));
    first.signal("KILL");
    first.wait(TIMEOUT);
    // What a killed server has left is replaced.
    serve().start().drain();
    assert!(!std::fs::exists(ready.text()).unwrap());
}

#[test]
fn each_mistake_in_an_address_has_its_own_message() {
    for (address, part) in [
        ("127.0.0.1:65536", "port 65536 is too large"),
        ("127.0.0.1:http", "`http` is not a port"),
        ("127.0.0.1:+7107", "`+7107` is not a port"),
        ("127.0.0.1:7007/", "has a `/` in it"),
        ("", "the address is empty"),
        ("[fe80::1%]:7007", "is not an IPv6 address in brackets"),
        ("unix:@", "needs a path"),
    ] {
        check_error(&Serve::bare().listen(address).run(), USAGE, &[part]);
    }
    check_error(&Serve::bare().listen("127.0.0.1:7").listen("127.0.0.1:7").run(), USAGE, &["two listeners"]);
    check_error(
        &Serve::bare().with("-l tls://127.0.0.1:0 --self-signed --alpn").arg("").run(),
        USAGE,
        &["1 to 255 bytes"],
    );
    check_file_error("listen = []\n", &[":1", "listen is empty"]);
}

#[test]
#[cfg(target_os = "linux")]
fn an_abstract_name_and_a_zone_are_addresses() {
    let name = format!("unix:@readyloop-it-{}", std::process::id());
    let server = Serve::bare().listen(&name).start();
    assert_eq!(server.addresses, [name.as_str()]);
    let client = Serve::command("client").arg(&name).run();
    assert_eq!((client.code, client.log_text()), (Some(0), String::new()));
    server.drain();
    if has_ipv6() {
        let server = Serve::bare().listen("[::1%1]:0").start();
        assert!(server.addresses[0].starts_with("tcp://[::1"), "{:?}", server.addresses);
        server.drain();
    }
}

#[test]
fn an_error_names_the_wrong_argument_or_variable() {
    let ended = Serve::new().with("--fast").run();
    check_error(&ended, USAGE, &["--fast"]);
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    check_error(&Serve::command("sreve").run(), USAGE, &["sreve"]);
    check_error(&Serve::new().with("--service ehco").run(), USAGE, &["ehco", "--service"]);
    check_error(&Serve::new().with("--framing fixed:0").run(), USAGE, &["fixed:0", "--framing"]);
    check_error(&Serve::bare().listen("localhost").run(), USAGE, &["localhost"]);
    check_error(&Serve::bare().listen("http://localhost:80").run(), USAGE, &["http"]);
    check_error(&Serve::bare().listen("unix:").run(), USAGE, &["unix:"]);
    check_error(&Serve::new().with("--when-full panic").run(), USAGE, &["panic"]);
    check_error(&Serve::new().with("--queue-low 2MiB --queue-high 1MiB").run(), USAGE, &["queue-low", "queue-high"]);
    check_error(&Serve::new().with("--config /no/such/file.toml").run(), USAGE, &["/no/such/file.toml"]);
    check_error(&Serve::new().env("READYLOOP_IDLE_TIMEOUT", "soon").run(), USAGE, &["READYLOOP_IDLE_TIMEOUT", "soon"]);
    // Numbers with a wrong unit.
    check_error(&Serve::new().with("--idle-timeout 5").run(), USAGE, &["5", "--idle-timeout", "unit"]);
    check_error(&Serve::new().with("--idle-timeout 5parsecs").run(), USAGE, &["5parsecs"]);
    check_error(&Serve::new().with("--queue-high 64k").run(), USAGE, &["64k", "--queue-high"]);
    check_error(&Serve::new().with("--max-connections 1KiB").run(), USAGE, &["1KiB"]);
    check_error(&Serve::new().with("--max-connections 0").run(), USAGE, &["0"]);
    check_error(&Serve::new().with("--keepalive 60s").run(), USAGE, &["60s", "--keepalive"]);
}

#[test]
fn every_unit_is_accepted() {
    Serve::new()
        .with("--max-connections 10 --max-connections-per-ip 1k --backlog 128 --frame-len-max 64B --queue-low 4KiB")
        .with("--queue-high 1MiB --queue-total-max 64MB --idle-timeout 500ms --frame-timeout 2s --write-timeout 1m")
        .with("--linger-timeout never")
        .start()
        .drain();
}

#[test]
fn a_unix_path_in_use_stays_with_its_server() {
    let path = ScratchPath::new("sock");
    let address = format!("unix:{}", path.text());
    let server = Serve::bare().listen(&address).start();
    check_error(&Serve::bare().listen(&address).run(), FAILURE, &["cannot listen on", path.text()]);
    assert!(std::fs::exists(path.text()).unwrap(), "the second server removed the path of the first");
    server.drain();
    let file = ScratchPath::with_text("sock", "not a socket\n");
    check_error(&Serve::bare().listen(&format!("unix:{}", file.text())).run(), FAILURE, &[file.text()]);
    assert_eq!(std::fs::read_to_string(file.text()).unwrap(), "not a socket\n");
}

#[test]
fn an_error_names_the_address_that_cannot_be_bound_and_missing_descriptors() {
    let server = Serve::new().start();
    let address = server.address().to_string();
    let ended = Serve::bare().listen(&address).run();
    check_error(&ended, FAILURE, &["cannot listen on", &address, "address in use", "os error 98"]);
    server.drain();
    check_error(&Serve::bare().listen("192.0.2.1:0").run(), FAILURE, &["192.0.2.1:0"]);
    check_error(&Serve::bare().listen("unix:/no/such/directory/socket").run(), FAILURE, &["/no/such/directory/socket"]);
    check_error(&Serve::bare().listen("name.invalid:0").run(), FAILURE, &["name.invalid"]);
    // Enough descriptors to start the program, too few for the poll, its waker and signals.
    check_error(&Serve::new().descriptors(5).run(), FAILURE, &["os error 24"]);
}

#[track_caller]
fn check_file_error(text: &str, parts: &[&str]) {
    let file = ScratchPath::with_text("toml", text);
    check_error(&Serve::new().with("--config").arg(file.text()).run(), USAGE, parts);
}

#[test]
fn an_error_names_the_line_of_the_file() {
    check_file_error("# limits\nidle-timeout = \"5s\"\nidle-timout = \"5s\"\n", &[":3", "idle-timout"]);
    check_file_error("prefix = \"a\"\n\nqueue-high = \"lots\"\n", &[":3", "lots"]);
    check_file_error("prefix = \"a\"\nprefix = \n", &[":2"]);
    check_file_error("service = 5\n", &[":1", "service"]);
    check_file_error("[limits]\n", &[":1", "limits"]);
}

#[track_caller]
fn echoes_with(server: Server, prefix: &str) {
    let (answer, _) = exchange(&mut server.connect(), b"word\n", 5);
    assert_eq!(String::from_utf8_lossy(&answer), format!("{prefix}word\n"));
    server.drain();
}

#[test]
fn a_flag_overrides_the_environment_and_the_environment_the_file() {
    let file = ScratchPath::with_text("toml", "framing = \"lines\"\nprefix = \"file \"\n");
    let serve = || Serve::new().with("--config").arg(file.text());
    echoes_with(serve().start(), "file ");
    echoes_with(serve().env("READYLOOP_PREFIX", "environment ").start(), "environment ");
    let flagged = serve().env("READYLOOP_PREFIX", "environment ").with("--prefix").arg("flag ");
    echoes_with(flagged.start(), "flag ");
    let from_environment = Serve::new().env("READYLOOP_CONFIG", file.text());
    echoes_with(from_environment.start(), "file ");
}

#[test]
fn a_file_and_the_environment_can_set_the_addresses() {
    let file = ScratchPath::with_text("toml", "listen = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\n");
    let server = Serve::bare().with("--config").arg(file.text()).expect_listeners(2).start();
    assert!(server.addresses[1].starts_with("tcp://127.0.0.2:"));
    server.drain();
    Serve::bare().env("READYLOOP_LISTEN", "127.0.0.1:0").expect_listeners(1).start().drain();
}
