//! What CONTRIBUTING.md shows of the code is there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[test]
fn adding_a_model_is_told_with_the_code_that_there_is() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let read = |path: &str| std::fs::read_to_string(format!("{folder}{path}")).unwrap();
    let code = read("src/models/wide_deep.rs") + &read("src/models/mod.rs");
    let told = read("../CONTRIBUTING.md");
    let blocks: Vec<&str> = told.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        assert!(code.contains(block), "CONTRIBUTING.md shows what is not in the code:\n{block}");
    }
}
