#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod columns;
mod derived;
mod served_files;

mod modes;

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tch::nn::VarStore;
use tch::{CModule, Device, IValue, Kind, Tensor};

use super::{Bundle, BundleOptions, Catalogue, Scorer, Served};
use crate::encoder::Encoder;
use crate::error::Result;
use crate::features::{Features, Padded};
use crate::model::Model;
use crate::schema::{Field, FieldKind, Keep, Label, List, Schema, Side, Task, Transform, Weighting};

/// Σ_s w_{id_s} x_s
struct Linear {
    weight: Tensor,
}

impl Linear {
    fn new(store: &VarStore, schema: &Schema) -> Linear {
        let weights: Vec<f32> = (0..schema.num_ids()).map(|id| (id as f32).sin()).collect();
        let weight = store.root().var_copy("weight", &Tensor::from_slice(&weights).view([-1, 1]));
        Linear { weight }
    }
}

impl Model for Linear {
    fn logits(&self, features: &Features, _train: bool) -> Result<Tensor> {
        let Padded { ids, values } = features.padded()?;
        let weights = Tensor::f_embedding(&self.weight, &ids, -1, false, false)?.squeeze_dim(-1);
        Ok((weights * values).sum_dim_intlist(1, false, Kind::Float))
    }

    fn bias(&self) -> &Tensor {
        &self.weight
    }
}

const TASKS: [Task; 3] = [Task::Regression, Task::Binary { threshold: 1.0 }, Task::Ranking { threshold: None }];

/// A field of each kind and weighting.
fn schema(task: Task) -> Schema {
    let several =
        |separator: &str, max_len, weighting| FieldKind::MultiValued(List::new(separator, max_len, weighting));
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
    let field = |kind, name: &str| Field::new(name, kind, Side::Context, values(&["a", "b", "é", "日"]));
    let hashed = |name, kind| Field { hash_buckets: Some(97), ..Field::new(name, kind, Side::User, vec![]) };
    let fields = vec![
        Field::new("user", FieldKind::Categorical, Side::User, values(&["7", "é", "a b", "007", "日本", "true"])),
        Field::new("sum", several("|", 3, Weighting::Sum), Side::User, values(&["a", "b", "é"])),
        Field::new("mean", several("é", 2, Weighting::Mean), Side::Context, values(&["a", "b", "c"])),
        Field::new("sqrt", several(", ", 4, Weighting::Sqrt), Side::Item, values(&["a", "b", "日"])),
        hashed("city", FieldKind::Categorical),
        hashed("words", several(" ", 3, Weighting::Sqrt)),
        Field::new("age", FieldKind::Numeric { mean: 31.7, std: 9.3 }, Side::User, vec![]),
        Field::new("price", FieldKind::Numeric { mean: 1.7e12, std: 3000.7 }, Side::Item, vec![]),
        Field::new("item", FieldKind::Categorical, Side::Item, values(&["x", "y", "z"])),
        Field::new("given", several("|", 3, Weighting::Given), Side::User, values(&["a", "b:b", "é"])),
        field(FieldKind::MultiValued(List::new(" ", 2, Weighting::Given).keep(Keep::Last)), "last"),
        field(FieldKind::Sequence(List::new("|", 4, Weighting::Mean).keep(Keep::Last)), "sequence"),
        field(FieldKind::Sequence(List::new(", ", 2, Weighting::Given)), "first"),
        hashed("visits", FieldKind::Sequence(List::new("|", 3, Weighting::Sqrt).keep(Keep::Last))),
        Field { vocabulary: vec![], ..field(several("|", 3, Weighting::Mean), "other_sums") }.sharing("sum"),
        Field { vocabulary: vec![], ..field(FieldKind::Categorical, "other_city") }.sharing("city"),
    ];
    // Of a regression, logits are in units of 1/2.
    let label = Label::fit("label", task, [-0.5, 1.0]);
    let scale = if task == Task::Regression { 0.5 } else { 1.0 };
    let schema = Schema::new(Label { scale, ..label }, fields).unwrap();
    let schema = schema.with_null_values(&values(&["NULL", "-999"])).unwrap();
    schema.with_roles(Some("user".into()), Some("item".into())).unwrap()
}

/// The schema, and a field for each transform of a number.
fn with_transforms(schema: &Schema) -> Schema {
    let number = |name: &str, transform| Field::new(name, FieldKind::Transformed(transform), Side::Item, vec![]);
    let numbers = [
        number("log", Transform::Log { mean: 1.3, std: 0.7 }),
        number("min_max", Transform::MinMax { min: -0.7, range: 13.3 }),
        number("identity", Transform::Identity),
        number("sin", Transform::Sin { period: 24.0 }),
        number("cos", Transform::Cos { period: 1e-3 }),
        number("buckets", Transform::Buckets { edges: vec![-1e300, -7.0, 0.1, 7.0, 1e12, 1.65e12] }),
        number("criteo", Transform::CriteoLog { edges: vec![0.0, 1.0, 2.0, 2f64.next_up(), std::f64::consts::E] }),
    ];
    let fields = schema.fields().iter().cloned().chain(numbers).collect();
    Schema::new(schema.label().clone(), fields).unwrap().with_null_values(schema.null_values()).unwrap()
}

fn bundle(schema: &Schema, catalogue: Option<&Catalogue>) -> Bundle {
    let store = VarStore::new(Device::Cpu);
    let model = Linear::new(&store, schema);
    Bundle::new(&model, &store, schema, &BundleOptions { catalogue, ..Default::default() }).unwrap()
}

/// Saves and loads a module.
fn loaded(module: &crate::bridge::TracedModule) -> CModule {
    let file = tempfile::NamedTempFile::new().unwrap();
    module.save(&mut file.reopen().unwrap(), &[]).ok().unwrap();
    CModule::load(file.path()).unwrap()
}

/// The exported module with a `forward` that takes cells, row by row, because tch cannot pass a dictionary.
fn with_cells(schema: &Schema) -> CModule {
    let source = "
def forward(self, names: List[str], cells: List[str]) -> List[Tensor]:
    rows: List[Dict[str, str]] = []
    lists: List[Dict[str, List[str]]] = []
    columns: Dict[str, List[str]] = {}
    for at, name in enumerate(names):
        columns[name] = cells[at::len(names)]
    for first in range(0, len(cells), len(names)):
        row: Dict[str, str] = {}
        row_of_lists: Dict[str, List[str]] = {}
        for at, name in enumerate(names):
            row[name] = cells[first + at]
            row_of_lists[name] = [cells[first + at]]
        rows.append(row)
        lists.append(row_of_lists)
    ids, values = self.model.encode(rows)
    list_ids, list_values = self.model.encode_lists(lists)
    column_ids, column_values = self.model.encode_columns(columns)
    assert torch.equal(ids, list_ids) and torch.equal(values, list_values)
    assert torch.equal(ids, column_ids) and torch.equal(values, column_values)
    scores = self.model.score(rows)
    assert torch.equal(scores, self.model.score_lists(lists)) and torch.equal(scores, self.model.score_columns(columns))
    predictions = self.model.predict(ids, values)
    assert not predictions.requires_grad and not scores.requires_grad
    assert self.model.forward(ids, values).requires_grad and torch.is_grad_enabled()
    # Rows that lack every field are rows.
    assert self.model.score_columns({'no field': cells}).size(0) == len(cells)
    none: Dict[str, List[str]] = {}
    assert self.model.score_columns(none).size(0) == 0
    return [ids, values, self.model.forward(ids, values), predictions, scores]
";
    loaded(&bundle(schema, None).module.wrap("fm.Cells", source).unwrap())
}

/// The output of [`with_cells`] for rows of columns: ids, values, logits, predictions, scores.
fn run(module: &CModule, schema: &Schema, rows: &[Vec<String>]) -> [Tensor; 5] {
    let names = schema.columns().into_iter().map(str::to_owned).collect();
    let arguments = [IValue::StringList(names), IValue::StringList(rows.concat())];
    Vec::<Tensor>::try_from(module.forward_is(&arguments).unwrap()).unwrap().try_into().unwrap()
}

/// Rows of columns, encoded.
fn encoded(schema: &Schema, rows: &[Vec<String>]) -> Padded {
    let names = schema.columns();
    let texts = |row: &'_ Vec<String>| -> Vec<Option<String>> {
        let of_column = |column: &str| names.iter().position(|name| *name == column).map(|at| row[at].as_str());
        schema.texts(of_column).into_iter().map(|text| text.map(Cow::into_owned)).collect()
    };
    let rows: Vec<Vec<Option<String>>> = rows.iter().map(texts).collect();
    let rows: Vec<Vec<Option<&str>>> = rows.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
    Encoder::new(schema).features(&rows).unwrap().padded().unwrap()
}

/// Texts with a meaning for at least one field.
fn cell() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "7", "é", "a b", "007", "日本", "a", "b", "c", "日", "x", "y", "new", "", " ", "7.0", " 7.00\t", "-0.0",
        "TRUE", "False", "NULL", " -999.0", "4.0.0", "a\u{a0}",
    ]);
    let separators = prop::sample::select(vec!["|", "é", ", ", " ", "||"]);
    let list = prop::collection::vec((words.clone(), separators), 0..8)
        .prop_map(|pieces| pieces.into_iter().map(|(word, separator)| format!("{word}{separator}")).collect());
    // Lists in brackets, and texts that look like them.
    let json = prop::collection::vec("[ab7é\"\\\\\n\u{1}😀]{0,3}", 0..5)
        .prop_map(|values| format!("{values:?}").replace("\\'", "'"));
    let ascii = prop::collection::vec("[ab7é\"\\\\\n\u{1}😀]{0,3}", 0..5).prop_map(|values| {
        let escaped = |value: &String| value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
        format!("[{}]", values.iter().map(|value| format!("\"{}\"", escaped(value))).collect::<Vec<_>>().join(" , "))
    });
    let numbers = prop_oneof![
        prop::sample::select(vec![
            "", "0", "-0", "1", ":2", "x", " 1 ", "inf", "nan", "3.4e38", "1e39", "1e-70", "-1e-310", "1e308"
        ])
        .prop_map(str::to_owned),
        any::<f32>().prop_map(|x| x.to_string()),
        any::<f64>().prop_map(|x| format!("{x:e}")),
    ];
    let given = prop::collection::vec((words.clone(), numbers), 0..8)
        .prop_map(|pieces| pieces.into_iter().map(|(word, number)| format!("{word}:{number}|")).collect());
    prop_oneof![
        derived::times(),
        derived::times(),
        list,
        given,
        json,
        ascii,
        words.prop_map(str::to_owned),
        r#" ?\[[ab7 ,'"\\nxuU0dé\[\]]{0,12}\] ?"#,
        r#"\[('[ab]{0,2}'[ ,]{0,2}|"\\(x|u|U)[0-9a-fD]{2,8}"|None|[ab 7.0]{1,4},){0,4}\]"#,
        "[ \t]?[+-]?[0-9]{0,25}[.]?[0-9]{0,25}([eE][+-]?[0-9]{1,3})?\n?",
        "1[67][0-9]{11}",
        any::<f32>().prop_map(|x| x.to_string()),
        any::<f64>().prop_map(|x| format!("{x:e}")),
        "[^\0]{0,20}",
        "[a-z0-9é日]{0,300}",
    ]
}

#[test]
fn exported_methods_encode_like_the_encoder() {
    let schema = derived::with_derived(&with_transforms(&schema(Task::Regression)));
    encode_alike(&schema);
    let exact = |field: &Field| Field { exact: !field.kind.is_numeric(), ..field.clone() };
    let fields = schema.fields().iter().map(exact).collect();
    encode_alike(&Schema::new(schema.label().clone(), fields).unwrap().with_null_values(schema.null_values()).unwrap());
}

/// Checks that the exported methods and the encoder give the same ids and values for any texts.
fn encode_alike(schema: &Schema) {
    let module = with_cells(schema);
    let rows = prop::collection::vec(prop::collection::vec(cell(), schema.columns().len()), 0..100);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(32));
    let outcome = runner.run(&rows, |rows| {
        let [ids, values, ..] = run(&module, schema, &rows);
        let expected = encoded(schema, &rows);
        prop_assert_eq!(ids.size(), expected.ids.size());
        for (row, texts) in rows.iter().enumerate() {
            let of_row = |tensor: &Tensor| Vec::<f64>::try_from(tensor.get(row as i64).to_kind(Kind::Double)).unwrap();
            prop_assert_eq!(of_row(&ids), of_row(&expected.ids), "{:?}", texts);
            // Bit for bit.
            prop_assert_eq!(of_row(&values), of_row(&expected.values), "{:?}", texts);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn exported_methods_hash_like_farmhash_at_every_length() {
    let schema = schema(Task::Regression);
    let row = |length: usize| {
        let text: String = (0..length).map(|at| char::from(b'a' + (at * at % 26) as u8)).collect();
        let mut row = vec![String::new(); schema.num_fields()];
        row[4] = text;
        row
    };
    let rows: Vec<Vec<String>> = (0..400).map(row).collect();
    let [ids, ..] = run(&with_cells(&schema), &schema, &rows);
    assert_eq!(ids, encoded(&schema, &rows).ids);
}

#[test]
fn exported_methods_parse_the_same_numbers_as_the_encoder() {
    let field = |(name, mean, std)| Field::new(name, FieldKind::Numeric { mean, std }, Side::Context, vec![]);
    let fields = [("age", 31.7, 9.3), ("tiny", 1e-3, 1e-38), ("time", 1.7e12, 3000.7), ("huge", -1e10, 1e307)];
    let edges = vec![-1.7976931348623157e308, -4.0, 0.0, 5.0, 45.0, 45f64.next_up(), 961.69, 1e300];
    let transforms = [
        ("log", Transform::Log { mean: 31.7, std: 9.3 }),
        ("narrow", Transform::MinMax { min: 45.0, range: 1e-300 }),
        ("wide", Transform::MinMax { min: -1e308, range: f64::MAX }),
        ("identity", Transform::Identity),
        ("buckets", Transform::Buckets { edges: edges.clone() }),
        ("criteo", Transform::CriteoLog { edges }),
        ("one bucket", Transform::Buckets { edges: vec![] }),
    ];
    let transformed =
        transforms.map(|(name, transform)| Field::new(name, FieldKind::Transformed(transform), Side::Context, vec![]));
    let fields = fields.map(field).into_iter().chain(transformed).collect();
    let schema = Schema::new(Label::fit("label", Task::Regression, [0.0, 1.0]), fields).unwrap();
    let numbers = [
        "45",
        " 45 ",
        "+4.5e1",
        "-.5",
        "5.",
        ".",
        "-",
        "+",
        "",
        "e5",
        "1e",
        "1e+",
        "1e5x",
        "1 2",
        "1.2.3",
        "0x10",
        "1_000",
        "inf",
        "-Infinity",
        "NaN",
        "1e39",
        "-1e39",
        "3.4028235e38",
        "3.4028236e38",
        "1e-45",
        "1e-46",
        "1e-400",
        "1e400",
        "1e308",
        "1.7976931348623157e308",
        "-1.7976931348623158e308",
        "1.7976931348623159e308",
        "0.00000017976931348623157e315",
        "-1e309",
        "1e-300",
        "9.999999999999999e-301",
        "1e-301",
        "-3e-308",
        "961.69",
        "961.71",
        "1700000000001",
        "-1700000000001.5",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "0e999",
        "-0",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000000000000000001e60",
        "16777217",
        "1.00000017881393432617187499",
        // The middle between two float32 numbers, except for its last digit: without it, rounding would go the other
        // way.
        "1.0000000596046448864129274625156540423631668090820312501",
        "\u{a0}5",
        "٣",
        "5\u{b}",
        "1,5",
    ];
    let row = |number: &&str| vec![number.to_string(); schema.num_fields()];
    let rows: Vec<Vec<String>> = numbers.iter().map(row).collect();
    let [ids, values, ..] = run(&with_cells(&schema), &schema, &rows);
    let expected = encoded(&schema, &rows);
    for (at, number) in numbers.iter().enumerate() {
        let of_row = |tensor: &Tensor| tensor.get(at as i64);
        assert_eq!(of_row(&ids), of_row(&expected.ids), "{number}");
        assert_eq!(of_row(&values), of_row(&expected.values), "{number}");
    }
}

#[test]
fn predictions_are_probabilities_labels_within_the_range_of_training_or_scores() {
    for task in TASKS {
        let schema = schema(task);
        let rows: Vec<Vec<String>> = ["7", "é", "?"]
            .map(|user| {
                [user, "a|b|é|a", "", "b", "x", "p q", "900", "", "y", "a:2|é", "a:2 b", "a|a|b", "", "p|q", "b|a", "x"]
                    .map(String::from)
                    .to_vec()
            })
            .into();
        for rows in [&rows[..], &rows[..1], &[]] {
            let [_, _, logits, predictions, scores] = run(&with_cells(&schema), &schema, rows);
            let logits = Vec::<f32>::try_from(logits).unwrap();
            let expected: Vec<f32> = logits.iter().map(|&logit| schema.label().prediction(logit)).collect();
            let expected = Tensor::from_slice(&expected);
            assert!(predictions.allclose(&expected, 0.0, 1e-7, false) && scores.equal(&predictions), "{task:?}");
        }
    }
}

#[test]
fn the_catalogue_is_ranked_for_a_user_without_excluded_items() {
    let schema = schema(Task::Regression);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    // The item's own fields; the user gives the others. The last two differ only in unknown values.
    let items = [("x", "a"), ("y", "b, a"), ("z", "日"), ("new", "b"), ("newer", "b")];
    let rows: Vec<Vec<Option<&str>>> = items
        .map(|(item, sqrt)| {
            let mut row = vec![Some("of nobody"); schema.num_fields()];
            (row[3], row[7], row[8]) = (Some(sqrt), None, Some(item));
            row
        })
        .into();
    let features = Encoder::new(&schema).features(&rows).unwrap();
    let catalogue = Catalogue { items: items.map(|(item, _)| item.to_owned()).into(), features };
    bundle(&schema, Some(&catalogue)).save(&file, &[]).unwrap();

    let scorer = Scorer::load(&file, Device::Cpu).unwrap();
    let user = [("user", "é"), ("age", "31.7"), ("sum", "a|a")];
    let logit = |(item, sqrt): (&'static str, &'static str)| {
        let row = vec![
            Some("é"),
            Some("a|a"),
            None,
            Some(sqrt),
            None,
            None,
            Some("31.7"),
            None,
            Some(item),
            None,
            None,
            None,
            None,
            None,
            None,
            None,
        ];
        scorer.logits(&scorer.encoder().features(&[row]).unwrap()).unwrap().double_value(&[0])
    };
    let mut expected = items;
    expected.sort_by(|a, b| logit(*b).total_cmp(&logit(*a)));
    // Some are beyond the range of labels, within which all predictions are.
    let score = |item| (logit(item) * f64::from(schema.label().scale)) as f32;
    let expected: Vec<(String, f32)> = expected.into_iter().map(|item| (item.0.to_owned(), score(item))).collect();
    assert!(expected.iter().any(|(_, score)| *score > schema.label().max));
    let close = |found: &[(String, f32)], expected: &[(String, f32)]| {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6)
    };
    let found = scorer.recommend(user, 9, &[]).unwrap();
    assert!(close(&found, &expected), "{found:?} {expected:?}");
    assert!(close(&scorer.recommend(user, 2, &[]).unwrap(), &expected[..2]));
    assert!(close(&scorer.recommend(user, 9, &[&expected[0].0, "no item"]).unwrap(), &expected[1..]));
    assert!(scorer.recommend(user, 0, &[]).unwrap().is_empty());
    assert!(scorer.recommend(user, 3, &items.map(|(item, _)| item)).unwrap().is_empty());

    bundle(&schema, None).save(&file, &[]).unwrap();
    let error = Scorer::load(&file, Device::Cpu).unwrap().recommend(user, 1, &[]).unwrap_err().to_string();
    assert!(error.contains("has no catalogue of items") && error.lines().count() == 1, "{error}");
}

#[test]
fn items_whose_score_is_not_finite_are_not_recommended() {
    let schema = schema(Task::Ranking { threshold: None });
    let store = VarStore::new(Device::Cpu);
    let model = Linear::new(&store, &schema);
    // The sum of these two is infinite.
    for (field, value) in [("user", 1), ("item", 2)] {
        let id = schema.ids(schema.field_index(field).unwrap()).start + value;
        let _ = tch::no_grad(|| model.weight.get(id).fill_(3e38));
    }
    let rows: Vec<Vec<Option<&str>>> = ["x", "y", "z"]
        .map(|item| {
            let mut row = vec![None; schema.num_fields()];
            row[8] = Some(item);
            row
        })
        .into();
    let features = Encoder::new(&schema).features(&rows).unwrap();
    let catalogue = Catalogue { items: ["x", "y", "z"].map(String::from).into(), features };
    let options = BundleOptions { catalogue: Some(&catalogue), ..Default::default() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    Bundle::new(&model, &store, &schema, &options).unwrap().save(&file, &[]).unwrap();
    let scorer = Scorer::load(&file, Device::Cpu).unwrap();
    let items = |user| -> Vec<String> {
        scorer.recommend([("user", user)], 9, &[]).unwrap().into_iter().map(|(item, _)| item).collect()
    };
    assert_eq!(items("7").len(), 2, "{:?}", items("7"));
    assert!(!items("7").contains(&"y".to_owned()));
    assert_eq!((items("é").len(), items("é")[0].as_str()), (3, "y"));
}

#[test]
fn a_model_whose_graph_computes_something_else_is_an_error() {
    struct Forgetful(Linear);
    impl Model for Forgetful {
        fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
            // The tracer does not see tch fill this tensor: the graph has zeros in its place.
            Ok(self.0.logits(features, train)? + Tensor::from_slice(&[7f32]))
        }

        fn bias(&self) -> &Tensor {
            self.0.bias()
        }
    }
    let schema = schema(Task::Regression);
    let store = VarStore::new(Device::Cpu);
    let model = Forgetful(Linear::new(&store, &schema));
    let error = Bundle::new(&model, &store, &schema, &BundleOptions::default()).unwrap_err().to_string();
    assert!(error.contains("does not compute the same as the model") && error.lines().count() == 1, "{error}");
}

#[test]
fn items_with_equal_scores_keep_the_catalogues_order_whatever_its_length() {
    let schema = schema(Task::Binary { threshold: 1.0 });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    // More items than are scored at once; 13 kinds of items, some of them equal.
    let kinds = ["x", "y", "z", "new"].iter().cycle().zip(["a", "b", "", "a, b, 日"].iter().cycle().skip(1));
    let rows: Vec<Vec<Option<&str>>> = kinds
        .take(9000)
        .enumerate()
        .map(|(at, (item, sqrt))| {
            let mut row = vec![None; schema.num_fields()];
            (row[3], row[8]) = (Some(*sqrt), (at % 13 > 5).then_some(*item));
            row
        })
        .collect();
    let items: Vec<String> = (0..rows.len()).map(|at| at.to_string()).collect();
    let features = Encoder::new(&schema).features(&rows).unwrap();
    bundle(&schema, Some(&Catalogue { items, features })).save(&file, &[]).unwrap();

    let scorer = Scorer::load(&file, Device::Cpu).unwrap();
    let logits = Vec::<f32>::try_from(scorer.logits(&scorer.encoder().features(&rows).unwrap()).unwrap()).unwrap();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let found = |exclude: &[&str]| -> Vec<usize> {
        let found = scorer.recommend([], 10_000, exclude).unwrap();
        found.into_iter().map(|(item, _)| item.parse().unwrap()).collect()
    };
    assert_eq!(found(&[]), order);
    order.retain(|at| ![0, 4096, 8999].contains(at));
    assert_eq!(found(&["4096", "0", "8999"]), order);
}

#[test]
fn modules_with_similar_names_do_not_collide() {
    struct Named(Vec<Tensor>);
    impl Model for Named {
        fn logits(&self, features: &Features, _train: bool) -> Result<Tensor> {
            let sum = self.0.iter().sum::<Tensor>();
            Ok(features.padded()?.values.select(1, 0) * sum)
        }

        fn bias(&self) -> &Tensor {
            &self.0[0]
        }
    }
    let schema = schema(Task::Regression);
    let named = |names: &[&str]| {
        let store = VarStore::new(Device::Cpu);
        let path = |name: &str| name.split('.').fold(store.root(), |path, part| path / part);
        let weights = names.iter().map(|name| path(name).var_copy("w", &Tensor::from_slice(&[1f32]))).collect();
        Bundle::new(&Named(weights), &store, &schema, &BundleOptions::default()).map(|bundle| loaded(&bundle.module))
    };
    let module = named(&["a.b", "a_b", "a_b.c", "a.b_c"]).unwrap();
    let mut names: Vec<String> = module.named_parameters().unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["a.b.w", "a.b_c.w", "a_b.c.w", "a_b.w"]);
    let error = named(&["a", "a.w"]).unwrap_err().to_string();
    assert!(error.contains("`w` is a parameter, and the prefix of another"), "{error}");
}

#[test]
fn a_catalogue_needs_a_row_for_each_item() {
    let schema = schema(Task::Regression);
    let catalogue = Catalogue { items: vec!["x".into(), "y".into()], features: super::unknown_rows(&schema, 1).into() };
    let store = VarStore::new(Device::Cpu);
    let model = Linear::new(&store, &schema);
    let error =
        Bundle::new(&model, &store, &schema, &BundleOptions { catalogue: Some(&catalogue), ..Default::default() })
            .unwrap_err();
    assert_eq!(error.to_string(), "catalogue: expected a row for each of 2 items, found 1");
}

#[test]
fn threads_can_share_a_scorer() {
    let schema = schema(Task::Regression);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    bundle(&schema, None).save(&file, &[]).unwrap();
    let scorer = Scorer::load(&file, Device::Cpu).unwrap();
    let users = ["7", "é", "new", ""];
    let score = |user: &'static str| {
        scorer.score([[("user", user), ("mean", "a|b")], [("user", user), ("age", "30")]]).unwrap()
    };
    let expected = users.map(score);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(users.map(score), expected)));
        }
    });
}
