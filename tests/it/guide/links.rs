//! Links and paths in the README and the guide lead to files of the repository.
//!
//! `cargo doc` checks the links of the guide into the code.

use super::page::{Page, names_in, path_of, text_of};

/// Whether a link leads to the web, to a file of the repository, or into the documentation.
fn is_sound(page: &Page, link: &str) -> bool {
    if link.starts_with("https://") {
        return true;
    }
    // In a chapter, a bare name is another chapter. The names of lessons begin with their number.
    if page.path.starts_with("src/guide/") {
        let (folder, _) = page.path.rsplit_once('/').expect("it is in a folder");
        let chapters = names_in(folder, ".md");
        let names =
            chapters.iter().map(|name| name.trim_start_matches(|char: char| char.is_ascii_digit() || char == '_'));
        return link.starts_with("crate") || names.into_iter().any(|chapter| chapter == link);
    }
    let root = path_of("").canonicalize().expect("the repository exists");
    path_of(&page.path).with_file_name(link).canonicalize().is_ok_and(|file| file.starts_with(root))
}

fn broken_links(page: &Page) -> Vec<String> {
    page.links().into_iter().filter(|link| !is_sound(page, link)).collect()
}

/// The paths in a page that name no file or folder. The tutorial makes one file outside the repository.
fn missing_paths(page: &Page) -> Vec<String> {
    let folders = ["src/", "tests/", "examples/", "benches/", ".ci/"];
    let is_path = |span: &String| folders.iter().any(|folder| span.starts_with(folder)) && !span.contains(' ');
    let is_missing = |path: &String| !path_of(path).exists() && path != "src/main.rs";
    page.code_spans().into_iter().filter(is_path).filter(is_missing).collect()
}

#[test]
fn every_link_and_every_path_leads_somewhere() {
    for page in Page::all() {
        assert_eq!(broken_links(&page), [""; 0], "{}", page.path);
        assert_eq!(missing_paths(&page), [""; 0], "{}", page.path);
        assert_eq!(page.unclosed_spans(), [""; 0], "{}: code spans over two lines are not checked", page.path);
    }
    assert!(Page::read("README.md").links().len() > 10, "the links of the README are found");
}

#[test]
fn a_broken_link_is_found() {
    let links = "[a](README.md) [b](tests/RESULTS.md) [c](https://docs.rs/mio)";
    assert_eq!(broken_links(&Page::new("README.md", links)), [""; 0]);
    assert_eq!(broken_links(&Page::new("tests/RESULTS.md", "[a](../README.md)")), [""; 0]);
    let links = "[a](no.md) [b](../README.md) [c](/etc/passwd) [d](http://docs.rs/mio)";
    assert_eq!(broken_links(&Page::new("README.md", links)).len(), 4);
    let links = "[a](tutorial) [b](crate::Server) [c](tutorial.md) [d](nowhere)";
    assert_eq!(broken_links(&Page::new("src/guide/cookbook.md", links)), ["tutorial.md", "nowhere"]);
    let paths = Page::new("README.md", "`src/lib.rs`, `src/none.rs`, `tests/it/`, `README`");
    assert_eq!(missing_paths(&paths), ["src/none.rs"]);
}

#[test]
fn every_chapter_is_in_the_table_of_contents() {
    let (readme, modules) = (Page::read("README.md"), text_of("src/guide/mod.rs"));
    let chapters = names_in("src/guide", ".md");
    assert_eq!(chapters.len(), 9);
    for chapter in chapters {
        assert!(readme.links().contains(&format!("src/guide/{chapter}.md")), "{chapter} is not in the README");
        assert!(modules.contains(&format!("pub mod {chapter} {{}}")), "{chapter} is not in src/guide/mod.rs");
        assert!(modules.contains(&format!("//! - [`{chapter}`]: ")), "{chapter} is not in the list of chapters");
    }
}
