//! Named bugs, and the test that sees each: proof that the tests can fail.
//!
//! `cargo test --test it bugs -- --ignored --nocapture` puts each bug into a copy of this crate, builds
//! the copy and runs the named test, which must fail. Without a bug the test must pass. All of them take
//! half an hour; `READYLOOP_BUGS=09,17` selects some. Every run of the tests checks that each bug can
//! still be put in.

mod change;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Lines;

use change::{Bug, Test};

/// The parts of the crate that cargo needs to build and test a copy.
const COPIED: [&str; 7] = ["Cargo.toml", "Cargo.lock", "README.md", "src", "tests", "benches", "examples"];

/// The longest a build may take, on a busy machine.
const BUILD_TIMEOUT: Duration = Duration::from_secs(3600);
/// The longest a test may take: a bug may make a server hang.
const TEST_TIMEOUT: Duration = Duration::from_secs(600);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All bugs, by number.
fn bugs() -> Vec<Bug> {
    let mut files = files_in(vec![root().join("tests/bugs")]);
    files.sort();
    let parse = |file: &PathBuf| {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        Bug::parse(&name, &text_of(file)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    files.iter().map(parse).collect()
}

/// The files among `paths`, and all files in the folders among them.
fn files_in(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(path).expect("it is ours");
            paths.extend(entries.map(|entry| entry.expect("it is ours").path()));
        } else {
            files.push(path);
        }
    }
    files
}

/// All sources of a copy of the crate, by path.
fn sources_in(root: &Path) -> BTreeMap<String, String> {
    let mut files = files_in(vec![root.join("src")]);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let name = |path: &Path| path.strip_prefix(root).expect("it is inside").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), text_of(path))).collect()
}

/// Whether that test is in the file of its module.
fn exists(test: &Test) -> bool {
    let (modules, name) = test.path.rsplit_once("::").expect("a test is in a module");
    let folder = root().join(if test.binary == "lib" { "src" } else { "tests/it" });
    let module = modules.strip_suffix("::tests").unwrap_or(modules).replace("::", "/");
    let candidates = [format!("{module}.rs"), format!("{module}/mod.rs"), format!("{module}/tests.rs")];
    candidates.iter().filter_map(|path| fs::read_to_string(folder.join(path)).ok()).any(|text| {
        text.contains(&format!("#[test]\nfn {name}()")) || text.contains(&format!("#[test]\n    fn {name}()"))
    })
}

#[test]
fn every_bug_can_still_be_put_in_and_the_test_that_sees_it_exists() {
    let bugs = bugs();
    assert_eq!(bugs.len(), 30);
    let sources = sources_in(root());
    for (place, bug) in bugs.iter().enumerate() {
        assert!(bug.name.starts_with(&format!("{:02}-", place + 1)), "{} has another number", bug.name);
        let changed = bug.apply(&sources).unwrap_or_else(|error| panic!("{error}"));
        assert!(changed.iter().all(|(file, text)| *text != sources[file]), "{}", bug.name);
        assert!(exists(&bug.seen_by), "{}: there is no {:?}", bug.name, bug.seen_by);
    }
    assert!(!exists(&Test { binary: "lib".to_owned(), path: "slab::tests::this_test_does_not_exist".to_owned() }));
}

/// A copy of this crate with a target directory of its own.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Copies this crate. A file that has not changed since the last copy keeps its modification time,
    /// so that cargo does not build it again.
    fn new() -> Self {
        let copy = Self { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join("bugs") };
        let mut kept = BTreeSet::new();
        for path in files_in(COPIED.map(|name| root().join(name)).to_vec()) {
            let place = path.strip_prefix(root()).expect("it is inside").to_owned();
            copy.write(&place, &fs::read(&path).expect("it is ours"));
            kept.insert(copy.tree().join(place));
        }
        // Files that this crate no longer has.
        let others = files_in(vec![copy.tree()]).into_iter().filter(|path| !kept.contains(path));
        others.for_each(|path| fs::remove_file(path).expect("it is ours"));
        copy
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("crate")
    }

    /// Writes a file, unless it has this content already.
    fn write(&self, place: &Path, bytes: &[u8]) {
        let to = self.tree().join(place);
        if fs::read(&to).is_ok_and(|content| content == bytes) {
            return;
        }
        fs::create_dir_all(to.parent().expect("it is in the tree"))
            .and_then(|()| fs::write(&to, bytes))
            .expect("a copy");
    }

    fn write_all<'a>(&self, files: impl IntoIterator<Item = (impl AsRef<Path>, &'a String)>) {
        for (file, text) in files {
            self.write(file.as_ref(), text.as_bytes());
        }
    }

    /// Builds it and runs one test; returns the output.
    fn try_test(&self, test: &Test) -> Vec<String> {
        let which: &[&str] = if test.binary == "lib" { &["--lib"] } else { &["--test", &test.binary] };
        let mut built = self.cargo(&[&["--no-run"], which].concat(), BUILD_TIMEOUT);
        built.extend(self.cargo(&[which, &[&test.path, "--", "--exact", "--format=pretty"]].concat(), TEST_TIMEOUT));
        built
    }

    fn cargo(&self, words: &[&str], timeout: Duration) -> Vec<String> {
        let mut child = Command::new(env!("CARGO"))
            .args(["test", "--locked", "--quiet"])
            .args(words)
            .current_dir(self.tree())
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env_remove("RUSTFLAGS")
            .env_remove("READYLOOP_SIM_SEEDS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo is there");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        let errors = Lines::of(child.stderr.take().expect("a pipe"));
        let is_over = out.wait_for_the_end(timeout) && errors.wait_for_the_end(timeout);
        // It may have exited already.
        let _ = child.kill();
        child.wait().expect("it is ours");
        let mut lines = [out.all(), errors.all()].concat();
        if !is_over {
            lines.push(format!("still running after {timeout:?}"));
        }
        lines
    }
}

/// The bugs whose numbers are in the environment variable, or all.
fn selected_bugs() -> Vec<Bug> {
    let Ok(selection) = std::env::var("READYLOOP_BUGS") else { return bugs() };
    let numbers: Vec<&str> = selection.split(',').collect();
    let chosen: Vec<Bug> = bugs().into_iter().filter(|bug| numbers.contains(&&bug.name[..2])).collect();
    assert_eq!(chosen.len(), numbers.len(), "READYLOOP_BUGS is `{selection}`: write numbers such as 09,17");
    chosen
}

/// Whether the output reports this result of the test.
fn has_result(lines: &[String], test: &Test, result: &str) -> bool {
    let start = format!("test {} ... ", test.path);
    lines.iter().any(|line| line.starts_with(&start))
        && lines.iter().any(|line| line.contains(&format!("... {result}")))
}

#[test]
#[ignore = "builds this crate for each of them: cargo test --test it bugs -- --ignored --nocapture"]
fn every_bug_is_seen_by_its_test() {
    let (bugs, copy) = (selected_bugs(), Copy::new());
    for test in bugs.iter().map(|bug| &bug.seen_by).collect::<BTreeSet<_>>() {
        let lines = copy.try_test(test);
        assert!(has_result(&lines, test, "ok"), "without a bug {test:?} does not pass:\n{}", lines.join("\n"));
        println!("without a bug {} passes", test.path);
    }
    let mut unseen = BTreeMap::new();
    for bug in &bugs {
        let began_at = Instant::now();
        // The sources of the copy: this crate may have been edited meanwhile.
        let sources = sources_in(&copy.tree());
        let changed = bug.apply(&sources).expect("it can be put in");
        let before: BTreeMap<&String, &String> = changed.keys().map(|file| (file, &sources[file])).collect();
        copy.write_all(&changed);
        let lines = copy.try_test(&bug.seen_by);
        let is_seen = has_result(&lines, &bug.seen_by, "FAILED");
        let outcome = if is_seen { "seen by" } else { "NOT SEEN by" };
        println!("{:<28} {outcome} {} in {:.0?}", bug.name, bug.seen_by.path, began_at.elapsed());
        if !is_seen {
            unseen.insert(&bug.name, lines);
        }
        copy.write_all(before);
    }
    println!("{} of {} seen", bugs.len() - unseen.len(), bugs.len());
    assert!(unseen.is_empty(), "{unseen:#?}");
}
