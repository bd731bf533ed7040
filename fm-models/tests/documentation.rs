//! Code in CONTRIBUTING.md exists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[test]
fn contributing_shows_the_code_of_a_model() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let read = |path: &str| std::fs::read_to_string(format!("{folder}{path}")).unwrap();
    let code = read("src/models/wide_deep.rs") + &read("src/models/mod.rs");
    let told = read("../CONTRIBUTING.md");
    let blocks: Vec<&str> = told.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        assert!(code.contains(block), "CONTRIBUTING.md shows code that does not exist:\n{block}");
    }
}
