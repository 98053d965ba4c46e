//! The rules of the house that a compiler does not know: levels, sizes, heads of files, whose crate is whose.
//!
//! Reads the tree only. Each rule is a function from a file to its faults, tried below on a file that breaks it.

use std::fs;
use std::path::{Path, PathBuf};

/// The level of each module under `src/`. A module imports only from lower levels; the words
/// of level 0 import each other.
const LEVELS: &[(&str, u8)] = &[
    ("main", 9),
    ("cli", 9),
    ("server", 8),
    ("lifecycle", 8),
    ("session", 7),
    ("upstream", 6),
    ("values", 5),
    ("audit", 5),
    ("guard", 5),
    ("statement", 4),
    ("policy", 3),
    ("seal", 2),
    ("token", 2),
    ("mask", 2),
    ("catalog", 2),
    ("types", 1),
    ("keyring", 1),
    ("wire", 1),
    ("ident", 0),
    ("secret", 0),
    ("limits", 0),
    ("metrics", 0),
    ("config", 0),
    ("document", 0),
    ("pattern", 0),
];

/// Imports that the levels alone would forbid: importer, imported, reason.
const IMPORTS_ALLOWED: &[(&str, &str, &str)] =
    &[("main", "cli", "the program is its command line")];

/// `metrics` is at level 0, and yet for those who may have a clock and an outside only.
const METRICS_FROM_LEVEL: u8 = 5;

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 400;

/// Files that may be longer: path, lines, reason.
const LONGER_FILES: &[(&str, usize, &str)] = &[];

/// Crates with one user: crate, folder, reason.
const OWNED_CRATES: &[(&str, &str, &str)] = &[
    (
        "x509_cert",
        "src/wire/",
        "what a certificate says is read in one place",
    ),
    (
        "sqlparser",
        "src/statement/",
        "its tree never leaves the analysis",
    ),
];

/// What modules without I/O may not name: module, words.
const WITHOUT_IO: &[(&str, &[&str])] = &[
    ("statement", NO_OUTSIDE),
    ("policy/decide", NO_OUTSIDE),
    ("catalog", NO_OUTSIDE),
    ("types", NO_OUTSIDE),
    ("mask", NO_OUTSIDE),
    ("token", NO_OUTSIDE),
    ("seal", NO_OUTSIDE),
    ("wire", &["tokio::", "std::net::", "std::fs::"]),
    (
        "session",
        &["tokio::net", "tokio::io", "std::net::Tcp", "std::fs::"],
    ),
];

const NO_OUTSIDE: &[&str] = &[
    "tokio::",
    "std::net::",
    "std::fs::",
    "std::time::Instant",
    "SystemTime",
];

/// What stands in no file of the product.
const NEVER: &[&str] = &[
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    "TODO",
    "FIXME",
    "XXX",
    "fn get_",
    "mod utils",
    "mod helpers",
    "mod common",
];

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "THREAT_MODEL.md",
    "CHANGELOG.md",
    "LICENSE",
    "Cargo.lock",
    "deny.toml",
    ".ci/run",
];

/// One file of the tree.
struct File {
    /// from the root, with `/`
    path: String,
    text: String,
}

impl File {
    /// The lines before the file's tests; none of a file that is tests altogether.
    fn product(&self) -> Vec<&str> {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return Vec::new();
        }
        let lines = self.text.lines();
        lines
            .take_while(|l| !l.starts_with("#[cfg(test)]"))
            .collect()
    }

    /// The product's lines without comments, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.product().into_iter().enumerate();
        lines.filter_map(|(index, line)| {
            let code = line.split("//").next().unwrap_or("");
            (!code.trim().is_empty()).then_some((index + 1, code))
        })
    }

    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }
}

fn level(module: &str) -> Option<u8> {
    let row = LEVELS.iter().find(|(name, _)| *name == module);
    row.map(|(_, level)| *level)
}

/// The modules of the crate that a line of code names: `crate::x`, `pgveil::x`, `use crate::{x, y::z}`.
fn named_modules(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for marker in ["crate::", "pgveil::"] {
        for (at, _) in code.match_indices(marker) {
            let rest = &code[at + marker.len()..];
            if let Some(list) = rest.strip_prefix('{') {
                named.extend(heads_of_list(list));
            } else {
                named.push(word(rest));
            }
        }
    }
    named
}

/// The first words of a `{a, b::{c, d}, e}` import list, at its outermost depth.
fn heads_of_list(list: &str) -> Vec<String> {
    let mut heads = vec![String::new()];
    let mut depth = 0;
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(String::new()),
            _ => heads
                .last_mut()
                .expect("there is always one")
                .push(character),
        }
    }
    heads.iter().map(|h| word(h.trim())).collect()
}

fn word(text: &str) -> String {
    let name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.chars().take_while(name).collect()
}

fn levels(file: &File) -> Vec<String> {
    let Some(module) = file.module().filter(|m| *m != "lib") else {
        return Vec::new();
    };
    let Some(own) = level(module) else {
        return vec![format!(
            "{}: the module has no level in tests/tidy.rs",
            file.path
        )];
    };
    let mut faults = Vec::new();
    let joined = join_imports(file);
    for (line, code) in &joined {
        for other in named_modules(code) {
            let Some(theirs) = level(&other) else {
                continue;
            };
            let allowed = IMPORTS_ALLOWED
                .iter()
                .any(|(from, to, _)| *from == module && *to == other);
            let words = own == 0 && theirs == 0;
            let sees_metrics = other != "metrics" || own >= METRICS_FROM_LEVEL;
            if other != module && !allowed && !words && (theirs >= own || !sees_metrics) {
                faults.push(format!(
                    "{}:{line}: {module} (level {own}) imports {other} (level {theirs})",
                    file.path
                ));
            }
        }
    }
    faults
}

/// The code with each `use …;` on one line, under the number of its first.
fn join_imports(file: &File) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (line, code) in file.code() {
        let starts = code.trim_start().starts_with("use ")
            || code.trim_start().starts_with("pub use ")
            || code.trim_start().starts_with("pub(crate) use ");
        match joined.last_mut() {
            Some((_, text)) if open => text.push_str(code.trim()),
            _ => joined.push((line, code.to_owned())),
        }
        open = (open || starts) && !code.contains(';');
    }
    joined
}

fn head(file: &File) -> Vec<String> {
    let first = file.text.lines().next().unwrap_or("");
    if first.starts_with("//! ") {
        return Vec::new();
    }
    vec![format!("{}: does not open with `//!`", file.path)]
}

fn size(file: &File) -> Vec<String> {
    let lines = file.product().len();
    let longer = LONGER_FILES.iter().find(|(path, _, _)| *path == file.path);
    let limit = longer.map_or(FILE_LINES_MAX, |(_, lines, _)| *lines);
    if lines <= limit {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, {limit} are allowed", file.path)]
}

fn never(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in file.product().iter().enumerate() {
        for word in NEVER.iter().filter(|w| line.contains(**w)) {
            faults.push(format!("{}:{}: `{word}`", file.path, index + 1));
        }
    }
    for (line, code) in file.code() {
        if code.contains(".unwrap()") {
            faults.push(format!("{}:{line}: `unwrap` outside tests", file.path));
        }
    }
    faults
}

fn owned_crates(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, code) in file.code() {
        for (owned, folder, reason) in OWNED_CRATES {
            let names_it = code.contains(&format!("{owned}::"));
            if names_it && !file.path.starts_with(folder) {
                faults.push(format!(
                    "{}:{line}: {owned} belongs to {folder}: {reason}",
                    file.path
                ));
            }
        }
    }
    faults
}

fn without_io(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    for (module, words) in WITHOUT_IO {
        let inside = file.path.strip_prefix("src/").unwrap_or("");
        let rest = inside.strip_prefix(module);
        if !rest.is_some_and(|r| r.starts_with('/') || r.starts_with(".rs")) {
            continue;
        }
        for (line, code) in file.code() {
            for word in words.iter().filter(|w| code.contains(**w)) {
                faults.push(format!(
                    "{}:{line}: {module} is without I/O: `{word}`",
                    file.path
                ));
            }
        }
    }
    faults
}

/// Where an error's variants must be listed one by one: no wildcard arm there.
fn no_wildcard_in_report(file: &File) -> Vec<String> {
    if file.path != "src/session/report.rs" {
        return Vec::new();
    }
    let arms = file
        .code()
        .filter(|(_, code)| code.trim_start().starts_with("_ =>"));
    arms.map(|(line, _)| format!("{}:{line}: a wildcard arm", file.path))
        .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(read(&path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &Path) -> File {
    let relative = path.strip_prefix(root()).expect("a file of the tree");
    File {
        path: relative.to_string_lossy().replace('\\', "/"),
        text: fs::read_to_string(path).expect("a text file"),
    }
}

fn hold(rules: &[fn(&File) -> Vec<String>], files: &[File]) {
    let faults: Vec<String> = files
        .iter()
        .flat_map(|file| rules.iter().flat_map(move |rule| rule(file)))
        .collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_product_keeps_the_rules() {
    let rules: &[fn(&File) -> Vec<String>] = &[
        levels,
        head,
        size,
        never,
        owned_crates,
        without_io,
        no_wildcard_in_report,
    ];
    hold(rules, &files_under("src"));
}

#[test]
fn the_tests_say_what_they_do() {
    hold(&[head], &files_under("tests"));
}

#[test]
fn exceptions_are_still_needed() {
    let files = files_under("src");
    for (path, _, reason) in LONGER_FILES {
        let file = files.iter().find(|f| f.path == *path);
        let needed = file.is_some_and(|f| f.product().len() > FILE_LINES_MAX);
        assert!(
            needed && !reason.is_empty(),
            "{path} needs no exception any more"
        );
    }
}

#[test]
fn the_documents_stand_and_their_links_lead_somewhere() {
    for name in DOCUMENTS {
        assert!(root().join(name).exists(), "{name} is missing");
    }
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    for command in ["cargo run --release -- demo", "cargo test"] {
        assert!(
            readme.contains(command),
            "README.md does not name `{command}`"
        );
    }
    for name in DOCUMENTS.iter().filter(|n| n.ends_with(".md")) {
        let text = fs::read_to_string(root().join(name)).expect("a document");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or("");
            let outside = link.starts_with("http") || target.is_empty();
            assert!(
                outside || root().join(target).exists(),
                "{name} links to {target}"
            );
        }
    }
}

#[test]
fn each_rule_sees_what_breaks_it() {
    let broken = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let upwards = broken(
        "src/statement/x.rs",
        "//! X.\nuse crate::session::Session;\n",
    );
    assert_eq!(levels(&upwards).len(), 1);
    let listed = broken(
        "src/seal/x.rs",
        "use crate::{\n    ident::X,\n    token::{Y, Z},\n};\n",
    );
    assert_eq!(levels(&listed).len(), 1, "token is a sibling");
    let metrics = broken("src/statement/x.rs", "use crate::metrics::Metrics;\n");
    assert_eq!(levels(&metrics).len(), 1);
    assert_eq!(levels(&broken("src/nowhere/x.rs", "")).len(), 1);
    let downwards = broken("src/session/x.rs", "use crate::statement::Plan;\n");
    assert!(levels(&downwards).is_empty());
    assert_eq!(head(&broken("src/x.rs", "use std::fs;\n")).len(), 1);
    let long = "// line\n".repeat(FILE_LINES_MAX + 1);
    assert_eq!(size(&broken("src/x.rs", &long)).len(), 1);
    let tests = format!("//! X.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(size(&broken("src/x.rs", &tests)).is_empty());
    assert_eq!(never(&broken("src/x.rs", "let x = y.unwrap();\n")).len(), 1);
    assert!(never(&broken("src/x.rs", "#[cfg(test)]\nlet x = y.unwrap();\n")).is_empty());
    let parser = broken("src/session/x.rs", "use sqlparser::ast::Expr;\n");
    assert_eq!(owned_crates(&parser).len(), 1);
    let clock = broken("src/statement/x.rs", "let t = std::time::Instant::now();\n");
    assert_eq!(without_io(&clock).len(), 1);
    let arm = broken("src/session/report.rs", "    _ => internal(),\n");
    assert_eq!(no_wildcard_in_report(&arm).len(), 1);
}
