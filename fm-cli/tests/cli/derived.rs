//! Fields that follow from a time, or from other fields.

use std::fmt::Write;

use fm_core::script::Scorer;
use fm_core::tch::Device;

use crate::clients::ok;
use crate::data::Numbers;
use crate::scene::{Scene, assert_holds, assert_same_scores, python};

const COLUMNS: [&str; 6] = ["user", "gender", "ad", "genre", "at", "released"];

/// A user, an item, parts of times, an age, and crosses of the user, of the item and of both.
const SCHEMA: &str = r#"
label = "click"
user = "user"
item = "ad"
null_values = ["NA"]
[[field]]
name = "user"
kind = "categorical"
side = "user"
[[field]]
name = "gender"
kind = "categorical"
side = "user"
[[field]]
name = "ad"
kind = "categorical"
side = "item"
[[field]]
name = "genre"
kind = "categorical"
side = "item"
[[field]]
name = "hour"
column = "at"
kind = "categorical"
time = "hour"
[[field]]
name = "week"
column = "at"
kind = "numeric"
time = "weekday"
transform = "sin"
[[field]]
name = "age"
column = "released"
kind = "numeric"
time = "age"
until = "at"
transform = "log"
side = "item"
[[field]]
name = "gender_by_hour"
cross = ["gender", "hour"]
min_count = 2
[[field]]
name = "of_ad"
cross = ["ad", "genre"]
[[field]]
name = "gender_by_genre"
cross = ["gender", "genre"]
hash_buckets = 50
"#;

/// Rows of 3 months, whose label says whether it is a woman's morning or a man's afternoon, with some noise.
fn table(seed: u64, rows: usize) -> String {
    let mut numbers = Numbers(seed);
    let mut text = COLUMNS.join(",") + ",click\n";
    for row in 0..rows {
        let (user, ad) = (numbers.below(40), numbers.below(300));
        let seconds = 1_700_000_000 + numbers.below(90 * 86_400);
        let hour = seconds % 86_400 / 3_600;
        // One time in several forms.
        let at = match row % 3 {
            0 => seconds.to_string(),
            1 => format!("{}250", seconds),
            _ => format!("2023-11-{:02}T{hour:02}:30:00+00:00", seconds % 28 + 1),
        };
        let gender = ["F", "M"][user % 2];
        let click = ((user % 2 == 0) == (hour < 12)) != (numbers.below(10) == 0);
        let genre = ["R&B", "Pop", "a\\b"][ad % 3];
        let released = if ad % 7 == 0 { "NA".into() } else { format!("2023-0{}-{:02}", ad % 9 + 1, ad % 28 + 1) };
        let _ = writeln!(text, "u{user},{gender},d{ad},{genre},{at},{released},{}", u8::from(click));
    }
    text
}

fn scene() -> Scene {
    Scene::shared("derived", |scene| {
        scene.write("clicks.csv", table(1, 3000));
        scene.write("schema.toml", SCHEMA);
        scene.ok(
            "train --data clicks.csv --schema schema.toml --task binary --model lr --lr 0.1 --epochs 5 --run run -q",
        );
        scene.ok("export run -o run.pt");
        scene.write("new.csv", table(2, 300) + "u1,F,d1,R&B,soon,NA,0\nstranger,,d999,new,,2023-01-01,1\n");
        scene.ok("predict run --input new.csv --output scored.csv");
    })
}

#[test]
fn run_and_file_score_raw_rows_alike() {
    let scene = scene();
    let expected = scene.scores("scored.csv");
    scene.ok("predict run.pt --input new.csv --output by_file.csv");
    assert_same_scores(&scene.scores("by_file.csv"), &expected);
    scene.ok("evaluate run --data new.csv --output evaluated.csv");
    assert_same_scores(&scene.scores("evaluated.csv"), &expected);
    let columns = COLUMNS.map(|column| scene.column("new.csv", column));
    let row = |row: usize| COLUMNS.iter().zip(&columns).map(move |(name, cells)| (*name, cells[row].as_str()));
    let scorer = Scorer::load(scene.path("run.pt"), Device::Cpu).unwrap();
    let found: Vec<f64> = scorer.score((0..expected.len()).map(row)).unwrap().into_iter().map(f64::from).collect();
    assert_same_scores(&found, &expected);
    let Some(python) = python() else { return };
    let script = "import csv, torch\nrows = list(csv.DictReader(open('new.csv')))\nmodel = torch.jit.load('run.pt')\n\
                  print(*model.score(rows).tolist(), sep='\\n')\n\
                  print(model.check(rows[-2:])[0]['hour'], model.check(rows[-2:])[0]['of_ad'])\n";
    let printed = ok(scene.command(python).arg("-c").arg(script));
    let lines: Vec<&str> = printed.lines().collect();
    let found: Vec<f64> = lines[..expected.len()].iter().map(|line| line.parse().unwrap()).collect();
    assert_same_scores(&found, &expected);
    assert_eq!(
        lines[expected.len()],
        "{'unknown': 0, 'missing': 1, 'malformed': 1} {'unknown': 2, 'missing': 0, 'malformed': 0}"
    );
}

#[test]
fn a_cross_tells_a_linear_model_what_its_fields_do_not() {
    let scene = scene();
    assert!(scene.test_auc("run") > 0.8, "{}", scene.test_auc("run"));
    let without = "--fields user,gender,ad,hour,week";
    scene.ok(&format!(
        "train --data clicks.csv --schema schema.toml --task binary --model lr --lr 0.1 --epochs 5 {without} --run plain -q"
    ));
    assert!(scene.test_auc("plain") < 0.6, "{}", scene.test_auc("plain"));
    let refused =
        "train --data clicks.csv --schema schema.toml --task binary --model lr --fields user,gender_by_hour --run x";
    scene.fails_with(refused, &["field `gender_by_hour` crosses `gender`, which is not a field"]);
    scene.ok("train --data clicks.csv --schema schema.toml --task binary --model lr --epochs 1 --init-from run --run next -q");
}

#[test]
fn every_command_knows_parts_of_times_and_crosses() {
    let scene = scene();
    let inspected = scene.ok("data inspect clicks.csv --schema schema.toml");
    let kinds = ["categorical, hour", "numeric, weekday, sin", "numeric, age, log", "categorical, cross"];
    assert_holds(&inspected, &kinds);
    let row = "--row user=u2 --row gender=F --row ad=d3 --row genre=R&B --row at=2024-01-01T07:30 --row released=2023-12-31T07:30";
    let explained = scene.ok(&format!("explain run {row} --top 20"));
    assert_holds(&explained, &["hour=7", "gender_by_hour=F&7", "of_ad=d3&R\\&B", "age=1"]);
    let by_file = scene.ok(&format!("explain run.pt {row}"));
    assert_eq!(explained.lines().next(), by_file.lines().next());
    scene.fails_with(
        &format!("explain run {row} --row hour=3"),
        &["unknown field `hour`; the fields are user, gender, ad"],
    );
    scene.ok("explain run --user u3 --item d4");
    scene.ok("explain run --user u3 --item d999");
    scene.ok("report run -o report.html");
    let card = Scorer::load(scene.path("run.pt"), Device::Cpu).unwrap().extra_file("model_card.md").unwrap();
    assert_holds(
        &card,
        &["hour of `at` in UTC, categorical", "days from `released` until `at`", "cross of `ad` and `genre`"],
    );
}

#[test]
fn a_recommendation_computes_what_depends_on_user_and_item() {
    let scene = scene();
    let list = scene.ok_json("recommend run --user u3 --top 30 --json");
    // Each has the score of the row that a user would write: the latest context of the user, and the item's own values.
    for item in list["items"].as_array().unwrap().iter().take(5) {
        let name = item["item"].as_str().unwrap();
        let explained = scene.ok_json(&format!("explain run --user u3 --item {name} --json"));
        let difference = explained["prediction"].as_f64().unwrap() - item["score"].as_f64().unwrap();
        assert!(difference.abs() < 1e-6, "{name}: {difference}");
    }
    scene.fails_with(
        "export run -o catalogue.pt --with-catalogue",
        &["`age` depends on the item and on the rest of the row, so a catalogue cannot hold it"],
    );
    let fields = "--fields user,gender,ad,genre,hour,gender_by_hour,of_ad";
    let train = "train --data clicks.csv --schema schema.toml --model lr --epochs 1";
    scene.fails_with(
        &format!("{train} --task ranking --run ranked"),
        &["field `age` depends on the item and on the rest of the row, but a ranking exchanges the item alone"],
    );
    scene.ok(&format!("{train} --task ranking {fields} --run ranked -q"));
    scene.ok(&format!("{train} --task binary {fields} --run simple -q"));
    scene.ok("export simple -o simple.pt --with-catalogue");
    assert_holds(&scene.ok("recommend simple.pt --user u3 --about at=1700000000 --about gender=M"), &["d"]);
}

#[test]
fn missing_columns_and_unreadable_times_are_reported_once() {
    let scene = scene();
    scene.without_column("new.csv", "at", "without.csv");
    scene.fails_with("predict run --input without.csv --output out.csv", &["there is no column `at`"]);
    let warnings = scene.warnings_of_copy("predict run --input without.csv --output out.csv --allow-missing");
    // The others name the user and the ad that training does not know.
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_holds(&warnings[0], &["the input has no column at: all its values count as missing"]);
    scene.write("no_times.csv", scene.text("clicks.csv").replace("-", "/").replace(",17", ",x17"));
    scene.fails_with(
        "train --data no_times.csv --schema schema.toml --task binary --model lr --run y",
        &["field `hour` finds no time in column `at` of the training rows: the first text is `"],
    );
}
