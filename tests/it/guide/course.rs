//! The lessons of the course: their parts, their places in the sources, and their commands with the output.

use std::path::Path;
use std::process::Command;

use readyloop::trace::Lesson;

use crate::examples::{Example, LONG, matches};
use crate::support::{Program, Serve};

use super::commands::calls;
use super::page::{Page, path_of, text_of};

const LESSONS: usize = 12;

/// The most lines of a lesson.
const LINES_MAX: usize = 75;

/// The address in the lessons. A server of the test takes its place.
const ADDRESS: &str = "127.0.0.1:7007";

fn lessons() -> Vec<Page> {
    let mut pages = Page::in_folder("src/guide/course");
    pages.retain(|page| page.text.starts_with("# Lesson "));
    pages
}

/// The text of a part, without its heading.
fn part<'a>(page: &'a Page, heading: &str) -> &'a str {
    let (_, rest) = page.text.split_once(heading).unwrap_or_else(|| panic!("no `{heading}` in {}", page.path));
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn every_lesson_has_its_parts_and_is_short() {
    let lessons = lessons();
    assert_eq!(lessons.len(), LESSONS);
    for (index, page) in lessons.iter().enumerate() {
        let number = index + 1;
        assert!(page.text.starts_with(&format!("# Lesson {number}: ")), "{}", page.path);
        for heading in ["\n**Idea.** ", "\n## Run it\n", "\n## What happens\n", "\n**Answer.** ", "\n## Read\n"] {
            assert_eq!(page.text.matches(heading).count(), 1, "`{heading}` in {}", page.path);
        }
        assert!(part(page, "\n## Question\n").contains("?\n"), "no question in {}", page.path);
        assert!(page.text.lines().count() <= LINES_MAX, "{} is too long", page.path);
        if let Some(next) = lessons.get(index + 1) {
            let (_, file) = next.path.rsplit_once('/').expect("it is in a folder");
            let begin = format!("Next: lesson {}, [", number + 1);
            let end = format!("]({}) (`{file}`).", &file[3..file.len() - 3]);
            let last = page.text.lines().last().unwrap_or_default();
            assert!(last.starts_with(&begin) && last.ends_with(&end), "{}: {last}", page.path);
        }
    }
}

#[test]
fn the_lessons_of_a_story_are_those_of_the_course() {
    assert_eq!(Lesson::ALL.len(), LESSONS);
    for (page, lesson) in lessons().iter().zip(Lesson::ALL) {
        let name = format!("{lesson:?}").replace("Close", "_close").to_lowercase();
        let file = format!("src/guide/course/{:02}_{name}.md", lesson.number());
        assert_eq!(page.path, file, "a story says that {lesson} is about {}", lesson.title());
    }
}

/// The functions and types that a lesson names, with their file: `path`, `fn name`.
fn places(page: &Page) -> Vec<(String, String)> {
    let (mut file, mut places) = (None, Vec::new());
    for span in Page::new(&page.path, part(page, "\n## Read\n")).code_spans() {
        if span.starts_with("fn ") || span.starts_with("struct ") {
            places.push((file.clone().expect("a path comes before the name"), span));
        } else if span.ends_with(".rs") {
            file = Some(span);
        }
    }
    places
}

#[test]
fn every_place_to_read_exists() {
    for page in lessons() {
        let places = places(&page);
        assert!(!places.is_empty(), "no place to read in {}", page.path);
        for (file, item) in places {
            let text = text_of(&file);
            let is_there = ["(", "<", " ", ";"].iter().any(|after| text.contains(&format!("{item}{after}")));
            assert!(is_there, "{}: no `{item}` in {file}", page.path);
        }
    }
}

/// Runs a command line in a shell, where `readyloop` is the program of this test. Returns its output.
fn run_in_shell(line: &str) -> Vec<String> {
    let mut command = Command::new("/bin/sh");
    let script = format!("readyloop() {{ \"$READYLOOP\" \"$@\"; }}\n{line}");
    command.arg("-c").arg(script).env("READYLOOP", env!("CARGO_BIN_EXE_readyloop"));
    let mut running = Program::run(command);
    running.wait(LONG);
    [running.out.all(), running.errors.all()].concat()
}

/// Runs the commands of a lesson, and returns the output of the last one and the log of its server.
fn output_of(page: &Page) -> Vec<String> {
    let blocks = page.blocks("sh");
    let lines: Vec<&str> = blocks.last().expect("there is a command").lines().collect();
    match lines[..] {
        [line] => match line.strip_prefix("cargo run --example ") {
            Some(name) => run_in_shell(
                &Example::of(path_of(
                    Path::new("examples").join(name).with_extension("rs").to_str().expect("it is text"),
                ))
                .program(),
            ),
            None => run_in_shell(line),
        },
        [server, client] => {
            let call = &calls(server).expect("a shell understands it")[0];
            let server = call[2..].iter().fold(Serve::new(), |command, word| command.arg(word)).start();
            let output = run_in_shell(&client.replace(ADDRESS, &server.address().to_string()));
            let address = server.address().to_string();
            let log = server.drain().log;
            [output, log].concat().iter().map(|line| line.replace(&address, ADDRESS)).collect()
        }
        _ => panic!("{} has more than two command lines", page.path),
    }
}

#[test]
fn every_command_of_a_lesson_prints_what_the_lesson_shows() {
    for page in lessons() {
        let printed = output_of(&page);
        let mut rest = printed.iter();
        for line in page.blocks("text")[0].lines().filter(|line| !line.trim().is_empty()) {
            let is_there = rest.any(|printed| matches(line, printed));
            assert!(is_there, "{}: no `{line}`, or not in this order, in:\n{}", page.path, printed.join("\n"));
        }
    }
}
