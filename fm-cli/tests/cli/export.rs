//! What exported files contain, and their use without the run and the data.

use fm_core::script::Scorer;
use serde_json::{Value, json};
use tch::Device;

use crate::scene::{FM_ON_ML, Scene, assert_holds, assert_same_scores};

/// A scene with a run on the table.
fn trained() -> Scene {
    let train =
        "train --data books.csv --schema schema.toml --model deepfm --task binary --threshold 4 --epochs 2 --run run";
    Scene::after(&[train])
}

fn extra_file(scene: &Scene, bundle: &str, name: &str) -> String {
    Scorer::load(scene.path(bundle), Device::Cpu).unwrap().extra_file(name).unwrap()
}

#[test]
fn an_exported_file_contains_its_schema_settings_metrics_and_card() {
    let scene = trained();
    let output = scene.run("export run -o model.pt --with-catalogue");
    assert_holds(
        &String::from_utf8_lossy(&output.stderr),
        &["wrote model.pt", "kB", "ms for 1 row", "ms for 1000 rows"],
    );
    let schema: Value = serde_json::from_str(&extra_file(&scene, "model.pt", "schema.json")).unwrap();
    assert_eq!(schema, scene.json("run/schema.json"));
    assert_eq!(extra_file(&scene, "model.pt", "settings.toml"), scene.text("run/settings.toml"));
    let metrics: Value = serde_json::from_str(&extra_file(&scene, "model.pt", "metrics.json")).unwrap();
    assert_eq!(metrics, scene.json("run/summary.json"));

    let card = extra_file(&scene, "model.pt", "model_card.md");
    let auc = format!("{:.4}", scene.json("run/summary.json")["test"]["auc"].as_f64().unwrap());
    let told = ["# DeepFM for `stars`", "at least 4", "books.csv", "split: random, seed 1", "2,400 to train", &auc];
    assert_holds(&card, &told);
    let fields = ["| `reader` | user | categorical, 60 values |", "separated by `\\|`", "numeric, mean", "not stated"];
    assert_holds(&card, &fields);
    assert_holds(&card, &["tables: f32", "catalogue: 79 items", "written by fm", "libtorch 2.11.0"]);
    // It has no path of this machine.
    assert!(!card.contains(&*scene.path("").to_string_lossy()), "{card}");

    scene.ok("export run -o model.pt --data-licence CC-BY-4.0");
    assert_holds(
        &extra_file(&scene, "model.pt", "model_card.md"),
        &["licence of the data: CC-BY-4.0", "catalogue: none"],
    );
}

#[test]
fn no_file_promises_probabilities_where_training_shifted_them() {
    let scene = Scene::new();
    let train = "train --data books.csv --schema schema.toml --model fm --task binary --threshold 4 --epochs 1 -q";
    for (shift, said) in [
        ("--set train.positive_weight=20", "s / (s + 20 * (1 - s))"),
        ("--set train.label_smoothing=0.2", "training smoothed the labels by 0.2"),
        ("--set train.focal_gamma=2", "focal loss, gamma 2"),
    ] {
        scene.ok(&format!("{train} {shift} --run run --force"));
        scene.ok("export run -o model.pt");
        scene.ok("export run -o models --format triton");
        scene.ok("report run --output report.html");
        let card = extra_file(&scene, "model.pt", "model_card.md");
        let explained = scene.ok("explain run --user r01 --item b02");
        let config = scene.text("models/fm/config.pbtxt");
        for text in [&card, &explained, &config, &scene.text("report.html")] {
            assert_holds(text, &["Scores are not probabilities", said]);
        }
        for text in [&card, &explained, &config] {
            assert!(!text.contains("the probability that") && !text.contains("calibrated"), "{text}");
        }
    }
}

#[test]
fn the_card_of_movielens_states_the_terms_of_grouplens() {
    let scene = Scene::after(&[FM_ON_ML]);
    scene.ok("export run -o model.pt");
    let card = extra_file(&scene, "model.pt", "model_card.md");
    assert_holds(
        &card,
        &["# FM for `rating`", "within 1 to 5", "no redistribution", "| `history` | user | multi-valued"],
    );
}

#[test]
fn the_command_and_the_card_state_the_cost_of_rounded_tables() {
    let scene = trained();
    scene.ok("export run -o f32.pt");
    scene.ok("predict f32.pt --input books.csv --output f32.csv");
    let exact = scene.scores("f32.csv");
    for (option, name, bound) in
        [("--dtype f16", "f16", 1e-3), ("--dtype bf16", "bf16", 1e-2), ("--quantize int8", "int8", 2e-2)]
    {
        let told = scene.ok(&format!("export run -o {name}.pt {option}"));
        let lines: Vec<&str> = told.lines().collect();
        let summary = scene.json("run/summary.json");
        let test = summary["test"].as_object().unwrap();
        assert_eq!(lines.len(), test.len(), "{told}");
        for (line, (metric, value)) in lines.iter().zip(test) {
            assert!(line.starts_with(&format!("test {metric} {:.6} -> ", value.as_f64().unwrap())), "{told}");
        }
        let card = extra_file(&scene, &format!("{name}.pt"), "model_card.md");
        assert_holds(&card, &[&format!("tables: {name}"), &format!("against f32: {}", lines[0])]);

        scene.ok(&format!("predict {name}.pt --input books.csv --output {name}.csv"));
        let greatest =
            scene.scores(&format!("{name}.csv")).iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(greatest > 0.0 && greatest < bound, "{name}: {greatest}");
    }
    scene.fails_with("export run -o new.pt --dtype f16 --quantize int8", &["--dtype", "cannot be used with"]);
    // The cost is measured only on the data that the run was trained on.
    let is_unmeasured = |reason: &str| {
        let output = scene.run("export run -o new.pt --quantize int8");
        assert!(output.stdout.is_empty());
        assert_holds(&String::from_utf8_lossy(&output.stderr), &["the cost of rounding was not measured", reason]);
        assert_holds(&extra_file(&scene, "new.pt", "model_card.md"), &["tables: int8", "was not measured"]);
    };
    let rows = scene.text("books.csv");
    scene.write("books.csv", format!("{rows}{}", rows.split_once('\n').unwrap().1));
    is_unmeasured("the data has changed since training");
    std::fs::remove_file(scene.path("books.csv")).unwrap();
    is_unmeasured("books.csv");
    scene.ok("export run -o new.pt");
}

#[test]
fn a_file_with_a_catalogue_recommends_without_the_data() {
    let scene = trained();
    scene.ok("export run -o model.pt --with-catalogue");
    scene.ok("export run -o bare.pt");
    let about = scene.ok_json("recommend model.pt --user r07 --about reader=r07 --top 100 --json");
    let items = about["items"].as_array().unwrap();
    assert_eq!((items.len(), &about["known_user"]), (79, &json!(true)));

    // Each score equals that of a row with this user and this book.
    let rows = scene.text("books.csv");
    let book = |item: &Value| {
        let id = item["item"].as_str().unwrap();
        let row = rows.lines().find(|row| row.split(',').nth(1) == Some(id)).unwrap();
        format!("r07,{}\n", row.split_once(',').unwrap().1)
    };
    let header = format!("{}\n", rows.lines().next().unwrap());
    scene.write("of_user.csv", items.iter().fold(header, |table, item| table + &book(item)));
    scene.ok("predict run --input of_user.csv --output scored.csv");
    let scores: Vec<f64> = items.iter().map(|item| item["score"].as_f64().unwrap()).collect();
    assert_same_scores(&scores, &scene.scores("scored.csv"));
    assert!(scores.is_sorted_by(|a, b| a >= b));

    let first = items[0]["item"].as_str().unwrap();
    assert!(items.iter().all(|item| item["title"].as_str().unwrap().ends_with(", or é")));
    let exclude = format!("--user r07 --exclude {first} --top 2 --json");
    let others = scene.ok_json(&format!("recommend model.pt --about reader=r07 {exclude}"));
    assert_eq!(others["items"][0]["item"], items[1]["item"]);
    scene.fails_with(
        "recommend model.pt --user r07 --about pages=3",
        &["unknown field `pages`", "reader, book, tags, price"],
    );
    scene.fails_with("recommend model.pt --user r07 --about pages", &["FIELD=VALUE"]);
    scene.fails_with("recommend model.pt --user r07 --about price=3", &["`price` is a field of the item"]);
    scene.fails_with(
        "recommend model.pt --user r07 --about reader=r08",
        &["`reader` is given twice, as `r07` and `r08`"],
    );
    scene.fails_with("recommend run --user r07 --about reader=r07", &["run is a run", "exported file"]);
    let bare = "recommend bare.pt --user r07 --about reader=r07";
    scene.fails_with(bare, &["bare.pt", "no catalogue", "--with-catalogue"]);
    scene.fails_with("recommend model.pt --user r07 --data no.csv", &["no.csv"]);
    let output = scene.run("recommend model.pt --user nobody --about reader=nobody --json");
    assert_holds(&String::from_utf8_lossy(&output.stderr), &["user nobody is not in the file"]);
    assert_holds(&String::from_utf8_lossy(&output.stdout), &["\"known_user\": false"]);

    std::fs::remove_file(scene.path("books.csv")).unwrap();
    let output = scene.run("recommend model.pt --user r07 --top 3");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    assert_holds(&String::from_utf8_lossy(&output.stderr), &["books.csv", "recommending from all items", "--about"]);
    scene.fails_with("recommend bare.pt --user r07", &["books.csv"]);
    scene.fails_with("export run -o new.pt --with-catalogue", &["books.csv"]);
}

#[test]
fn an_onnx_file_contains_what_onnx_supports() {
    let scene = trained();
    scene.ok("export run --format onnx -o model.onnx");
    let bytes = scene.bytes("model.onnx");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(["schema.json", "ids", "values", "logits", "batch", "embedding.weight"].into_iter().all(holds));
    scene.fails_with("export run -o new.onnx", &["new.onnx would contain TorchScript", "--format onnx"]);
    scene.fails_with("export run -o -", &["standard output"]);
    scene.fails_with("export run -o run/schema.json", &["run/schema.json is a file of the run"]);
    for option in ["--with-catalogue", "--dtype f16", "--quantize int8"] {
        scene.fails_with(
            &format!("export run --format onnx -o new.onnx {option}"),
            &["ONNX", option.split(' ').next().unwrap()],
        );
    }
}
