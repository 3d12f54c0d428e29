//! `kill -9` of either side: the server frees everything that killed clients used, and a new server
//! can take the port of a killed one at once.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Lines, MIB, ScratchPath, Serve, TIMEOUT, connect_unix, echoes, is_own_process, own_process,
};

const KILLED: usize = 500;
const ADDRESS: &str = "READYLOOP_IT_ADDRESS";

#[test]
#[ignore = "the client that `killed_clients_leak_nothing` kills"]
fn a_client_to_be_killed() {
    if !is_own_process() {
        return;
    }
    let address = std::env::var(ADDRESS).unwrap().parse().unwrap();
    let mut crowd = Crowd::new();
    crowd.join(address, KILLED, Behavior::Repeats { len: 10_000 });
    crowd.join(address, 8, Behavior::Streams { in_flight: MIB as u64 });
    crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.received > 0));
    println!("\nmid-stream");
    crowd.run_for(TIMEOUT);
}

#[test]
fn killed_clients_leak_nothing() {
    let server = Serve::new().start();
    let mut crowd = Crowd::new();
    let survivor = crowd.join(server.address(), 1, Behavior::OnRequest);
    crowd.echo(survivor.clone(), 10, TIMEOUT);
    let base = server.process.descriptors();
    let mut command = own_process("kill::a_client_to_be_killed", "");
    let mut client =
        command.env(ADDRESS, server.address().to_string()).stdout(Stdio::piped()).spawn().expect("this binary starts");
    let out = Lines::of(client.stdout.take().unwrap());
    assert!(out.wait_for(TIMEOUT, |lines| lines.iter().any(|line| line == "mid-stream")), "{:?}", out.all());
    assert!(server.process.descriptors() > base + KILLED);

    client.kill().unwrap();
    client.wait().unwrap();
    server.descriptors_return_to(base);
    crowd.echo(survivor, 10, TIMEOUT);
    drop(crowd);
    let ended = server.drain();
    let summary = ended.summary();
    assert_eq!(summary.connections, KILLED as u64 + 8 + 1);
    assert_eq!(summary.closed_in_all(), summary.connections);
}

#[test]
fn a_new_server_takes_the_port_of_a_killed_one() {
    let first = Serve::new().start();
    let address = first.address();
    let mut crowd = Crowd::new();
    crowd.join(address, 100, Behavior::Repeats { len: 1000 });
    crowd.run_for(Duration::from_millis(100));
    first.signal("KILL");
    assert_eq!(first.wait(TIMEOUT).code, None);
    assert!(crowd.run_until(Duration::from_secs(2), |members| members.iter().all(|member| !member.is_open())));

    let second = Serve::bare().listen(&address.to_string()).start();
    let again = crowd.join(address, 100, Behavior::OnRequest);
    crowd.echo(again, 1000, TIMEOUT);
    drop(crowd);
    second.drain();
}

#[test]
fn a_new_server_takes_the_unix_path_of_a_killed_one() {
    let path = ScratchPath::new("sock");
    let address = format!("unix:{}", path.text());
    let first = Serve::bare().listen(&address).start();
    first.signal("KILL");
    first.wait(TIMEOUT);
    assert!(std::fs::exists(path.text()).unwrap(), "the killed server has removed its path");

    let second = Serve::bare().listen(&address).start();
    let mut stream = connect_unix(path.text());
    echoes(&mut stream, b"still here");
    drop(stream);
    second.drain();
    assert!(!std::fs::exists(path.text()).unwrap(), "the drained server has not removed its path");
}
