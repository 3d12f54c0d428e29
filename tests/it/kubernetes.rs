//! The manifests in `examples/kubernetes`: their fields, their times, and the command in them.
//!
//! The fields are compared with the list below, which was checked against the schemas of Kubernetes 1.37 by
//! `kubernetes-validate --strict`. If that program is found, it checks them again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Program, Serve, TIMEOUT, echoes, print_note};

/// Every field in use, without the indices of lists, and the kind of its value.
const FIELDS: &str = "
apiVersion text
kind text
metadata.name text
metadata.labels.app text
spec.replicas number
spec.maxUnavailable number
spec.selector.app text
spec.selector.matchLabels.app text
spec.strategy.type text
spec.strategy.rollingUpdate.maxUnavailable number
spec.strategy.rollingUpdate.maxSurge number
spec.ports.name text
spec.ports.port number
spec.ports.targetPort text
spec.template.metadata.labels.app text
spec.template.spec.terminationGracePeriodSeconds number
spec.template.spec.automountServiceAccountToken switch
spec.template.spec.securityContext.runAsNonRoot switch
spec.template.spec.securityContext.runAsUser number
spec.template.spec.securityContext.seccompProfile.type text
spec.template.spec.containers.name text
spec.template.spec.containers.image text
spec.template.spec.containers.command text
spec.template.spec.containers.ports.name text
spec.template.spec.containers.ports.containerPort number
spec.template.spec.containers.readinessProbe.tcpSocket.port text
spec.template.spec.containers.readinessProbe.periodSeconds number
spec.template.spec.containers.readinessProbe.failureThreshold number
spec.template.spec.containers.livenessProbe.exec.command text
spec.template.spec.containers.livenessProbe.periodSeconds number
spec.template.spec.containers.livenessProbe.timeoutSeconds number
spec.template.spec.containers.livenessProbe.failureThreshold number
spec.template.spec.containers.resources.requests.cpu text
spec.template.spec.containers.resources.requests.memory text
spec.template.spec.containers.resources.limits.memory text
spec.template.spec.containers.securityContext.allowPrivilegeEscalation switch
spec.template.spec.containers.securityContext.readOnlyRootFilesystem switch
spec.template.spec.containers.securityContext.capabilities.drop text
";

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes/readyloop.yaml");
    fs::read_to_string(path).expect("the example exists")
}

/// The values of a manifest with their paths. It reads only block mappings and block lists, as in the example.
fn fields_of(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    // The keys that lead to a line, each with its indentation.
    let mut keys: Vec<(usize, &str)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let trimmed = line.trim_start();
        let content = trimmed.strip_prefix("- ").unwrap_or(trimmed);
        let indent = line.len() - content.len();
        let is_item = content != trimmed;
        let is_inside = |key: &(usize, &str)| key.0 < indent - if is_item { 1 } else { 0 };
        keys.retain(is_inside);
        let path = |keys: &[(usize, &str)]| keys.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
        match content.split_once(": ").or_else(|| content.strip_suffix(':').map(|key| (key, ""))) {
            Some((key, "")) => keys.push((indent, key)),
            Some((key, value)) => fields.push((path(&[&keys[..], &[(indent, key)]].concat()), value.to_owned())),
            None => fields.push((path(&keys), content.to_owned())),
        }
    }
    fields
}

fn documents() -> Vec<Vec<(String, String)>> {
    manifest().split("---\n").map(fields_of).collect()
}

/// The values at a path of the deployment.
fn values(path: &str) -> Vec<String> {
    let deployment = documents().swap_remove(0);
    deployment.into_iter().filter(|(it, _)| it == path).map(|(_, value)| value).collect()
}

/// The unknown fields of a document, and those with a value of the wrong kind.
fn wrong_fields(fields: &[(String, String)]) -> Vec<String> {
    let known: Vec<(&str, &str)> = FIELDS.lines().filter_map(|line| line.split_once(' ')).collect();
    let is_right = |(path, value): &&(String, String)| {
        let kind = match value.as_str() {
            "true" | "false" => "switch",
            number if number.parse::<u64>().is_ok() => "number",
            _ => "text",
        };
        known.contains(&(path, kind))
    };
    fields.iter().filter(|field| !is_right(field)).map(|(path, value)| format!("{path}: {value}")).collect()
}

#[test]
fn the_manifests_have_only_known_fields() {
    let documents = documents();
    let kinds: Vec<&str> = documents.iter().map(|fields| fields[1].1.as_str()).collect();
    assert_eq!(kinds, ["Deployment", "Service", "PodDisruptionBudget"]);
    for fields in &documents {
        assert_eq!(wrong_fields(fields), [""; 0]);
    }
    assert_eq!(wrong_fields(&fields_of("spec:\n  replica: 2")), ["spec.replica: 2"]);
    assert_eq!(wrong_fields(&fields_of("spec:\n  replicas: two")), ["spec.replicas: two"]);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes/readyloop.yaml");
    match Command::new("kubernetes-validate").arg("--strict").arg(path).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => print_note("kubernetes-validate is not installed: only the list of fields in the test was used"),
    }
}

/// The command of the container.
fn command() -> Vec<String> {
    values("spec.template.spec.containers.command")
}

#[test]
fn kubernetes_waits_longer_than_all_stages_of_the_shutdown() {
    let flag = |name: &str| {
        let command = command();
        let value = command.iter().find_map(|word| word.strip_prefix(name)).expect("the flag is given").to_owned();
        let (number, unit) = value.split_at(value.len() - 1);
        let seconds = if unit == "m" { 60 } else { 1 };
        seconds * number.parse::<u64>().expect("a number")
    };
    let stages = ["--shutdown-delay=", "--lame-duck-timeout=", "--drain-timeout="].map(flag);
    let grace = &values("spec.template.spec.terminationGracePeriodSeconds")[0];
    assert!(stages.iter().sum::<u64>() < grace.parse().expect("a number"), "{stages:?}, {grace}");
}

#[test]
fn the_command_of_the_container_serves_and_its_liveness_probe_succeeds() {
    let free = |word: &String| word.replace("0.0.0.0:7007", "127.0.0.1:0").replace("127.0.0.1:9007", "127.0.0.1:0");
    let words: Vec<String> = command().iter().map(free).collect();
    assert_eq!(words[0], "readyloop");
    let serve = words[2..].iter().fold(Serve::command(&words[1]), |serve, word| serve.arg(word));
    let server = serve.expect_listeners(1).start();
    echoes(&mut server.connect(), b"hello");
    let probe = values("spec.template.spec.containers.livenessProbe.exec.command");
    let probe: Vec<String> =
        probe.iter().map(|word| word.replace("127.0.0.1:9007", &server.administration())).collect();
    let words: Vec<&str> = probe[1..].iter().map(String::as_str).collect();
    let mut stat = Program::start(env!("CARGO_BIN_EXE_readyloop"), &words);
    assert_eq!(stat.wait(TIMEOUT), Some(0), "{}", stat.errors.all().join("\n"));

    // A first signal begins the delay, a second one the drain.
    server.signal("TERM");
    server.logs("not ready");
    echoes(&mut server.connect(), b"still accepted");
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(15)).code, Some(0));
}
