//! What can be checked of the container image without building it.

use std::path::{Path, PathBuf};

use crate::scene::{Scene, assert_holds};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The instructions of the Dockerfile, each on one line.
fn instructions() -> Vec<String> {
    let text = text("Dockerfile").replace("\\\n", " ");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The words of all instructions of a kind.
fn words(instructions: &[String], kind: &str) -> Vec<Vec<String>> {
    let of_kind = instructions.iter().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
    of_kind.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// Whether `.dockerignore` lets a path of the checkout into the image's build.
fn is_sent(path: &str) -> bool {
    let ignored = text(".dockerignore");
    let mut patterns = ignored.lines().filter_map(|line| line.strip_prefix('!'));
    patterns.any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == pattern || path.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('/')),
    })
}

#[test]
fn the_image_is_built_from_files_that_are_there_and_are_sent() {
    let instructions = instructions();
    let mut copied = 0;
    for line in words(&instructions, "COPY").iter().filter(|line| !line[0].starts_with("--from=")) {
        for source in &line[..line.len() - 1] {
            assert!(root().join(source).exists(), "COPY {source}: there is no such file");
            assert!(source == "." || is_sent(source), "COPY {source}: .dockerignore leaves it out");
            copied += 1;
        }
    }
    assert!(copied >= 4, "{instructions:#?}");
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        assert!(is_sent(&format!("{member}/Cargo.toml")), ".dockerignore leaves out {member}");
    }
    for needed in ["Cargo.lock", ".cargo/config.toml", "rpath/build.rs", "README.md", "scripts/licences.py"] {
        assert!(root().join(needed).exists() && is_sent(needed), "the build needs {needed}");
    }
    for private in [".git/config", "target/release/fm", "runs/likes/settings.toml", "model.pt", "token.txt"] {
        assert!(!is_sent(private), "{private} is sent to the builder");
    }
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert_holds(&instructions[0], &[&format!("FROM rust:{rust}-")]);
}

#[test]
fn the_image_serves_by_default_and_not_as_root() {
    let instructions = instructions();
    let list = |kind: &str| -> Vec<String> {
        let line = words(&instructions, kind).pop().unwrap().join(" ");
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(list("ENTRYPOINT"), ["fm"]);
    let command = list("CMD");
    assert_eq!(command[..2], ["serve", "model.pt"]);
    assert!(command.ends_with(&["--host".into(), "0.0.0.0".into()]), "other hosts cannot reach the server");
    assert_holds(&Scene::new().ok(&format!("{} --help", command.join(" "))), &["Usage: fm serve"]);
    let user: u32 = words(&instructions, "USER").pop().unwrap()[0].parse().unwrap();
    assert!(user > 0, "the server is root");
    let after = |kind: &str| instructions.iter().rposition(|line| line.starts_with(kind)).unwrap();
    assert!(after("USER") > after("RUN"), "a command after USER is not run as root");
}
