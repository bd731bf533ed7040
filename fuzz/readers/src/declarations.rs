//! Readers of declarations: `schema.json`, `schema.toml` and `settings.toml`.

use fm_core::{Field, FieldKind, Label, List, Records, Rows, Schema, Side, Task, Weighting};
use fm_data::TableSpec;

use crate::file;

/// A schema with a field of every kind.
pub fn schema() -> Schema {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let list = |weighting| List::new("|", 3, weighting);
    let fields = vec![
        Field::new("user", FieldKind::Categorical, Side::User, texts(&["ann", "bob"])),
        Field { hash_buckets: Some(5), ..Field::new("item", FieldKind::Categorical, Side::Item, vec![]) },
        Field::new("tags", FieldKind::MultiValued(list(Weighting::Given)), Side::Item, texts(&["new", "old"])),
        Field::new("seen", FieldKind::Sequence(list(Weighting::Mean)), Side::User, vec![]).sharing("item"),
        Field::new("price", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::Item, vec![]),
    ];
    let schema = Schema::new(Label::fit("stars", Task::Regression, [1.0, 5.0]), fields).unwrap();
    schema.with_roles(Some("user".into()), Some("item".into())).unwrap()
}

/// `schema.json`.
pub fn schema_json(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let Ok(schema) = Schema::from_json(text) else { return false };
    assert_eq!(Schema::from_json(&schema.to_json()).unwrap(), schema);
    let row: Vec<Option<&str>> =
        ["ann", "4.0", "['new', 'x']", "a:1e9|b", ""].into_iter().cycle().map(Some).take(schema.num_fields()).collect();
    let rows = Records::from_texts(&schema, &[&row, &vec![None; row.len()]], &[0.0, 1.0]).unwrap();
    assert_eq!((rows.len(), rows.row(0).fields().count()), (2, row.len()));
    true
}

pub fn schemas() -> Vec<Vec<u8>> {
    let binary = Label::fit("click", Task::Binary { threshold: 0.5 }, [0.0, 1.0]);
    let field = Field::new("a", FieldKind::Categorical, Side::Context, vec!["1".into()]);
    let small = Schema::new(binary, vec![field]).unwrap().with_null_values(&["NA".into()]).unwrap();
    vec![schema().to_json().into(), small.to_json().into()]
}

/// `schema.toml`.
pub fn schema_toml(bytes: &[u8]) -> bool {
    let Ok(spec) = TableSpec::load(file("schema.toml", bytes)) else { return false };
    let text = toml::to_string(&spec).unwrap();
    assert_eq!(TableSpec::load(file("schema.toml", text.as_bytes())).unwrap(), spec);
    true
}

const TABLE_SPEC: &str = r#"label = "stars"
weight = "w"
timestamp = "time"
user = "user"
item = "item"
title = "name"
null_values = ["NULL"]
[[field]]
name = "user"
kind = "categorical"
side = "user"
min_count = 2
[[field]]
name = "item"
kind = "categorical"
exact = true
[[field]]
name = "tags"
kind = "multi-valued"
separator = ","
max_len = 3
keep = "first"
weighting = "given"
[[field]]
name = "seen"
kind = "sequence"
shares = "item"
[[field]]
name = "price"
kind = "numeric"
[[field]]
name = "shop"
kind = "categorical"
hash_buckets = 100
[[field]]
name = "hour"
column = "time"
kind = "numeric"
time = "hour"
transform = "sin"
[[field]]
name = "shop_of_user"
cross = ["user", "shop"]
"#;

pub fn table_specs() -> Vec<Vec<u8>> {
    vec![TABLE_SPEC.into(), "label='y'\n[[field]]\nname='a'\nkind='numeric'\n".into()]
}

/// `settings.toml`. Files that it names are not read: a path that the fuzzer finds could be that of a device.
pub fn settings(bytes: &[u8]) -> bool {
    let names_a_file = bytes.windows(6).any(|word| word == b"schema") && bytes.contains(&b'/');
    if names_a_file {
        return false;
    }
    let read = |text: &[u8]| fm_cli::resolved_settings(file("settings.toml", text).to_str().unwrap());
    let Ok(text) = read(bytes) else { return false };
    assert_eq!(read(text.as_bytes()).unwrap(), text);
    true
}

const SETTINGS: &str = r#"device = "cpu"
[data]
data = "ml-100k"
task = "binary"
threshold = 4.0
split = "kfold:5:0"
[model]
name = "deepfm"
options = { embedding_dim = 4, hidden_units = [8, 4] }
[train]
epochs = 3
optimizer = "adam"
schedule = { name = "cosine" }
clip_norm = 1.0
"#;

pub fn settings_files() -> Vec<Vec<u8>> {
    let of_table = SETTINGS.replace("data = \"ml-100k\"", "train = \"a.csv\"").replace("split = \"kfold:5:0\"\n", "");
    let of_table = format!("{of_table}[data.schema]\n{}", TABLE_SPEC.replace("[[field]]", "[[data.schema.field]]"));
    let sampled = "[data]\ndata = 't.csv'\nseed = 7\n[model]\nname = 'bayesian_fm'\n[train]\npatience = 0\n";
    [SETTINGS, &of_table, sampled].map(|text| text.as_bytes().to_vec()).into()
}
