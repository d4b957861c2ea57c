//! The layers of `src/`: the allowed imports between folders, and no circles among the modules of a folder.
//!
//! `cargo test --all-features --test it layers -- --nocapture` lists every arrow between layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each layer and its allowed imports. An unlisted path belongs to the layer above it.
const LAYERS: [(&str, &[&str]); 13] = [
    ("clock", &[]),
    ("json", &[]),
    ("environment", &[]),
    ("telemetry", &["clock", "environment", "json"]),
    ("domain", &["json", "telemetry"]),
    ("domain::inbound", &["domain", "json", "telemetry"]),
    (
        "domain::outbound",
        &["domain", "domain::inbound", "json", "telemetry"],
    ),
    ("config", &["domain::outbound", "environment"]),
    (
        "adapters",
        &["config", "domain", "domain::inbound", "environment"],
    ),
    (
        "entrypoints",
        &[
            "config",
            "domain",
            "domain::inbound",
            "domain::outbound",
            "json",
            "telemetry",
        ],
    ),
    (
        "wiring",
        &[
            "adapters",
            "clock",
            "config",
            "domain",
            "domain::inbound",
            "entrypoints",
            "environment",
            "telemetry",
        ],
    ),
    (
        "service",
        &[
            "adapters",
            "config",
            "domain",
            "domain::inbound",
            "entrypoints",
            "environment",
            "telemetry",
        ],
    ),
    (
        "tools",
        &[
            "adapters",
            "clock",
            "config",
            "domain",
            "domain::inbound",
            "domain::outbound",
            "environment",
            "json",
            "service",
            "telemetry",
        ],
    ),
];

/// The domain's ports name the requests of `inbound`.
const EXCEPTION: (&str, &str) = ("domain::ports", "domain::inbound::request");

/// A pattern's operator may contain patterns.
const RECURSION: [&str; 2] = ["operators", "parse"];

/// A module and its imports, as paths from the root of the crate.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn layers_import_only_lower_layers() {
    let found = arrows(&sources());
    for (from, to) in &found {
        println!("{from} -> {to}");
    }
    assert!(found.len() > 10, "expected arrows, found {}", found.len());
    let allowed = |from: &str, to: &str| {
        let layer = LAYERS.iter().find(|(layer, _)| *layer == from);
        layer.is_some_and(|(_, below)| below.contains(&to))
    };
    let wrong: Vec<_> = found
        .iter()
        .filter(|(from, to)| !allowed(from, to))
        .collect();
    assert!(
        wrong.is_empty(),
        "expected only the arrows of `LAYERS`, found {wrong:?}"
    );
}

#[test]
fn no_folder_has_a_circle() {
    let circles = circles(&sources());
    let circles: Vec<_> = circles
        .into_iter()
        .filter(|circle| {
            !RECURSION
                .iter()
                .all(|one| circle.contains(&format!("domain::inbound::routes::pattern::{one}")))
        })
        .collect();
    assert!(circles.is_empty(), "expected no circle, found {circles:#?}");
}

#[test]
fn a_planted_import_of_an_outer_layer_or_circle_is_found() {
    let planted = |module: &str, text: &str| {
        let mut files = read();
        files
            .get_mut(module)
            .unwrap()
            .push_str(&format!("\n{text}"));
        imports(&files)
    };
    let found = arrows(&planted("domain::retry", "use crate::adapters::aws;"));
    assert!(found.contains(&("domain".to_owned(), "adapters".to_owned())));
    let found = arrows(&planted(
        "telemetry::xray",
        "fn f() { crate::wiring::g(); }",
    ));
    assert!(found.contains(&("telemetry".to_owned(), "wiring".to_owned())));
    let circles = circles(&planted(
        "domain::inbound::message",
        "use super::{dispatch::deliver, routes};",
    ));
    assert!(
        circles
            .iter()
            .any(|circle| circle.iter().any(|one| one.ends_with("::dispatch")))
    );
}

fn layer(module: &str) -> &'static str {
    let layers = LAYERS.iter().map(|(layer, _)| *layer);
    let inside = |layer: &&str| {
        let rest = module.strip_prefix(*layer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let layers = layers.filter(inside);
    layers.max_by_key(|layer| layer.len()).unwrap_or("no layer")
}

fn arrows(imports: &Imports) -> BTreeSet<(String, String)> {
    let mut arrows = BTreeSet::new();
    for (module, imported) in imports {
        for other in imported {
            let is_exception = module == EXCEPTION.0 && other.starts_with(EXCEPTION.1);
            let (from, to) = (layer(module), layer(other));
            if from != to && !is_exception {
                arrows.insert((from.to_owned(), to.to_owned()));
            }
        }
    }
    arrows
}

/// Modules of one folder that import each other, directly or not, each with the modules below it.
fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let mut siblings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, imported) in imports {
        for other in imported {
            if let Some((from, to)) = diverging(module, other) {
                siblings.entry(from).or_default().insert(to);
            }
        }
    }
    let reach = |start: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(next) = open.pop() {
            for to in siblings.get(next).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    open.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = siblings.keys().map(|one| (one, reach(one))).collect();
    let circles = reached.iter().filter(|(one, seen)| seen.contains(**one));
    let circles: BTreeSet<_> = circles
        .map(|(one, seen)| {
            let back = |other: &&String| reached.get(other).is_some_and(|seen| seen.contains(*one));
            seen.iter().filter(back).cloned().collect::<BTreeSet<_>>()
        })
        .collect();
    circles.into_iter().collect()
}

/// Two modules, each cut after the first name in which they differ; `None` if one contains the other.
fn diverging(module: &str, other: &str) -> Option<(String, String)> {
    let (one, two): (Vec<_>, Vec<_>) = (module.split("::").collect(), other.split("::").collect());
    let same = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
    let (first, second) = (one.get(..=same)?, two.get(..=same)?);
    Some((first.join("::"), second.join("::")))
}

fn sources() -> Imports {
    imports(&read())
}

/// The text of each module of the library, without comments and tests.
fn read() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut open) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(&root).unwrap().with_extension("");
            let module = inside
                .to_str()
                .unwrap()
                .replace(std::path::MAIN_SEPARATOR, "::");
            let is_test = module
                .split("::")
                .any(|part| part == "tests" || part == "testing");
            if module == "bin" || module == "lib" || is_test {
                continue;
            }
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            files.insert(module, lines.collect::<Vec<_>>().join("\n"));
        }
    }
    files
}

fn imports(files: &BTreeMap<String, String>) -> Imports {
    let mut reexports: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (module, text) in files {
        let exported = reexports.entry(module.clone()).or_default();
        for (path, public) in used(text) {
            let (parent, name) = path.rsplit_once("::").unwrap_or(("", &path));
            let child = format!("{module}::{parent}");
            if public && files.contains_key(&child) {
                exported.insert(name.to_owned(), child);
            }
        }
    }
    let resolve = |path: &str| {
        let mut module = path;
        while !files.contains_key(module) {
            module = module.rsplit_once("::")?.0;
        }
        let rest = path.strip_prefix(module)?.trim_start_matches("::");
        let name = rest.split("::").next()?;
        let inside = reexports.get(module).and_then(|names| names.get(name));
        Some(inside.cloned().unwrap_or_else(|| module.to_owned()))
    };
    let of = |module: &String, text: &String| {
        let paths = used(text).into_iter().map(|(path, _)| path);
        let paths = paths.chain(inline(text));
        let paths = paths.filter_map(|path| absolute(module, &path));
        let imported = paths.filter_map(|path| resolve(&path));
        imported.filter(|other| other != module).collect()
    };
    files
        .iter()
        .map(|(module, text)| (module.clone(), of(module, text)))
        .collect()
}

/// A path from the root of the crate; `None` for other crates.
fn absolute(module: &str, path: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let (mut base, mut rest) = (module, path);
    while let Some(up) = rest.strip_prefix("super::") {
        base = base.rsplit_once("::").map_or("", |(parent, _)| parent);
        rest = up;
    }
    (rest != path).then(|| {
        format!("{base}::{rest}")
            .trim_start_matches("::")
            .to_owned()
    })
}

/// The paths of all `use` items, without groups, and whether each is `pub`.
fn used(text: &str) -> Vec<(String, bool)> {
    let mut paths = Vec::new();
    for statement in text.split(';') {
        let Some(at) = statement.rfind("use ") else {
            continue;
        };
        let before = statement[..at].trim_end();
        let is_statement = at == 0 || statement[..at].ends_with(['\n', ' ', ')']);
        if is_statement {
            let public = before.ends_with("pub");
            let mut all = Vec::new();
            expand("", statement[at + 4..].trim(), &mut all);
            paths.extend(all.into_iter().map(|path| (path, public)));
        }
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        paths.push(format!("{prefix}{path}"));
        return;
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = group[start..at].trim();
                if !part.is_empty() {
                    expand(&format!("{prefix}{}", head.trim()), part, paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Paths outside `use` items.
fn inline(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if text[..at].ends_with(is_name) {
                continue;
            }
            let path = text[at..].split(|c| !is_name(c)).next().unwrap();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths
}
