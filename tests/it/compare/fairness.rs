//! TLS, several cores, and trials on a busy machine.

use std::process::{Child, Command, Stdio};
use std::thread::available_parallelism;

use super::*;

/// The JSON of a comparison that succeeds, and its text.
#[track_caller]
fn comparison(command: Serve) -> (Value, String) {
    let json = ScratchPath::new("json");
    let ended = run(command.arg("--json").arg(json.text()));
    let text = ended.out.join("\n");
    assert_eq!(ended.code, Some(0), "{text}\n{}", ended.log_text());
    let json = fs::read_to_string(json.text()).expect("the file was written");
    (serde_json::from_str(&json).expect("it is JSON"), text)
}

#[test]
fn servers_with_the_given_certificate_or_their_own_are_measured_over_tls() {
    let own = format!("own={} serve -l tls://127.0.0.1:0 --self-signed", binary());
    let given = format!("given=exec {} serve -l tls://127.0.0.1:{{port}} --cert {{cert}} --key {{key}} -q", binary());
    let (json, text) = comparison(with_peer(with_peer(compare("-c 2 --rounds 1 --tls"), &own), &given));
    let measured: Vec<_> = trials(&json).into_iter().map(|trial| (trial.0, trial.3.is_some())).collect();
    assert_eq!(measured, ["reactor", "own", "given"].map(|name| (name.to_owned(), true)), "{text}");
    for trial in json["trials"].as_array().expect("there are trials") {
        assert_eq!(trial["outcome"]["measured"]["config"]["transport"], "tls");
    }
    assert!(text.contains("\ntls, 64 B, closed loop"), "{text}");
    assert!(
        json["servers"][0]["command"].as_str().is_some_and(|command| command.contains("--cert {cert} --key {key}"))
    );
}

#[test]
fn a_server_without_tls_is_a_result() {
    let plain = format!("plain={} serve -l 127.0.0.1:0", binary());
    prints(with_peer(compare("-c 2 --rounds 1 --tls"), &plain), &["failed in 1 of 1 rounds: "], &[]);
}

#[test]
fn servers_and_generator_have_the_configured_number_of_cores() {
    if available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        crate::support::print_note("compare was NOT tested with two cores: there is one");
        return;
    }
    let (json, _) = comparison(compare("-c 4 --rounds 1 --designs reactor --threads 2 --server-cores 2"));
    let len = |name: &str| json["cores"][name].as_array().map(Vec::len);
    assert_eq!((len("server"), len("generator")), (Some(2), Some(2)));
    assert_eq!(json["trials"][0]["outcome"]["measured"]["config"]["threads"], 2);
    let (json, _) = comparison(compare("-c 4 --rounds 1 --designs reactor"));
    let [server, generator] = ["server", "generator"].map(|name| json["cores"][name].as_array().expect("cores"));
    assert_eq!((server.len(), generator.len()), (1, 1));
    assert_ne!(server, generator);
}

/// A process that uses a core until it is dropped.
struct BusyProcess(Child);

impl BusyProcess {
    fn start() -> Self {
        let child = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Self(child.expect("there is a shell"))
    }
}

impl Drop for BusyProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_trial_on_a_busy_machine_runs_again_and_is_marked() {
    let _busy = BusyProcess::start();
    let command = Serve::command("compare -d 700ms -w 50ms --no-calls -c 2 --rounds 2 --designs reactor");
    let (json, text) = comparison(command);
    let trials = json["trials"].as_array().expect("there are trials");
    assert_eq!(trials.len(), 2, "a second run replaces the first one");
    for trial in trials {
        assert_eq!(trial["is_repeated"], true, "{trial}");
    }
    assert!(text.contains("\n2 trials ran again, because other work used the cores of the machine."), "{text}");
    assert!(text.contains("reactor *") && text.contains("\nIn 2 trials, other work used"), "{text}");
}
