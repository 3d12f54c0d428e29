//! Runs every example of every `--help`, in a shell.
//!
//! Addresses are replaced by those of servers of the test, and long runs by short ones.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Lines, ScratchPath, Serve, Server, wait_for_exit};

/// The deadline of an example.
const WITHIN: Duration = Duration::from_secs(60);

/// The command lines in the section EXAMPLES of the help of a subcommand.
///
/// A command line is indented by two spaces, or by eight if another example is needed first. Its
/// description is indented by six.
fn examples(subcommand: &str) -> Vec<String> {
    let help = Serve::command(&format!("{subcommand} --help")).run().out.join("\n").replace("\\\n", " ");
    let (_, rest) = help.split_once("\nEXAMPLES\n").expect("there are examples");
    let (section, _) = rest.split_once("\n\n").expect("another section follows");
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines = section.lines().filter(|line| matches!(indent(line), 2 | 8)).map(str::trim).map(str::to_owned);
    lines.collect()
}

/// A folder with the files that the examples name, and servers at their addresses.
struct Scene {
    scratch: ScratchPath,
    /// Over TCP, a Unix socket and UDP.
    plain: Server,
    /// With the certificate that `readyloop cert` has made; the second one asks for a client certificate.
    secure: Vec<Server>,
}

impl Scene {
    fn new() -> Self {
        let scratch = ScratchPath::directory("help");
        let folder = Path::new(scratch.text());
        fs::create_dir(folder.join("bin")).expect("the folder is new");
        symlink(env!("CARGO_BIN_EXE_readyloop"), folder.join("bin/readyloop")).expect("the folder is new");
        fs::write(folder.join("server.toml"), "idle-timeout = \"2m\"\n").expect("the folder is new");
        fs::write(folder.join("picture.png"), [0xff; 100]).expect("the folder is new");
        let other = folder.join("other-server");
        // It has the arguments `--port PORT`, or PORT, CERT and KEY.
        let script = "#!/bin/sh\n[ \"$1\" = --port ] && exec readyloop serve -l \"127.0.0.1:$2\"\n\
                      exec readyloop serve -l \"tls://127.0.0.1:$1\" --cert \"$2\" --key \"$3\"\n";
        fs::write(&other, script).expect("the folder is new");
        fs::set_permissions(other, fs::Permissions::from_mode(0o755)).expect("it is our file");
        let unix = format!("unix:{}", folder.join("echo.sock").display());
        let plain = Serve::new().listen(&unix).listen("udp://127.0.0.1:0").with("--admin 127.0.0.1:0").start();
        Self { scratch, plain, secure: Vec::new() }
    }

    fn folder(&self) -> &Path {
        Path::new(self.scratch.text())
    }

    fn start_secure_servers(&mut self) {
        let pem = |name: &str| self.folder().join(name).display().to_string();
        let serve = || {
            let serve = Serve::bare().listen("tls://127.0.0.1:0").arg("--cert").arg(&pem("cert.pem"));
            serve.arg("--key").arg(&pem("cert-key.pem"))
        };
        let servers = [serve(), serve().arg("--client-ca").arg(&pem("ca.pem"))].map(Serve::start);
        self.secure.extend(servers);
    }

    /// The line with addresses of our servers.
    fn placed(&self, line: &str) -> String {
        let (tcp, udp) = (self.plain.address().to_string(), &self.plain.addresses[2]);
        let asks = usize::from(line.contains("--cert "));
        let secure = self.secure.get(asks).and_then(|server| server.addresses[0].rsplit_once(':'));
        let secure = format!("localhost:{}", secure.map_or("none", |(_, port)| port));
        let (unix, admin) = (&self.plain.addresses[1], self.plain.administration());
        let pairs = [
            ("127.0.0.1:9007", &admin),
            ("udp://127.0.0.1:7007", udp),
            ("udp://localhost:514", udp),
            ("127.0.0.1:7007", &tcp),
            // To a request without an answer of its own, an echo server answers with the request.
            ("127.0.0.1:6379", &tcp),
        ];
        let more =
            [("[::1]:7007", &tcp), ("localhost:80", &tcp), ("unix:/tmp/echo.sock", unix), ("localhost:7443", &secure)];
        pairs.into_iter().chain(more).fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
    }

    /// A shell for the script. There, `pidof` prints the number of our server.
    fn shell(&self, script: &str) -> Command {
        let path = format!("{}:{}", self.folder().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let script = format!("pidof() {{ echo {}; }}\n{script}", self.plain.process.pid);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).current_dir(self.folder()).env("PATH", path).stdin(Stdio::null());
        shell
    }

    /// Runs a line, which must succeed.
    #[track_caller]
    fn run(&self, line: &str) {
        let mut shell = self.shell(&self.placed(line));
        let mut child = shell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("there is a shell");
        let log = Lines::of(child.stderr.take().expect("it is a pipe"));
        let status = wait_for_exit(&mut child, WITHIN);
        log.wait_for_the_end(WITHIN);
        assert!(status.success(), "{line}: {status}\n{}", log.all().join("\n"));
    }

    /// Starts the server of a line on free ports, and drains it.
    #[track_caller]
    fn serves(&self, line: &str) {
        let line = line
            .replace("127.0.0.1:7443", "127.0.0.1:0")
            .replace("127.0.0.1:9007", "127.0.0.1:0")
            .replace("unix:/tmp/", "unix:other-");
        let line = if line.contains("--listen ") { line } else { format!("{line} --listen 127.0.0.1:0") };
        // The shell is replaced by the server, which then has its process number.
        let (variables, command) = line.split_once("readyloop serve").expect("it is a server");
        let variables = if variables.is_empty() { String::new() } else { format!("export {variables}; ") };
        Server::in_own_process(self.shell(&format!("{variables}exec readyloop serve{command}"))).drain();
    }
}

#[test]
fn every_example_works() {
    let mut scene = Scene::new();
    let is_cert = |line: &String| line.starts_with("readyloop cert");
    let (cert, other): (Vec<_>, Vec<_>) = examples("cert").into_iter().partition(is_cert);
    cert.iter().for_each(|line| scene.run(line));
    scene.start_secure_servers();
    let is_server = |line: &String| line.contains("readyloop serve");
    let (servers, clients): (Vec<_>, Vec<_>) = other.into_iter().partition(is_server);
    servers.into_iter().chain(examples("serve")).for_each(|line| scene.serves(&line));
    // An example of `serve` has recorded the file.
    examples("replay").iter().filter(|line| !is_server(line)).for_each(|line| scene.run(line));
    examples("doctor").into_iter().chain(examples("completions")).for_each(|line| scene.run(&line));
    // The pager of `man` is not part of every system.
    examples("man").iter().map(|line| line.replace("| man -l -", "> page.1")).for_each(|line| scene.run(&line));
    // Without a count, `stat` has no end.
    examples("stat").iter().filter(|line| line.contains(" -n ")).for_each(|line| scene.run(line));
    for line in clients.into_iter().chain(examples("client")) {
        scene.run(&line.replace("--count 5", "--count 2"));
    }
    for line in examples("bench") {
        let shorter =
            [("-c 1000", "-c 10"), ("20k", "100"), ("p99>5ms", "p99>1m"), ("10k", "10"), ("50k", "8"), ("100k", "100")];
        let line = line.replace("10..1000 --ramp 30s", "2..10 --ramp 200ms");
        let line = shorter.iter().fold(line, |line, (from, to)| line.replace(from, to));
        let flags = if line.contains(" -n ") { "" } else { "-d 200ms -w 0s " };
        scene.run(&line.replacen("bench ", &format!("bench {flags}"), 1));
    }
    for line in examples("compare") {
        let connections = if line.contains(" -c ") { "" } else { "-c 2" };
        let line = line.replace("100,100+900,100+18900", "2,2+3");
        scene.run(&format!("{line} {connections} -d 100ms -w 0s --rounds 1 --no-calls"));
    }
    for line in examples("conform") {
        let rows = if line.contains(" --only ") || line.contains(" --list") { "" } else { "--only echo,idle-cpu" };
        scene.run(&format!("{line} {rows}"));
    }
    fs::create_dir(scene.folder().join("monday")).expect("the folder is new");
    for name in ["monday.json", "tuesday.json", "comparison.json", "monday/runs.json", "now.json", "before.json"] {
        fs::copy(scene.folder().join("all.json"), scene.folder().join(name)).expect("`compare` has written it");
    }
    examples("report").iter().for_each(|line| scene.run(line));
    for line in examples("sim") {
        let seeds = if line.contains("--seed") || line.contains("--story") { "" } else { "--seeds 0..20" };
        scene.run(&format!("{} {seeds}", line.replace("50000", "20")));
    }
    scene.plain.drain();
}
