//! Tables without a declaration: what is inferred, what it is worth, and sparse files.

use std::fmt::Write;

use crate::data::Numbers;
use crate::scene::{Scene, assert_holds};

/// Clicks of 30 users on 20 ads, who like ads of their own colour, with columns that cannot help.
fn clicks(rows: usize) -> String {
    let mut numbers = Numbers(3);
    let mut text = "request,at,user_id,ad,title,age,price,interests,premium,source,click\n".to_owned();
    for row in 0..rows {
        let (user, ad) = (numbers.below(30), numbers.below(20));
        let click = if numbers.below(10) == 0 { numbers.below(2) } else { usize::from(user % 4 == ad % 4) };
        let age = if row % 9 == 0 { "NA".to_owned() } else { (20 + user).to_string() };
        let interests = ["", "sport", "sport|music", "music|food|sport"][numbers.below(4)];
        let (price, premium) = (numbers.below(9000), ["yes", "no"][numbers.below(2)]);
        let (hour, minute) = (row / 60 % 24, row % 60);
        writeln!(
            text,
            "r{row:05},2024-05-01T{hour:02}:{minute:02}:00Z,{user}.0,ad-{ad:02},\"Ad, number {ad}\",{age},\
             {price}.5,{interests},{premium},web,{click}"
        )
        .unwrap();
    }
    text
}

/// The same rows as lines of indices: the user, the ad, and a number.
fn sparse(csv: &str, has_fields: bool) -> String {
    let line = |row: &str| {
        let cells: Vec<&str> = row.split(',').collect();
        let (user, click) = (cells[2].trim_end_matches(".0"), cells.last().unwrap());
        let ad = cells[3].trim_start_matches("ad-").trim_start_matches('0');
        let ad = if ad.is_empty() { "0" } else { ad };
        match has_fields {
            true => format!("{click} 0:{user}:1 1:{ad}:1 7:0:0.5\n"),
            false => format!("{click} {user}:1 1{ad:0>3}:1 # a row\n"),
        }
    };
    csv.lines().skip(1).map(line).collect()
}

const FM: &str = "--model fm --embedding-dim 4 --epochs 15 --lr 0.05 --device cpu";

#[test]
fn a_table_trains_without_a_declaration_and_the_run_knows_what_was_inferred() {
    let scene = Scene::new();
    scene.write("clicks.csv", clicks(2000));
    let output = scene.run(&format!("train --data clicks.csv --label click {FM} --run run"));
    let log = String::from_utf8(output.stderr).unwrap();
    for line in [
        "inferred from all 2,000 rows of clicks.csv",
        "request    left out",
        "at         timestamp",
        "user_id    categorical, the user",
        "ad         categorical, the item",
        "title      title of the item",
        "age        categorical, of the user  30 distinct whole numbers, missing in 11.2% of the rows",
        "price      numeric",
        "interests  multi-valued",
        "source     left out                  is `web` in every row",
        "click      label, binary",
    ] {
        assert_holds(&log, &[line]);
    }
    let settings = scene.text("run/settings.toml");
    assert_holds(&settings, &["task = \"binary\""]);
    assert_holds(&settings, &["null_values = [\"NA\"]"]);
    assert!(scene.test_auc("run") > 0.85, "{}", scene.test_auc("run"));
    // The document declares the same fields.
    let toml = scene.ok("data infer clicks.csv");
    scene.write("schema.toml", &toml);
    scene.ok(&format!("train --data clicks.csv --schema schema.toml --task binary {FM} --run same"));
    assert_eq!(scene.summary("same"), scene.summary("run"));
    // Commands that read rows again need no declaration either.
    scene.ok("evaluate run --data clicks.csv");
    scene.ok("data inspect clicks.csv");
}

#[test]
fn a_pattern_declares_several_fields() {
    let scene = Scene::new();
    scene.write("clicks.csv", clicks(500).replacen("ad,", "c_ad,", 1).replacen("premium", "c_premium", 1));
    scene.write("p.toml", "label = \"click\"\n[[field]]\nname = \"c_*\"\nkind = \"categorical\"\nmin_count = 2\n");
    scene.ok(&format!("train --data clicks.csv --schema p.toml --task binary {FM} --run run"));
    let names = |scene: &Scene| {
        let fields = scene.json("run/schema.json")["fields"].as_array().unwrap().clone();
        fields.into_iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&scene), ["c_ad", "c_premium"]);
    scene.write("p.toml", "label = \"click\"\n[[field]]\nname = \"d_*\"\nkind = \"categorical\"\n");
    let error = scene.fails("train --data clicks.csv --schema p.toml --task binary");
    assert_holds(&error, &["field `d_*` stands for no column"]);
}

#[test]
fn sparse_files_train_as_they_are() {
    let scene = Scene::new();
    let csv = clicks(2000);
    let (train, test) =
        (csv.lines().take(1601).collect::<Vec<_>>().join("\n"), csv.lines().skip(1600).collect::<Vec<_>>().join("\n"));
    for (extension, has_fields, model) in [("libsvm", false, "fm"), ("libffm", true, "ffm")] {
        scene.write(&format!("train.{extension}"), sparse(&train, has_fields));
        scene.write(&format!("test.{extension}"), sparse(&test, has_fields));
        let data = format!("--train train.{extension} --test test.{extension}");
        let options = "--embedding-dim 4 --set train.update=online --epochs 15 --device cpu";
        scene.ok(&format!("train {data} --model {model} {options} --run {extension}"));
        assert!(scene.test_auc(extension) > 0.85, "{extension}: {}", scene.test_auc(extension));
    }
    scene.ok("predict libffm --input test.libffm --output scored.csv");
    assert_eq!(scene.text("scored.csv").lines().count(), 401);
    scene.write("bad.libffm", "1 0:1:1\n0 0:x:1\n");
    let error = scene.fails("predict libffm --input bad.libffm --output scored.csv");
    assert_holds(&error, &["bad.libffm, line 2: `0:x:1` at column 3 has the index `x`, which is not a whole number"]);
}

#[test]
fn a_label_must_be_named_if_its_name_is_unusual() {
    let scene = Scene::new();
    scene.write("t.csv", "a,b,c\n1,2,0\n3,4,1\n");
    let error = scene.fails("train --data t.csv");
    assert_holds(
        &error,
        &["t.csv has no column with a usual name for a label, such as label, click or rating, but a, b, c"],
    );
    assert_holds(&error, &["name it with `--label`"]);
    assert_holds(&scene.fails("train --data t.csv --label d"), &["there is no column `d`"]);
    assert_holds(&scene.fails("train --data none.csv"), &["cannot read none.csv"]);
}
