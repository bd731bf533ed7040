use fm_core::Task;

use super::*;
use crate::config::DataConfig;
use crate::raw_data::RawData;

fn infer_text(name: &str, text: &str, options: &InferOptions) -> Result<Inferred> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    infer(&path, options)
}

/// A table of 1000 rows whose columns follow from the number of the row.
fn table(columns: &[(&str, &dyn Fn(usize) -> String)]) -> String {
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let row = |row| columns.iter().map(|(_, cell)| format!("\"{}\"", cell(row))).collect::<Vec<_>>().join(",");
    std::iter::once(header.join(",")).chain((0..1000).map(row)).map(|line| line + "\n").collect()
}

/// A number between 0 and `below` that looks random.
fn random(row: usize, below: usize) -> usize {
    (row + 1).wrapping_mul(2_654_435_761) % 1_000_003 % below
}

fn label(row: usize) -> String {
    (random(row, 7) % 2).to_string()
}

/// What a column is inferred to be, beside a label.
fn role(name: &str, cell: &dyn Fn(usize) -> String) -> Role {
    let other = |row: usize| ["x", "y"][row % 2].to_owned();
    let text = table(&[("label", &label), (name, cell), ("other", &other)]);
    let inferred = infer_text("t.csv", &text, &InferOptions::default()).unwrap();
    inferred.columns.into_iter().find(|finding| finding.column == name).unwrap().role
}

fn kind(name: &str, cell: &dyn Fn(usize) -> String) -> FieldSpecKind {
    match role(name, cell) {
        Role::Field(field) => field.kind,
        role => panic!("{name}: {role:?}"),
    }
}

#[test]
fn numbers_are_amounts_or_codes() {
    let is_numeric = |name, cell: &dyn Fn(usize) -> String| kind(name, cell) == FieldSpecKind::Numeric;
    assert!(is_numeric("x", &|row| format!("{}.5", random(row, 90))));
    assert!(is_numeric("price", &|row| random(row, 900).to_string()));
    assert!(is_numeric("x", &|row| format!("{}e-3", random(row, 90))));
    // Some postal codes are no numbers.
    let zip =
        |row: usize| if row.is_multiple_of(150) { "98107-1450".into() } else { format!("{:05}", random(row, 90_000)) };
    assert!(!is_numeric("zip", &zip));
    // Small numbers are frequent, as counts are.
    assert_eq!(
        kind("x", &|row| (100_000 / (random(row, 1000) + 1)).to_string()),
        FieldSpecKind::Transformed(TransformSpec::Log)
    );
    assert!(!is_numeric("zip", &|row| (10_000 + random(row, 900)).to_string()));
    assert!(!is_numeric("x", &|row| format!("{:04}", random(row, 900))));
    assert!(!is_numeric("x", &|row| random(row, 9).to_string()));
    // Hashes: some are frequent, and their neighbours are not.
    let hash = |row: usize| (random(random(row, 1000).isqrt() * 3, 100_000) * 10).to_string();
    assert!(!is_numeric("x", &hash));
    // pandas writes integers with gaps as floats.
    assert!(!is_numeric("user_id", &|row| format!("{}.0", random(row, 90))));
}

#[test]
fn texts_for_missing_values_do_not_hide_numbers() {
    let cell = |row: usize| if row.is_multiple_of(3) { "NA".into() } else { format!("{}.5", random(row, 90)) };
    let text = table(&[("label", &label), ("x", &cell)]);
    let inferred = infer_text("t.csv", &text, &InferOptions::default()).unwrap();
    assert_eq!(inferred.spec.null_values, ["NA"]);
    assert_eq!(inferred.spec.fields[0].kind, FieldSpecKind::Numeric);
    // Among countries, NA is Namibia.
    let country = |row: usize| ["DE", "NA", "US"][random(row, 3)].to_owned();
    let text = table(&[("label", &label), ("country", &country)]);
    assert_eq!(infer_text("t.csv", &text, &InferOptions::default()).unwrap().spec.null_values, [""; 0]);
}

#[test]
fn a_decimal_comma_is_found() {
    let text = table(&[("label", &label), ("x", &|row| format!("{},25", random(row, 90)))]).replace("\",\"", "\";\"");
    let text = text.replacen("label,x", "label;x", 1);
    let spec = infer_text("t.csv", &text, &InferOptions::default()).unwrap().spec;
    assert_eq!((spec.decimal, &spec.fields[0].kind), (DecimalMark::Comma, &FieldSpecKind::Numeric));
}

#[test]
fn lists_are_found_by_what_separates_repeated_values() {
    let list = |separator: &str, cell: &dyn Fn(usize) -> String| match kind("tags", cell) {
        FieldSpecKind::MultiValued(list) => assert_eq!(list.separator, separator),
        kind => panic!("{separator}: {kind:?}"),
    };
    let tag = |row: usize, at: usize| ["a", "b", "c", "d", "e", "f", "g", "h"][random(row + 1000 * at, 8)];
    for separator in ["|", ";", ","] {
        list(separator, &|row| [tag(row, 0), tag(row, 1), tag(row, 2)][..row % 3 + 1].join(separator));
    }
    list(" ", &|row| format!("{} {} {}", random(row, 40), random(row + 7, 40), random(row + 9, 40)));
    let weighted = kind("tags", &|row| format!("{}:0.5|{}:2", tag(row, 0), tag(row, 1)));
    assert_eq!(weighted.list().unwrap().weighting, Weighting::Given);
    assert!(kind("tags", &|row| format!("['{}', '{}']", tag(row, 0), tag(row, 1))).list().is_some());
    // A place is one value.
    assert_eq!(kind("place", &|row| format!("City {}, Land {}", row % 90, row % 90 % 7)), FieldSpecKind::Categorical);
    assert_eq!(kind("city", &|row| format!("New {} on Sea", row % 90)), FieldSpecKind::Categorical);
}

#[test]
fn columns_that_cannot_help_are_left_out() {
    assert_eq!(role("request", &|row| format!("{row:x}-{row}")), Role::LeftOut);
    assert_eq!(role("row_number", &|row| (100 + row).to_string()), Role::LeftOut);
    assert_eq!(role("source", &|_| "web".into()), Role::LeftOut);
    assert_eq!(role("nothing", &|_| String::new()), Role::LeftOut);
    assert_eq!(role("review", &|row| format!("the film {row} was as good as the other {row}")), Role::LeftOut);
    // A flag without a value in other rows is not the same everywhere.
    assert!(matches!(role("flag", &|row| if row % 9 == 0 { "yes".into() } else { String::new() }), Role::Field(_)));
}

#[test]
fn a_column_that_gives_the_label_away_is_left_out_with_a_warning() {
    let leak = |row: usize| if label(row) == "1" { "bought" } else { "left" }.to_owned();
    let text = table(&[("label", &label), ("state", &leak), ("x", &|row| (row % 9).to_string())]);
    let inferred = infer_text("t.csv", &text, &InferOptions::default()).unwrap();
    assert_eq!(inferred.spec.fields.len(), 1);
    assert!(inferred.warnings[0].starts_with("`state` gives the label away"), "{:?}", inferred.warnings);
}

#[test]
fn roles_and_sides_follow_from_names_and_values() {
    let (user, item) = (|row: usize| random(row, 41), |row: usize| random(row + 5000, 31));
    let text = table(&[
        ("eventTime", &|row| format!("2024-01-02T03:{:02}:{:02}Z", row / 60 % 60, row % 60)),
        ("userId", &|row| user(row).to_string()),
        ("age", &|row| (20 + user(row) % 9).to_string()),
        ("movie_id", &|row| item(row).to_string()),
        ("title", &|row| format!("Film number {}", item(row))),
        ("genres", &|row| [["War", "Drama"][item(row) % 2], "Old"][..item(row) % 2 + 1].join("|")),
        ("device", &|row| ["tv", "phone"][random(row, 11) % 2].to_owned()),
        ("rating", &|row| (1 + random(row, 5)).to_string()),
    ]);
    let Inferred { spec, task, .. } = infer_text("t.csv", &text, &InferOptions::default()).unwrap();
    assert_eq!((spec.label.as_str(), spec.timestamp.as_deref()), ("rating", Some("eventTime")));
    let roles = [spec.user.as_deref(), spec.item.as_deref(), spec.title.as_deref()];
    assert_eq!((roles, task), ([Some("userId"), Some("movie_id"), Some("title")], TaskName::Regression));
    let sides: Vec<(&str, Side)> = spec.fields.iter().map(|field| (field.name.as_str(), field.side)).collect();
    let expected = [
        ("userId", Side::User),
        ("age", Side::User),
        ("movie_id", Side::Item),
        ("genres", Side::Item),
        ("device", Side::Context),
    ];
    assert_eq!(sides, expected);
}

#[test]
fn hours_and_weekdays_that_recur_become_fields() {
    let of = |cell: &dyn Fn(usize) -> String| {
        let text = table(&[("when", cell), ("x", &|row| (row % 9).to_string()), ("label", &label)]);
        let inferred = infer_text("t.csv", &text, &InferOptions::default()).unwrap();
        assert_eq!(toml::from_str::<TableSpec>(&inferred.to_toml()).unwrap(), inferred.spec);
        assert_eq!(inferred.spec.timestamp.as_deref(), Some("when"));
        inferred.spec.fields.into_iter().map(|field| field.name).collect::<Vec<_>>()
    };
    // 1000 rows: one every 6 hours, every hour, every minute, and a day.
    assert_eq!(of(&|row| (1_700_000_000 + 21_600 * row).to_string()), ["x", "when_hour", "when_weekday"]);
    assert_eq!(of(&|row| (1_700_000_000 + 700 * row).to_string()), ["x", "when_hour"]);
    assert_eq!(of(&|row| (1_700_000_000 + 60 * row).to_string()), ["x"]);
    let day = |row: usize| format!("20{:02}-{:02}-{:02}", row / 336, row / 28 % 12 + 1, row % 28 + 1);
    assert_eq!(of(&day), ["x", "when_weekday"]);
}

#[test]
fn the_document_declares_what_was_inferred() {
    let text = table(&[
        ("label", &label),
        ("an \"odd\" name", &|row| format!("v{}", row % 50)),
        ("tags", &|row| format!("a{}:2|b{}:1", row % 4, row % 3)),
        ("x", &|row| if row % 5 == 0 { "\\N".into() } else { format!("{}.5", row % 70) }),
        ("id", &|row| format!("r{row}")),
    ])
    .replace("an \"odd\" name", "an 'odd' name");
    let inferred = infer_text("t.csv", &text, &InferOptions::default()).unwrap();
    let document = inferred.to_toml();
    assert_eq!(toml::from_str::<TableSpec>(&document).unwrap(), inferred.spec);
    assert!(document.contains("# Inferred from all 1,000 rows of"), "{document}");
    assert!(document.contains("# - \"id\": has a value of its own in each row"), "{document}");
    assert_eq!(inferred.to_string().lines().count(), 5);
}

#[test]
fn a_sample_says_so_and_leaves_no_constant_out() {
    let text =
        table(&[("label", &label), ("shift", &|row| (row / 500).to_string()), ("x", &|row| (row % 9).to_string())]);
    let inferred = infer_text("t.csv", &text, &InferOptions { rows: 300, ..InferOptions::default() }).unwrap();
    assert_eq!((inferred.rows, inferred.is_whole, inferred.spec.fields.len()), (300, false, 2));
    assert!(inferred.sample().starts_with("the first 300 rows of"));
    let all = infer_text("t.csv", &text, &InferOptions { rows: 1000, ..InferOptions::default() }).unwrap();
    assert_eq!((all.rows, all.is_whole), (1000, true));
}

#[test]
fn what_cannot_be_inferred_is_an_error() {
    let fails = |text: &str, label: Option<&str>| {
        let options = InferOptions { label: label.map(str::to_owned), ..InferOptions::default() };
        infer_text("t.csv", text, &options).unwrap_err().to_string()
    };
    assert!(fails("a,b\n1,2\n", None).contains("no column with a usual name for a label"));
    assert_eq!(fails("a,b\n1,2\n", Some("A")), "there is no column `A`; did you mean `a`? available: a, b");
    assert!(fails("a,label\n", None).ends_with("has no rows to infer its fields from"));
    assert!(fails("label,b\n1,x\n0,x\n", None).ends_with("no column can be a field: `b` is `x` in every row"));
    assert!(fails("label,b\nno idea,x\n", None).contains("line 2: `no idea` in column `label`"));
}

#[test]
fn sparse_files_declare_a_list_for_all_features_or_each_field() {
    let libsvm = infer_text("t.libsvm", "-1 3:0.5 17:1\n1 4:1\n", &InferOptions::default()).unwrap();
    assert_eq!((libsvm.spec.label.as_str(), libsvm.task), ("label", TaskName::Binary));
    assert_eq!(libsvm.spec.fields[0].kind.list().unwrap().weighting, Weighting::Given);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.libffm");
    std::fs::write(&path, "1 0:3:1 2:7:0.5\n-1 0:4:1 2:7:1\n").unwrap();
    let config = DataConfig {
        data: Some(path.display().to_string()),
        task: TaskName::Binary,
        split: "random:0:0".into(),
        ..DataConfig::default()
    };
    let data = RawData::open(&config, folder.path()).unwrap();
    let schema = data.fit().unwrap();
    // Labels of -1 are negative without a threshold.
    assert_eq!(schema.label().task, Task::Binary { threshold: 1.0 });
    let rows = data.encode(&schema, &[0, 1]).unwrap();
    assert_eq!(fm_core::Rows::labels(&rows), [1.0, 0.0]);
    let values: Vec<Vec<f32>> =
        rows.rows().map(|row| row.fields().flat_map(|field| field.values()).collect()).collect();
    assert_eq!(values, [[1.0, 0.5], [1.0, 1.0]]);
}
