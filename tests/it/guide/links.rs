//! Links between the README, the guide and the files of the repository.
//!
//! `cargo doc` checks the links of the guide into the code.

use std::path::{Component, Path, PathBuf};

use super::page::{Page, names_in, path_of, text_of};

/// The text names files in these folders by their path.
const FOLDERS: [&str; 5] = ["src/", "tests/", "examples/", "benches/", ".ci/"];

/// The path of a link that is relative to a page, in this repository; `None` outside of it.
fn resolved(page: &Page, target: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(&page.path).parent()?.join(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => path = path.parent()?.to_owned(),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Whether a link leads to the web, to a page or a file that exists, or into the documentation.
fn is_sound(page: &Page, link: &str) -> bool {
    if link.starts_with("https://") {
        return true;
    }
    // rustdoc knows the names; in a chapter, a bare name is another chapter.
    if page.path.starts_with("src/guide/") {
        let is_code = ["crate::", "crate#"].iter().any(|start| link.starts_with(start));
        return is_code || names_in("src/guide", ".md").iter().any(|chapter| chapter == link);
    }
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let has_anchor = |page: &Page| anchor.is_empty() || page.anchors().iter().any(|heading| heading == anchor);
    if target.is_empty() {
        return has_anchor(page);
    }
    let path = resolved(page, target).map(|path| path.to_string_lossy().into_owned());
    path.is_some_and(|path| path_of(&path).exists() && (anchor.is_empty() || has_anchor(&Page::read(&path))))
}

/// The links of a page that lead nowhere.
fn broken_links(page: &Page) -> Vec<String> {
    page.links().into_iter().filter(|link| !is_sound(page, link)).collect()
}

/// The paths in a page that name no file or folder.
fn missing_paths(page: &Page) -> Vec<String> {
    let is_path = |span: &String| FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains(' ');
    page.code_spans().into_iter().filter(is_path).filter(|path| !path_of(path).exists()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    for page in Page::all() {
        assert_eq!(broken_links(&page), [""; 0], "{}", page.path);
        assert_eq!(page.unclosed_spans(), [""; 0], "{}: code spans over two lines are not checked", page.path);
    }
    assert!(Page::read("README.md").links().len() > 10, "the links of the README are found");
}

#[test]
fn a_broken_link_is_found() {
    let links =
        "[a](README.md) [b](tests/RESULTS.md) [c](https://docs.rs/mio) [d](#one) [e](README.md#license)\n\n# One";
    assert_eq!(broken_links(&Page::new("README.md", links)), [""; 0]);
    let links = "[a](no.md) [b](README.md#no) [c](#no) [d](../README.md) [e](/etc/passwd) [f](http://docs.rs/mio)";
    assert_eq!(broken_links(&Page::new("README.md", links)).len(), 6);
    let links = "[a](tutorial) [b](crate::Server) [c](tutorial.md) [d](nowhere)";
    assert_eq!(broken_links(&Page::new("src/guide/cookbook.md", links)), ["tutorial.md", "nowhere"]);
    assert_eq!(resolved(&Page::new("tests/RESULTS.md", ""), "../README.md"), Some(PathBuf::from("README.md")));
}

#[test]
fn every_path_in_the_text_names_a_file() {
    for page in Page::all() {
        assert_eq!(missing_paths(&page), [""; 0], "{}", page.path);
    }
    let planted = Page::new("README.md", "`src/lib.rs`, `src/none.rs`, `tests/it/`, `README`");
    assert_eq!(missing_paths(&planted), ["src/none.rs"]);
}

#[test]
fn every_chapter_is_in_the_table_of_contents() {
    let (readme, modules) = (Page::read("README.md"), text_of("src/guide/mod.rs"));
    let chapters = names_in("src/guide", ".md");
    assert_eq!(chapters.len(), 8);
    for chapter in chapters {
        assert!(readme.links().contains(&format!("src/guide/{chapter}.md")), "{chapter} is not in the README");
        assert!(modules.contains(&format!("pub mod {chapter} {{}}")), "{chapter} is not in src/guide/mod.rs");
        assert!(modules.contains(&format!("//! - [`{chapter}`]: ")), "{chapter} is not in the list of chapters");
    }
}
