//! Twenty named bugs, and the test that sees each: proof that the tests can fail.
//!
//! `cargo test --test it bugs -- --ignored --nocapture` puts each into a copy of this crate, builds
//! that and runs the named test, which must fail; without any of them it must pass. That takes half
//! an hour; `READYLOOP_BUGS=09,17` before it tries only these. What is always tried is that every
//! bug can still be put in.

mod patch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Lines;

use patch::{Bug, Test};

/// What the copy holds; all that cargo needs to build and test it.
const COPIED: [&str; 7] = ["Cargo.toml", "Cargo.lock", "README.md", "src", "tests", "benches", "examples"];

/// How long a build may take, on a busy machine.
const BUILD_PATIENCE: Duration = Duration::from_secs(3600);
/// How long a test may take: a bug may well make a server hang.
const TEST_PATIENCE: Duration = Duration::from_secs(600);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All of them, by number.
fn bugs() -> Vec<Bug> {
    let entries = fs::read_dir(root().join("tests/bugs")).expect("the bugs are there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.sort();
    let parse = |file: &PathBuf| {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        Bug::parse(&name, &text_of(file)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    files.iter().map(parse).collect()
}

/// Whether there is a test of that name in the file of its module, or in one above.
fn is_there(test: &Test) -> bool {
    let (modules, name) = test.path.rsplit_once("::").expect("a test is in a module");
    let folder = root().join(if test.binary == "lib" { "src" } else { "tests/it" });
    let module = modules.strip_suffix("::tests").unwrap_or(modules).replace("::", "/");
    let candidates = [format!("{module}.rs"), format!("{module}/mod.rs"), format!("{module}/tests.rs")];
    candidates.iter().filter_map(|path| fs::read_to_string(folder.join(path)).ok()).any(|text| {
        text.contains(&format!("#[test]\nfn {name}()")) || text.contains(&format!("#[test]\n    fn {name}()"))
    })
}

#[test]
fn every_bug_can_still_be_put_in_and_the_test_that_sees_it_is_there() {
    let bugs = bugs();
    assert_eq!(bugs.len(), 20);
    for (place, bug) in bugs.iter().enumerate() {
        assert!(bug.name.starts_with(&format!("{:02}-", place + 1)), "{} has another number", bug.name);
        let changed = bug.apply(|file| text_of(&root().join(file))).unwrap_or_else(|error| panic!("{error}"));
        assert!(changed.iter().all(|(file, text)| *text != text_of(&root().join(file))), "{}", bug.name);
        assert!(is_there(&bug.seen_by), "{}: there is no {:?}", bug.name, bug.seen_by);
    }
    assert!(!is_there(&Test { binary: "lib".to_owned(), path: "table::tests::nobody_wrote_this".to_owned() }));
}

/// A copy of this crate with a target directory of its own.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// As this crate is now. What has not changed since the last time keeps its age, so that it
    /// need not be built again.
    fn new() -> Self {
        let copy = Self { folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join("bugs") };
        let (mut kept, mut from) = (BTreeSet::new(), COPIED.map(|name| root().join(name)).to_vec());
        while let Some(path) = from.pop() {
            if path.is_dir() {
                from.extend(fs::read_dir(&path).expect("it is ours").map(|entry| entry.expect("it is ours").path()));
                continue;
            }
            let place = path.strip_prefix(root()).expect("it is inside").to_owned();
            copy.write(&place, &fs::read(&path).expect("it is ours"));
            kept.insert(place);
        }
        copy.remove_others(&kept);
        copy
    }

    fn tree(&self) -> PathBuf {
        self.folder.join("crate")
    }

    /// Writes a file unless it says so already.
    fn write(&self, place: &Path, bytes: &[u8]) {
        let to = self.tree().join(place);
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            return;
        }
        fs::create_dir_all(to.parent().expect("it is in the tree")).and_then(|()| fs::write(&to, bytes)).expect("room");
    }

    fn write_all<'a>(&self, files: impl IntoIterator<Item = (impl AsRef<Path>, &'a String)>) {
        for (file, text) in files {
            self.write(file.as_ref(), text.as_bytes());
        }
    }

    /// Removes what this crate no longer has.
    fn remove_others(&self, kept: &BTreeSet<PathBuf>) {
        let mut folders = vec![self.tree()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("it is ours") {
                let path = entry.expect("it is ours").path();
                let is_kept = kept.contains(path.strip_prefix(self.tree()).expect("it is inside"));
                match path.is_dir() {
                    true => folders.push(path),
                    false if is_kept => {}
                    false => fs::remove_file(path).expect("it is ours"),
                }
            }
        }
    }

    /// Builds it and runs one test: what was printed.
    fn try_test(&self, test: &Test) -> Vec<String> {
        let which: &[&str] = if test.binary == "lib" { &["--lib"] } else { &["--test", &test.binary] };
        let mut built = self.cargo(&[&["--no-run"], which].concat(), BUILD_PATIENCE);
        built.extend(self.cargo(&[which, &[&test.path, "--", "--exact", "--format=pretty"]].concat(), TEST_PATIENCE));
        built
    }

    fn cargo(&self, words: &[&str], patience: Duration) -> Vec<String> {
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
        let is_over = out.wait_for_the_end(patience) && errors.wait_for_the_end(patience);
        // It may have ended already.
        let _ = child.kill();
        child.wait().expect("it is ours");
        let mut lines = [out.all(), errors.all()].concat();
        if !is_over {
            lines.push(format!("no end after {patience:?}"));
        }
        lines
    }
}

/// Those whose numbers the environment names, or all.
fn bugs_asked_for() -> Vec<Bug> {
    let Ok(asked) = std::env::var("READYLOOP_BUGS") else { return bugs() };
    let numbers: Vec<&str> = asked.split(',').collect();
    let chosen: Vec<Bug> = bugs().into_iter().filter(|bug| numbers.contains(&&bug.name[..2])).collect();
    assert_eq!(chosen.len(), numbers.len(), "READYLOOP_BUGS is `{asked}`: write numbers such as 09,17");
    chosen
}

/// Whether the test is told to have come out so.
fn came_out(lines: &[String], test: &Test, word: &str) -> bool {
    let told = format!("test {} ... ", test.path);
    lines.iter().any(|line| line.starts_with(&told)) && lines.iter().any(|line| line.contains(&format!("... {word}")))
}

#[test]
#[ignore = "builds this crate twenty times over: cargo test --test it bugs -- --ignored --nocapture"]
fn every_bug_is_seen_by_its_test() {
    let (bugs, copy) = (bugs_asked_for(), Copy::new());
    for test in bugs.iter().map(|bug| &bug.seen_by).collect::<BTreeSet<_>>() {
        let lines = copy.try_test(test);
        assert!(came_out(&lines, test, "ok"), "without a bug {test:?} does not pass:\n{}", lines.join("\n"));
        println!("without a bug {} passes", test.path);
    }
    let mut unseen = BTreeMap::new();
    for bug in &bugs {
        let began_at = Instant::now();
        // This crate may have moved on meanwhile; the copy has not.
        let now = |file: &str| text_of(&copy.tree().join(file));
        let changed = bug.apply(now).expect("it can be put in");
        let before: BTreeMap<&String, String> = changed.keys().map(|file| (file, now(file))).collect();
        copy.write_all(&changed);
        let lines = copy.try_test(&bug.seen_by);
        let is_seen = came_out(&lines, &bug.seen_by, "FAILED");
        let outcome = if is_seen { "seen by" } else { "NOT SEEN by" };
        println!("{:<28} {outcome} {} in {:.0?}", bug.name, bug.seen_by.path, began_at.elapsed());
        if !is_seen {
            unseen.insert(&bug.name, lines);
        }
        copy.write_all(&before);
    }
    println!("{} of {} seen", bugs.len() - unseen.len(), bugs.len());
    assert!(unseen.is_empty(), "{unseen:#?}");
}
