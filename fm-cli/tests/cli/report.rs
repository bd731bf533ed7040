//! `fm report`: one HTML file on one run or several.

use std::collections::BTreeSet;

use roxmltree::{Document, Node, ParsingOptions};

use crate::data::{ACCENTED, rows};
use crate::scene::{FM_ON_BOOKS, FM_ON_ML, LR_ON_ML, Scene, assert_holds};

/// Writes a report, checks what holds for every report, and passes it to `look`.
fn report(scene: &Scene, runs: &str, look: impl FnOnce(&Node<'_, '_>)) {
    scene.ok(&format!("report {runs} -o report.html"));
    let text = scene.text("report.html");
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let page = Document::parse_with_options(&text, options).unwrap_or_else(|error| panic!("{error}"));
    let root = page.root_element();
    let elements = || root.descendants().filter(Node::is_element);

    for loading in ["script", "link", "img", "iframe", "object", "embed", "image", "use"] {
        assert!(elements().all(|element| !element.has_tag_name(loading)), "there is a {loading}");
    }
    for attribute in elements().flat_map(|element| element.attributes()) {
        let (name, value) = (attribute.name(), attribute.value());
        assert!(name != "src" && !name.starts_with("on"), "{name}={value}");
        assert!(name != "href" || value.starts_with('#'), "{name}={value}");
    }
    assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import") && !text.contains("url("));

    let ids: BTreeSet<&str> = elements().filter_map(|element| element.attribute("id")).collect();
    for link in elements().filter_map(|element| element.attribute("href")) {
        assert!(ids.contains(&link[1..]), "{link} leads nowhere");
    }
    assert_eq!(elements().filter(|element| element.has_tag_name("h1")).count(), 1);
    for table in elements().filter(|element| element.has_tag_name("table")) {
        let heads = table.descendants().filter(|cell| cell.attribute("scope") == Some("col"));
        assert!(heads.filter(|cell| text_of(cell).is_empty()).count() == 0 && !text_of(&table).is_empty());
    }
    for chart in elements().filter(|element| element.has_tag_name("svg")) {
        let label = chart.attribute("aria-label").unwrap();
        assert!(label.len() > 20 && chart.attribute("role") == Some("img"), "{label}");
        let mut marks = 0;
        for mark in chart.descendants().filter(Node::is_element) {
            let colours = [mark.attribute("fill"), mark.attribute("stroke")];
            marks += usize::from(colours.iter().flatten().any(|colour| colour.starts_with("var(--series-")));
            assert!(colours.iter().flatten().all(|colour| *colour == "none" || colour.starts_with("var(")), "{mark:?}");
            for name in ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"] {
                let numbers = mark.attribute(name).into_iter().flat_map(|value| value.split([' ', ',']));
                for number in numbers.filter(|number| !number.is_empty()) {
                    let number: f64 = number.parse().unwrap_or_else(|_| panic!("{label}: {name}={number}"));
                    assert!(number.is_finite() && (-1.0..20_000.0).contains(&number), "{label}: {name}={number}");
                }
            }
        }
        assert!(marks > 0, "nothing is drawn: {label}");
    }
    look(&root);
}

/// All text in a node, with a space between pieces.
fn text_of(node: &Node<'_, '_>) -> String {
    let texts = node.descendants().filter(Node::is_text).filter_map(|text| text.text());
    texts.map(str::trim).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

fn section(root: &Node<'_, '_>, id: &str) -> String {
    let section = root.descendants().find(|element| element.attribute("id") == Some(id));
    text_of(&section.unwrap_or_else(|| panic!("there is no section {id}")))
}

fn has_section(root: &Node<'_, '_>, id: &str) -> bool {
    root.descendants().any(|element| element.has_tag_name("section") && element.attribute("id") == Some(id))
}

/// The number of charts in a section.
fn charts(root: &Node<'_, '_>, id: &str) -> usize {
    let section = root.descendants().find(|element| element.attribute("id") == Some(id)).unwrap();
    section.descendants().filter(|element| element.has_tag_name("svg")).count()
}

#[test]
fn the_report_of_a_binary_run_has_all_sections_and_the_numbers_of_its_summary() {
    let scene = Scene::new();
    scene.ok("train --data ml --model deepfm --task binary --epochs 3 --run run");
    let summary = scene.summary("run");
    report(&scene, "run", |page| {
        let told = section(page, "summary");
        for value in summary["test"].as_object().unwrap().values().chain([&summary["baselines"]["mean"]["logloss"]]) {
            assert_holds(&told, &[&format!("{:.4}", value.as_f64().unwrap())]);
        }
        assert_holds(
            &told,
            &["run (DeepFM) predicts whether rating is at least 4", "mean label", "user and item bias"],
        );
        assert_holds(&told, &["±0.", "run: log loss of the test rows, with its 95% interval"]);
        assert_eq!(charts(page, "curves"), 6); // the log loss of training and validation, and five other metrics
        assert_holds(&section(page, "curves"), &["Log loss of the training and validation rows"]);
        assert_holds(&section(page, "matters"), &["movie_id", "Values shuffled", "in log-odds"]);
        assert_holds(&section(page, "failures"), &["Test rows with the largest losses"]);
        let auc = format!("run: AUC {:.4}", summary["test"]["auc"].as_f64().unwrap());
        assert_holds(&section(page, "classification"), &[&auc, "run: AP 0.", "run: ECE 0.", "by chance"]);
        assert_eq!(charts(page, "classification"), 4);
        assert!(!has_section(page, "regression"));
        assert_holds(&section(page, "failures"), &["Log loss by the training rows of the user", "mean label"]);
        assert_holds(&section(page, "interactions"), &["Pairs of fields", "deep part", "pairs"]);
        assert_holds(&section(page, "embeddings"), &["Items by genres", "principal components", ACCENTED]);
        assert_holds(&section(page, "settings"), &["fm train --config ", "settings.toml", "libtorch 2.11"]);
    });
}

#[test]
fn the_report_of_a_regression_shows_predictions_by_label() {
    let scene = Scene::after(&[FM_ON_BOOKS]);
    report(&scene, "run", |page| {
        assert_eq!(charts(page, "regression"), 2);
        assert!(!has_section(page, "classification"));
        assert_holds(&section(page, "regression"), &["Predictions by true stars"]);
        assert_holds(&section(page, "settings"), &["fm train --config", "kind = \"multi-valued\""]);
        assert_holds(&section(page, "embeddings"), &["Items by tags", "or é"]);
    });
}

#[test]
fn several_runs_share_charts_and_tables() {
    let scene = Scene::new();
    for model in ["fm", "ffm", "afm"] {
        scene.ok(&format!("train --data ml --model {model} --epochs 2 --run runs/{model}"));
    }
    report(&scene, "runs/fm runs/ffm runs/afm", |page| {
        let best =
            ["fm", "ffm", "afm"].map(|model| (scene.summary(&format!("runs/{model}"))["test"]["rmse"].as_f64(), model));
        let best = best.iter().min_by(|a, b| a.0.partial_cmp(&b.0).unwrap()).unwrap().1;
        assert_holds(&section(page, "summary"), &[&format!("{best} has the best RMSE")]);
        for chart in page.descendants().filter(|element| element.has_tag_name("svg")) {
            let label = chart.attribute("aria-label").unwrap();
            if label.contains("by epoch") || label.contains("by the t") {
                let colours: BTreeSet<&str> = chart
                    .descendants()
                    .filter_map(|mark| mark.attribute("stroke"))
                    .filter(|c| c.contains("series"))
                    .collect();
                assert_eq!(colours.len(), 3, "{label}");
                assert_holds(label, &["fm ", "ffm ", "afm "]);
            }
        }
        assert_eq!(charts(page, "interactions"), 4); // AFM's attention, too
        assert_holds(&section(page, "interactions"), &["Attention of pairs of fields"]);
        assert_holds(&section(page, "settings"), &["Settings that differ Setting fm ffm afm model.name fm ffm afm"]);
    });
}

#[test]
fn runs_of_different_tasks_are_not_compared() {
    let scene = Scene::after(&[LR_ON_ML]);
    scene.ok("train --data ml --model lr --epochs 1 --task binary --run likes");
    report(&scene, "run likes", |page| {
        let told = section(page, "summary");
        assert_holds(&told, &["different tasks or test rows", "Regression: Test rows", "Binary, from 4: Test rows"]);
        assert!(has_section(page, "classification") && has_section(page, "regression"));
    });
}

/// The cells of a table's rows.
fn cells(root: &Node<'_, '_>, caption: &str) -> Vec<Vec<String>> {
    let is_asked_for = |table: &Node<'_, '_>| {
        table.has_tag_name("table")
            && table.descendants().any(|node| node.has_tag_name("caption") && text_of(&node) == caption)
    };
    let table = root.descendants().find(is_asked_for).unwrap_or_else(|| panic!("there is no table {caption}"));
    let rows = table.descendants().filter(|node| node.has_tag_name("tr")).skip(1);
    rows.map(|row| row.children().filter(Node::is_element).map(|cell| text_of(&cell)).collect()).collect()
}

#[track_caller]
fn assert_in_order(text: &str, words: &[&str]) {
    let places: Vec<usize> = words.iter().map(|word| text.find(word).unwrap_or_else(|| panic!("no {word}"))).collect();
    assert!(places.is_sorted(), "{words:?} are at {places:?}");
}

/// A scene with two rankings.
fn rankings() -> Scene {
    Scene::after(
        &["fm", "lr"]
            .map(|model| format!("train --data ml --model {model} --task ranking --epochs 1 --run runs/{model}")),
    )
}

#[test]
fn a_ranking_has_its_metrics_and_curves_by_the_length_of_the_lists() {
    let scene = rankings();
    let ndcg = ["fm", "lr"].map(|model| scene.summary(&format!("runs/{model}"))["test"]["ndcg@10"].as_f64().unwrap());
    let best = if ndcg[1] > ndcg[0] { "lr" } else { "fm" };
    report(&scene, "runs/fm runs/lr", |page| {
        let told = section(page, "summary");
        assert_holds(&told, &[&format!("{best} has the best NDCG@10 on the test rows"), "popularity", "item-kNN"]);
        assert_holds(&told, &ndcg.map(|value| format!("{value:.4}")).each_ref().map(String::as_str));
        assert_in_order(&told, &["Metric", "HR@10", "MRR", "Other metrics", "HR@5", "HR@20", "NDCG@5", "NDCG@20"]);
        let of_valid = ["NDCG@10 of the validation", "HR@5 of", "HR@10 of", "HR@20 of", "NDCG@5 of", "NDCG@20 of"];
        assert_in_order(&section(page, "curves"), &of_valid);
        assert!(!has_section(page, "classification") && !has_section(page, "regression"));
        assert_holds(&section(page, "interactions"), &["leaves out pairs without a field of the item"]);
        assert_holds(&section(page, "examples"), &["Recommended by fm"]);
    });
}

#[test]
fn a_ranking_fails_by_the_training_rows_of_users_and_of_their_test_items() {
    let scene = rankings();
    // The pairs of the parts, and by definition the training rows of each user and, on average, of the user's test items.
    let pairs = |part: &str| -> Vec<(String, String)> {
        scene.ok(&format!("evaluate runs/fm --part {part} --output {part}.csv"));
        scene
            .column(&format!("{part}.csv"), "user_id")
            .into_iter()
            .zip(scene.column(&format!("{part}.csv"), "movie_id"))
            .collect()
    };
    let [train, test] = ["train", "test"].map(pairs);
    let users: BTreeSet<&String> = test.iter().map(|(user, _)| user).collect();
    let rows_of_user = |user: &String| train.iter().filter(|row| row.0 == *user).count() as f64;
    let rows_of_items = |user: &String| {
        let items: Vec<&String> = test.iter().filter(|row| row.0 == *user).map(|row| &row.1).collect();
        let rows = train.iter().filter(|row| items.contains(&&row.1)).count();
        rows as f64 / items.len() as f64
    };
    let summaries = ["fm", "lr"].map(|model| scene.summary(&format!("runs/{model}")));
    let values = [&summaries[0]["test"], &summaries[1]["test"], &summaries[0]["baselines"]["popularity"]];
    report(&scene, "runs/fm runs/lr", |page| {
        assert_eq!(charts(page, "failures"), 2);
        assert_holds(&section(page, "failures"), &["NDCG@10 by the training rows of the user", "popularity"]);
        let seen: [Vec<f64>; 2] = [
            users.iter().map(|user| rows_of_user(user)).collect(),
            users.iter().map(|user| rows_of_items(user)).collect(),
        ];
        for (what, mut seen) in ["user", "item"].into_iter().zip(seen) {
            let table = cells(page, &format!("Users by the training rows of the {what}"));
            let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text}"));
            let sizes: Vec<f64> = table.iter().map(|row| number(&row[1])).collect();
            assert_eq!(sizes.iter().sum::<f64>(), users.len() as f64);
            // Means of the buckets, weighed by their users, are the means of all.
            for (column, metrics) in values.iter().enumerate() {
                let sum: f64 = table.iter().zip(&sizes).map(|(row, size)| number(&row[2 + column]) * size).sum();
                let expected = metrics["ndcg@10"].as_f64().unwrap();
                assert!((sum / users.len() as f64 - expected).abs() < 1e-4, "{what}, {column}: {sum} and {expected}");
            }
            // So many users are in the buckets, from the least to the greatest, whose bounds have three digits.
            seen.sort_by(f64::total_cmp);
            let mut first = 0;
            for (row, size) in table.iter().zip(&sizes) {
                let last = first + *size as usize;
                let (low, high) = row[0].split_once('–').unwrap_or((&row[0], &row[0]));
                for (shown, expected) in [(number(low), seen[first]), (number(high), seen[last - 1])] {
                    assert!((shown - expected).abs() < 0.051, "{what}: {shown} and {expected}");
                }
                first = last;
            }
        }
    });
}

#[test]
fn a_metric_over_all_users_is_not_broken_down_by_user() {
    let scene = Scene::new();
    scene.ok("train --data ml --model lr --task ranking --epochs 1 --set train.monitor=coverage@5 --run run");
    report(&scene, "run", |page| {
        assert_eq!(charts(page, "failures"), 0);
        assert_holds(&section(page, "failures"), &["run: coverage@5 is measured over the lists of all users together"]);
    });
}

#[test]
fn the_report_recommends_what_the_command_recommends() {
    let scene = Scene::after(&[FM_ON_ML]);
    report(&scene, "run", |page| {
        let told = section(page, "examples");
        let user = told.split("User ").nth(1).unwrap().split(',').next().unwrap();
        let items = scene.ok_json(&format!("recommend run --user {user} --json"))["items"].clone();
        let lines = items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| format!("{:.3} {}", item["score"].as_f64().unwrap(), item["title"].as_str().unwrap()));
        assert_holds(&told, &[&lines.collect::<Vec<_>>().join(" ")]);
    });
}

#[test]
fn markup_in_titles_and_names_is_escaped() {
    let scene = Scene::new();
    let titles = ["<script>alert('é')</script>", "A & B \"]]>", "🎬 \u{1}Film\u{7}", &"Very long ".repeat(40), " "];
    let odd = |row: String| {
        let book: usize = row[5..7].parse().unwrap();
        match titles.get(book - 1) {
            Some(title) => {
                row.replace(&format!("\"Book {book}, or é\""), &format!("\"{}\"", title.replace('"', "\"\"")))
            }
            None => row.replace("kind1", "<b>kind & 1</b>"),
        }
    };
    scene.write("odd.csv", rows().into_iter().map(odd).fold(crate::data::HEADER.to_owned(), |table, row| table + &row));
    scene.ok("train --data odd.csv --schema schema.toml --model fm --epochs 1 --run runs/a&b<i>");
    report(&scene, "runs/a&b<i>", |page| {
        assert_holds(&section(page, "summary"), &["a&b<i> (FM)"]);
        let map = section(page, "embeddings");
        assert_holds(
            &map,
            &["<script>alert('é')</script>", "A & B \"]]>", "🎬 \u{fffd}Film\u{fffd}", "<b>kind & 1</b>"],
        );
        assert_holds(&map, &["b05"]); // the title is blank: the id stands for it
    });
}

#[test]
fn a_sentence_says_what_a_run_does_not_have() {
    let scene = Scene::new();
    scene.ok("train --train books.csv --split random:0:0 --schema schema.toml --model lr --epochs 1 --run alone");
    report(&scene, "alone", |page| {
        assert_holds(&section(page, "summary"), &["There are no test rows"]);
        assert_holds(&section(page, "curves"), &["there are no validation rows"]);
        for id in ["regression", "failures"] {
            assert_holds(&section(page, id), &["alone: there are no test rows."]);
            assert_eq!(charts(page, id), 0);
        }
        assert_holds(&section(page, "interactions"), &["LR has no terms of pairs"]);
        assert_holds(&section(page, "embeddings"), &["LR has no table that gives each item one vector"]);
        assert_holds(&section(page, "examples"), &["the most active", "Recommended by alone"]);
    });

    scene.write("anonymous.toml", scene.text("schema.toml").replace("user = ", "# ").replace("item = ", "# "));
    scene.ok("train --data books.csv --schema anonymous.toml --model fm --epochs 1 --run anonymous");
    report(&scene, "anonymous", |page| {
        assert!(["embeddings", "examples"].iter().all(|id| !has_section(page, id)));
        assert_holds(&section(page, "failures"), &["Test rows with the largest losses Label Prediction"]);
    });
}

#[test]
fn the_report_of_an_interrupted_run_shows_what_there_is() {
    let scene = Scene::after(&[FM_ON_ML]);
    std::fs::remove_file(scene.path("run/summary.json")).unwrap();
    // What a crash during a write leaves behind.
    scene.write("run/metrics.jsonl", scene.text("run/metrics.jsonl") + "{\"epoch\":");
    report(&scene, "run", |page| {
        assert_holds(&section(page, "summary"), &["interrupted after 2 epochs; there are no results yet"]);
        assert_eq!(charts(page, "curves"), 3);
        // By the user, by the item, and by time.
        assert_eq!(charts(page, "failures"), 3);
    });
    for file in ["metrics.jsonl", "checkpoints/best.safetensors"] {
        std::fs::remove_file(scene.path("run").join(file)).unwrap();
    }
    report(&scene, "run", |page| {
        assert_holds(&section(page, "summary"), &["interrupted in its first epoch"]);
        assert_holds(&section(page, "curves"), &["no epoch is finished"]);
    });
}

#[test]
fn the_report_of_a_run_without_its_data_leaves_out_what_needs_them() {
    let scene = Scene::after(&[FM_ON_ML]);
    std::fs::rename(scene.path("ml"), scene.path("elsewhere")).unwrap();
    report(&scene, "run", |page| {
        assert_eq!(charts(page, "curves"), 3);
        for id in ["regression", "matters", "failures", "interactions"] {
            assert_holds(&section(page, id), &["run: the data cannot be read"]);
        }
        assert!(["embeddings", "examples"].iter().all(|id| !has_section(page, id)));
    });
    report(&scene, "run --data elsewhere", |page| assert_eq!(charts(page, "regression"), 2));
    scene.fails_with("report run --data nowhere", &["nowhere"]);

    let ratings = scene.text("elsewhere/u.data");
    scene.write("elsewhere/u.data", ratings.lines().take(2500).map(|line| format!("{line}\n")).collect::<String>());
    scene.fails_with("report run --data elsewhere -q", &["does not have the rows", "`fm evaluate run --data"]);
    std::fs::rename(scene.path("elsewhere"), scene.path("ml")).unwrap();
    report(&scene, "run", |page| {
        assert_holds(&section(page, "settings"), &["The data has changed since these runs"]);
    });
}

#[test]
fn a_report_that_fails_writes_no_file() {
    let scene = Scene::after(&[LR_ON_ML]);
    scene.fails_with("report none", &["none is not a usable run"]);
    scene.fails_with("report run run", &["given twice"]);
    scene.fails_with(&format!("report {}", "run ".repeat(9)), &["at most 8 runs"]);
    scene.fails_with("report run -o ml", &["ml is a folder"]);
    scene.fails_with("report run -o run/summary.json", &["run/summary.json exists and is not a report"]);
    scene.fails_with("report", &["RUN"]);
    let metrics = scene.text("run/metrics.jsonl");
    scene.write("run/metrics.jsonl", format!("nothing\n{metrics}"));
    scene.fails_with("report run", &["metrics.jsonl", "line 1"]);
    scene.write("run/metrics.jsonl", metrics);
    scene.write("run/summary.json", "{");
    scene.fails_with("report run", &["summary.json"]);
}

#[test]
fn each_chart_is_a_file_that_needs_no_page() {
    let scene = Scene::after(&["train --data ml --task binary --model fm --epochs 2 --run run"]);
    scene.ok("report run --output report.html --figures charts");
    let charts: Vec<String> = std::fs::read_dir(scene.path("charts"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(charts.len() > 8 && charts.iter().any(|name| name == "02-roc-curve-true-positive-rate.svg"), "{charts:?}");
    for name in &charts {
        let svg = scene.text(&format!("charts/{name}"));
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" ") && svg.ends_with("</svg>\n"), "{name}");
        assert!(!svg.contains("var("), "{name}");
    }
    scene.write("charts/mine.txt", "");
    scene.fails_with("report run --output report.html --figures charts", &["charts", "mine.txt", "another folder"]);
}
