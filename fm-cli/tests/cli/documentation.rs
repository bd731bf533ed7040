//! The commands, files and programs that the pages show work as shown.

use std::path::{Path, PathBuf};

use crate::scene::{Scene, assert_holds, python};

const PAGES: [&str; 9] = [
    "README.md",
    "docs/guide.md",
    "docs/models.md",
    "docs/serving.md",
    "docs/python.md",
    "docs/results.md",
    "docs/distributed.md",
    "examples/README.md",
    "examples/retrieval/README.md",
];

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The blocks of a language on a page, without their fences.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The arguments of each call of `fm` in the shell blocks of a page, without comments and redirections.
fn commands(page: &str) -> Vec<String> {
    let blocks = blocks(page, "sh").concat().replace("\\\n", " ");
    // A launcher's command ends with `-- fm ...`.
    let lines =
        blocks.lines().filter_map(|line| line.strip_prefix("fm ").or_else(|| Some(line.split_once("-- fm ")?.1)));
    lines
        .map(|line| {
            line.split([' ', '\t']).take_while(|word| !matches!(*word, "#" | ">")).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn every_command_on_a_page_parses() {
    let scene = Scene::new();
    let commands: Vec<String> = PAGES.iter().flat_map(|name| commands(&page(name))).collect();
    assert!(commands.len() > 30, "{commands:?}");
    // With `--help`, the other arguments are parsed, but the command does not run.
    for command in commands {
        assert_holds(&scene.ok(&format!("{command} --help")), &["Usage:"]);
    }
    assert!(!scene.fm("train --no-such-flag --help").output().unwrap().status.success());
    assert!(!scene.fm("train --task no-such-task --help").output().unwrap().status.success());
}

#[test]
fn the_declaration_in_the_guide_works() {
    let scene = Scene::new();
    let declaration = blocks(&page("docs/guide.md"), "toml").into_iter().find(|text| text.contains("[[field]]"));
    scene.write("clicks.toml", declaration.unwrap());
    scene.write(
        "clicks.csv",
        "click,user,ad,interests,visited,price,event_time\n1,ann,shoes,run|run|ski,hats,9.5,2024-05-06\n0,ann,hats,,,cheap,\n",
    );
    let fields = &scene.ok_json("data inspect clicks.csv --schema clicks.toml --json")["fields"];
    let names: Vec<&str> = fields.as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["user", "ad", "interests", "visited", "price", "price_bucket", "hour", "ad_by_hour"]);
}

#[test]
fn the_search_space_in_the_guide_works() {
    let scene = Scene::new();
    let space = blocks(&page("docs/guide.md"), "toml").into_iter().find(|text| text.contains("choices"));
    scene.write("space.toml", space.unwrap());
    let found = scene.ok("tune space.toml --data ml --trials 1 --set train.epochs=1");
    assert_holds(&found, &["rmse", "model.options.embedding_dim", "train.lr"]);
}

#[test]
fn the_programs_on_the_page_about_serving_run() {
    let Some(python) = python() else { return };
    let scene = Scene::new();
    scene.ok("train --data ml --model lr --epochs 1 --run run");
    scene.ok("export run -o model.pt");
    let program = blocks(&page("docs/serving.md"), "python").concat();
    let output = scene.command(python).args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_holds(&String::from_utf8(output.stdout).unwrap(), &["MovieLens"]);
}

#[test]
fn the_page_about_models_has_a_section_with_the_options_of_each_model() {
    let text = page("docs/models.md");
    for model in Scene::new().ok_json("models --json").as_array().unwrap() {
        let title = model["title"].as_str().unwrap();
        let heading = format!("\n## {title}\n");
        let section = text.split(&heading).nth(1).unwrap_or_else(|| panic!("docs/models.md has no section {title}"));
        let section = section.split("\n## ").next().unwrap();
        for (name, value) in model["options"].as_object().unwrap() {
            let option = format!("`{name} = {value}`");
            assert!(section.contains(&option), "the section {title} of docs/models.md should hold {option}");
        }
    }
}

#[test]
fn every_link_from_a_page_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/rust.md", "notebooks-port/README.md"];
    for name in PAGES.iter().chain(&others) {
        let folder: PathBuf = root.join(name).parent().unwrap().into();
        for link in page(name).split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = link.split('#').next().unwrap();
            let is_there = file.is_empty() || file.starts_with("https://") || folder.join(file).exists();
            assert!(is_there, "{name} links to {link}, which does not exist");
        }
    }
}
