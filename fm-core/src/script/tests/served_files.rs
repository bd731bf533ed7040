//! Files for inference servers.

use super::*;

/// Saves and loads an archive for servers.
fn served(served: &Served) -> CModule {
    let file = tempfile::NamedTempFile::new().unwrap();
    served.write(&mut file.reopen().unwrap(), &[]).ok().unwrap();
    CModule::load(file.path()).unwrap()
}

/// The output of a server's `forward` for rows of texts.
fn served_texts(module: &CModule, rows: &[Vec<String>]) -> Tensor {
    let column = |field: usize| IValue::StringList(rows.iter().map(|row| row[field].clone()).collect());
    let columns: Vec<IValue> = (0..rows[0].len()).map(column).collect();
    module.forward_is(&columns).unwrap().try_into().unwrap()
}

#[test]
fn a_server_predicts_from_texts_and_from_ids() {
    for task in TASKS {
        let schema = schema(task);
        let bundle = bundle(&schema, None);
        let (columns, ids) = (bundle.served_columns().unwrap(), bundle.served_ids().unwrap());
        assert_eq!(
            columns.arguments(),
            [
                "user",
                "sum",
                "mean",
                "sqrt",
                "city",
                "words",
                "age",
                "price",
                "item",
                "given",
                "last",
                "sequence",
                "first",
                "visits",
                "other_sums",
                "other_city"
            ]
        );
        assert_eq!(ids.arguments(), ["ids", "values"]);
        let (columns, ids) = (served(&columns), served(&ids));
        // A bundle can be wrapped any number of times.
        assert_eq!(bundle.served_ids().unwrap().arguments(), ["ids", "values"]);
        let rows = ["7", "é", "", "new", "?", "日本", "a b"].map(|user| {
            [
                user, "a|b|é|a", "aéb", "日, b", "x", "p q", "900", "", "y", "a:2|é", "a:2 b", "a|a|b", "", "p|q",
                "b|a", "x",
            ]
            .map(String::from)
            .to_vec()
        });
        for rows in [&rows[..], &rows[..1], &rows[1..3]] {
            let features = encoded(&schema, rows);
            let expected = bundle.logits(&features.shallow_clone().into()).unwrap();
            let expected: Vec<f32> = expected.try_into().unwrap();
            let expected: Vec<f32> = expected.into_iter().map(|logit| schema.label().prediction(logit)).collect();
            let expected = Tensor::from_slice(&expected);
            assert!(served_texts(&columns, rows).allclose(&expected, 0.0, 1e-6, false));
            let Padded { ids: of_rows, values } = features;
            let predictions = ids.forward_ts(&[of_rows, values]).unwrap();
            assert!(predictions.allclose(&expected, 0.0, 1e-6, false));
        }
    }
}

#[test]
fn names_of_fields_cannot_inject_code_into_the_source_of_a_server() {
    let injection = "x: int) -> int:\n    return 1\ndef other(self, y";
    let plain =
        ["user_id", "_0", "print", "str", "List", "Tensor", "model", "forward", "ids", "columns", "a__1", "Item2"];
    let hostile = [
        injection, "a b", "é", "\"", "'", "\\", "self", "if", "torch", "inf", "NoneType", "_", "2nd", "x#", "x\0",
        "ｘ", "\n",
    ];
    let scored = |names: &[&str]| {
        let field =
            |name: &&str| Field::new(*name, FieldKind::Categorical, Side::Context, vec!["a".into(), "b".into()]);
        let label = Label { scale: 1.0, ..Label::fit("label", Task::Regression, [-100.0, 100.0]) };
        let schema = Schema::new(label, names.iter().map(field).collect()).unwrap();
        let bundle = bundle(&schema, None);
        let columns = bundle.served_columns().unwrap();
        // Each column reaches its own field.
        let rows: Vec<Vec<String>> = (0..names.len())
            .map(|at| (0..names.len()).map(|field| if field == at { "b" } else { "a" }.to_owned()).collect())
            .collect();
        let expected = bundle.logits(&encoded(&schema, &rows).into()).unwrap();
        assert!(served_texts(&served(&columns), &rows).allclose(&expected, 0.0, 1e-5, false), "{names:?}");
        columns.arguments().to_vec()
    };
    assert_eq!(scored(&plain), plain);
    for name in hostile {
        assert_eq!(scored(&["user_id", name]), ["INPUT__0", "INPUT__1"], "{name:?}");
    }
    let all = [&plain[..], &hostile[..]].concat();
    assert_eq!(scored(&all).last().unwrap(), &format!("INPUT__{}", all.len() - 1));
}

#[test]
fn a_file_for_servers_is_not_mistaken_for_one_that_returns_logits() {
    let schema = schema(Task::Binary { threshold: 1.0 });
    let bundle = bundle(&schema, None);
    let file = tempfile::NamedTempFile::new().unwrap();
    for served in [bundle.served_ids().unwrap(), bundle.served_columns().unwrap()] {
        served.write(&mut file.reopen().unwrap(), &[]).ok().unwrap();
        let error = Scorer::load(file.path(), Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("an earlier version wrote it, or it is for a server such as Triton"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
