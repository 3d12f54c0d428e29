//! The commands around a server: `doctor`, `man`, `completions`, and its log as JSON.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Duplex as _, ScratchPath, Serve, read_to_the_end};

#[test]
fn doctor_says_whether_the_connections_fit() {
    let ended = Serve::command("doctor -c 10").run();
    assert_eq!(ended.code, Some(0), "{:?} {}", ended.out, ended.log_text());
    assert!(ended.out.iter().any(|line| line.starts_with("ok       descriptors ")), "{:?}", ended.out);
    let ended = Serve::command("doctor -c 1G").run();
    assert_eq!(ended.code, Some(1), "{:?}", ended.out);
    assert!(ended.log_text().contains("end first"), "{}", ended.log_text());
    let ended = Serve::command("doctor").descriptors(100).run();
    assert_eq!(ended.code, Some(0));
    let holds = "one server on this machine holds 67 connections; descriptors end first";
    assert_eq!(ended.out.last().map(String::as_str), Some(holds));
}

#[test]
fn warnings_of_serve_refer_to_doctor() {
    let server = Serve::new().with("--max-connections 5k").descriptors(100).start();
    server.logs("raise the limit with `ulimit -n 5033`, or see `readyloop doctor`");
    server.drain();
}

/// The names of the subcommands in the help.
fn subcommands() -> Vec<String> {
    let help = Serve::command("--help").run().out;
    let lines = help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[test]
fn each_subcommand_has_a_manual_page_with_all_its_flags() {
    let folder = ScratchPath::directory("man");
    let ended = Serve::command("man --directory").arg(folder.text()).run();
    assert_eq!(ended.code, Some(0), "{}", ended.log_text());
    let subcommands = subcommands();
    assert!(subcommands.len() > 8, "{subcommands:?}");
    for name in &subcommands {
        let page = std::fs::read_to_string(format!("{}/readyloop-{name}.1", folder.text())).expect("it is written");
        let help = Serve::command(&format!("{name} --help")).run().out;
        let flags = help.iter().map(|line| line.trim_start()).filter(|line| line.starts_with('-'));
        let flags = flags.filter_map(|line| line.split([' ', '=', '[']).find(|word| word.starts_with("--")));
        for flag in flags {
            assert!(page.contains(&flag.replace('-', "\\-")), "{flag} is not in the page of {name}");
        }
        assert!(page.contains("\n.SH EXAMPLES\n") && page.contains("\n.SH \"EXIT STATUS\"\n"), "{name}: {page}");
    }
    let printed = Serve::command("man serve").run();
    let written = std::fs::read_to_string(format!("{}/readyloop-serve.1", folder.text())).expect("it is written");
    assert_eq!(printed.out.join("\n") + "\n", written);
    // groff is part of nearly every Linux system, but not of all.
    if let Ok(mut groff) = Command::new("groff")
        .args(["-man", "-ww", "-Tutf8"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
    {
        groff.stdin.take().expect("it is a pipe").write_all(written.as_bytes()).expect("groff reads");
        let output = groff.wait_with_output().expect("groff ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let ended = Serve::command("man dance").run();
    assert_eq!((ended.code, ended.log_text().contains("there is no subcommand `dance`")), (Some(2), true));
    let ended = Serve::command("man --directory /nonexistent").run();
    assert_eq!(ended.code, Some(1), "{}", ended.log_text());
}

#[test]
fn a_shell_understands_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = Serve::command(&format!("completions {shell}")).run();
        assert_eq!(ended.code, Some(0), "{shell}");
        let script = ended.out.join("\n");
        for part in ["max-lifetime", "doctor", "completions"] {
            assert!(script.contains(part), "no {part} for {shell}");
        }
        assert!(!script.contains("supervise"), "{shell} completes a hidden subcommand");
        if shell == "bash" {
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("there is bash");
            bash.stdin.take().expect("it is a pipe").write_all(script.as_bytes()).expect("bash reads");
            assert!(bash.wait().expect("bash ends").success());
        }
    }
    assert_eq!(Serve::command("completions tcsh").run().code, Some(2));
}

#[test]
fn every_line_of_a_log_in_json_is_an_object() {
    let server = Serve::new().with("-v -v --log-format json --framing lines --frame-len-max 64").start();
    for bytes in [b"\x1b[2J\"quoted\"\n".as_slice(), &[0xff; 500], b"{\"level\":\"error\"}\n"] {
        let mut stream = server.connect();
        stream.write_all(bytes).expect("the server reads");
        stream.finish();
        read_to_the_end(&mut stream);
    }
    let ended = server.drain();
    assert!(ended.log.len() > 5, "{}", ended.log_text());
    let mut levels = Vec::new();
    for line in &ended.log {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let fields = ["time", "level", "target", "message"].map(|name| value[name].as_str());
        assert!(fields.iter().all(Option::is_some) && value.as_object().unwrap().len() == 4, "{line}");
        levels.push(fields[1].expect("it was just found").to_owned());
    }
    assert!(levels.iter().any(|level| level == "info") && levels.iter().any(|level| level == "debug"), "{levels:?}");
}
