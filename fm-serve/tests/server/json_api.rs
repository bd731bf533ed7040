//! The JSON API for people.

use fm_core::script::Scorer;
use fm_core::tch::Device;
use serde_json::{Value, json};

use crate::scene::{self, Scene};

#[test]
fn rows_as_objects_have_the_predictions_of_the_file() {
    let scene = Scene::shared();
    let expected = scene.scorer("stars").score([
        vec![("user", "7"), ("item", "b"), ("tags", "x|y"), ("age", "41.5")],
        vec![("user", "bob")],
        vec![("user", "carl"), ("tags", "z")],
    ]);
    let rows = r#"[{"user": 7.0, "item": "b", "tags": ["x", "y"], "age": 41.5}, {"user": "bob", "age": null},
                   {"user": "carl", "tags": "z", "Item": "b"}]"#;
    let answer = scene.post("/score", rows);
    assert_eq!((answer.status, answer.predictions()), (200, expected.unwrap()));
    let json = answer.json();
    assert_eq!((&json["model"], &json["ignored"]), (&json!("stars"), &json!(["Item"])));
    assert_eq!(json["unknown"], json!({ "user": 1, "item": 2, "tags": 2, "age": 2 }));
    let wrapped = scene.post("/score?model=stars", format!(r#"{{"rows": {rows}}}"#));
    assert_eq!(wrapped.predictions(), answer.predictions());
    assert_ne!(scene.post("/score?model=likes", rows).predictions(), answer.predictions());
    assert_eq!(scene.post("/score?model=none", rows).status, 404);
    assert_eq!(scene.post("/score?modell=stars", rows).status, 400);
}

#[test]
fn recommendations_are_those_of_the_file_with_titles() {
    let scene = Scene::shared();
    let expected = scene.scorer("stars").recommend([("user", "ann"), ("age", "20")], 2, &["c"]).unwrap();
    let json = scene.get("/recommend?user=ann&k=2&exclude=c&age=20").json();
    let found = json["items"].as_array().unwrap().iter();
    let found: Vec<(String, f32)> =
        found.map(|item| (item["item"].as_str().unwrap().into(), item["score"].as_f64().unwrap() as f32)).collect();
    assert_eq!((found.len(), &found), (2, &expected));
    assert_eq!(json["known_user"], true);
    let all = scene.get("/recommend?user=stranger").json();
    assert_eq!((&all["known_user"], all["items"].as_array().unwrap().len()), (&json!(false), 3));
    let title = |id: &str| {
        let items = all["items"].as_array().unwrap();
        items.iter().find(|item| item["item"] == id).unwrap()["title"].clone()
    };
    assert_eq!((title("a"), title("c")), (json!("Alpha"), json!(null)));
}

#[test]
fn a_recommendation_may_be_asked_for_with_a_json_object() {
    let scene = Scene::shared();
    let found = scene.post("/recommend?model=stars", r#"{"user": {"user": 7.0, "age": 20}, "k": 2, "exclude": ["c"]}"#);
    let expected = scene.get("/recommend?user=7.0&k=2&exclude=c&age=20");
    assert_eq!((found.status, found.json()), (200, expected.json()));
    for (path, body, status, words) in [
        ("/recommend?model=likes", r#"{"user": {"user": "ann"}}"#, 404, "--with-catalogue"),
        ("/recommend", "", 400, "must be an object"),
        ("/recommend", r#"{"user": {"age": 3}}"#, 400, "no `user`, the user's id"),
        ("/recommend", r#"{"user": {"user": null}}"#, 400, "no `user`, the user's id"),
        ("/recommend", r#"{"user": {"user": "ann", "item": "a"}}"#, 400, "`item` describes the item"),
        ("/recommend?k=3", r#"{"user": {"user": "ann"}}"#, 400, "unknown parameter `k`"),
    ] {
        scene.refuses(path, body, status, words);
    }
}

#[test]
fn columns_with_the_names_of_parameters_are_given_in_json() {
    let scene = Scene::with(|options, folder| {
        let path = folder.join("odd.pt");
        scene::export_odd_names(&path);
        options.files = vec![fm_serve::ModelFile::parse(path.to_str().unwrap()).unwrap()];
    });
    let odd = Scorer::load(scene.path("odd.pt"), Device::Cpu).unwrap();
    let ask = |json: &str| {
        let answer = scene.post("/recommend?model=odd", json);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let scores = |json: &Value| {
        let items = json["items"].as_array().unwrap().iter();
        items.map(|item| (item["item"].as_str().unwrap().to_owned(), item["score"].as_f64().unwrap() as f32)).collect()
    };
    let columns = [("id", "ann"), ("model", "m"), ("user", "u"), ("k", "2"), ("exclude", "e")];
    let found: Vec<(String, f32)> = scores(&ask(
        r#"{"user": {"id": "ann", "model": "m", "user": "u", "k": "2", "exclude": "e"}, "k": 3, "exclude": ["c"]}"#,
    ));
    assert_eq!(found, odd.recommend(columns, 3, &["c"]).unwrap());
    assert_ne!(found, odd.recommend([columns[0]], 3, &["c"]).unwrap(), "the columns matter");
    for path in ["/recommend?user=ann", "/recommend?user=ann&k=3", "/recommend?user=ann&model=m"] {
        let answer = scene.get(path);
        assert!(answer.status == 400 && answer.error().contains("use POST /recommend"), "{}", answer.text());
    }
    assert!(scene.get("/openapi.json").json()["paths"]["/recommend"]["get"].is_null());
}

#[test]
fn a_recommendation_that_cannot_be_is_refused_with_the_reason() {
    let scene = Scene::shared();
    for (path, status, words) in [
        ("/recommend?model=likes&user=ann", 404, "--with-catalogue"),
        ("/recommend", 400, "`user` is missing"),
        ("/recommend?user=", 400, "`user` is missing"),
        ("/recommend?user=ann&k=0", 400, "from 1 to 1000"),
        ("/recommend?user=ann&k=1001", 400, "from 1 to 1000"),
        ("/recommend?user=ann&item=a", 400, "`item` describes the item"),
        ("/recommend?user=ann&Age=3", 400, "unknown parameter `Age`"),
        ("/recommend?user=ann&age=3&age=4", 400, "given twice"),
        ("/recommend?user=%ff", 400, "UTF-8"),
    ] {
        let answer = scene.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.error().contains(words), "{path}: {}", answer.error());
    }
}

#[test]
fn terms_of_an_explanation_add_up_to_the_prediction() {
    let scene = Scene::shared();
    let row = r#"{"user": "ann", "item": "b", "tags": ["x"], "age": 33}"#;
    let json = scene.post("/explain", row).json();
    let terms = json["terms"].as_array().unwrap();
    assert_eq!(terms.len(), 4);
    let sum: f64 = terms.iter().map(|term| term["term"].as_f64().unwrap()).sum();
    assert!((json["baseline"].as_f64().unwrap() + sum - json["sum"].as_f64().unwrap()).abs() < 1e-5, "{json}");
    // Within the range of the label, the prediction is the sum.
    assert!(
        (json["sum"].as_f64().unwrap().clamp(-5.0, 5.0) - json["prediction"].as_f64().unwrap()).abs() < 1e-5,
        "{json}"
    );
    assert_eq!(scene.post("/score", format!("[{row}]")).json()["predictions"][0], json["prediction"]);
    assert!(terms.iter().any(|term| term["field"] == "user" && term["value"] == "ann"));
    scene.refuses("/explain", "[]", 400, "a row");
    // Without values there is nothing to explain.
    assert_eq!(scene.post("/explain", "{}").json()["terms"], json!([]));
}

#[test]
fn the_schema_has_the_values_to_choose_from() {
    let scene = Scene::shared();
    let json = scene.get("/schema").json();
    assert_eq!(json["models"], json!(["stars", "likes"]));
    assert_eq!((&json["user"], &json["item"], &json["items"]), (&json!("user"), &json!("item"), &json!(3)));
    let columns = json["columns"].as_array().unwrap();
    assert_eq!(columns[0]["values"], json!([{ "value": "ann" }, { "value": "bob" }, { "value": "7" }]));
    assert_eq!((&columns[0]["known_values"], &columns[0]["is_of_item"]), (&json!(3), &json!(false)));
    assert_eq!(columns[1]["values"][0], json!({ "value": "a", "title": "Alpha" }));
    assert_eq!((&columns[2]["separator"], &columns[2]["is_of_item"]), (&json!("|"), &json!(true)));
    assert_eq!(columns[3]["fields"], json!([{ "name": "age", "kind": "numeric" }]));
    assert_eq!(scene.get("/schema?model=likes").json()["items"], 0);
    assert_eq!(scene.get("/schema?values=0").status, 400);
    assert_eq!(scene.get("/schema").json(), json);
}

#[test]
fn openapi_describes_paths_that_exist() {
    let scene = Scene::shared();
    for (model, has_items) in [("stars", true), ("likes", false)] {
        let json = scene.get(&format!("/openapi.json?model={model}")).json();
        let paths = json["paths"].as_object().unwrap();
        assert_eq!(paths.contains_key("/recommend"), has_items);
        for (path, methods) in paths {
            for method in methods.as_object().unwrap().keys() {
                let status = scene.client.request(&method.to_uppercase(), path, &[], b"").status;
                assert!(![404, 405].contains(&status), "{method} {path}: {status}");
            }
        }
        let row = &json["components"]["schemas"]["Row"]["properties"];
        assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["age", "item", "tags", "user"]);
    }
}

#[test]
fn metrics_count_requests_rows_and_unknown_values() {
    let scene = Scene::new();
    scene.post(
        "/score",
        r#"[{"user": "ann", "item": "a", "tags": "x", "age": 3}, {"user": "eve", "item": "b", "tags": "x", "age": 3}]"#,
    );
    scene.post("/score", "[{}]");
    scene.post("/score", "{");
    for (name, number) in [
        (r#"fm_requests_total{endpoint="score",status="200"}"#, 2.0),
        (r#"fm_requests_total{endpoint="score",status="400"}"#, 1.0),
        (r#"fm_request_seconds_count{endpoint="score"}"#, 3.0),
        (r#"fm_rows_total{model="stars"}"#, 3.0),
        (r#"fm_unknown_values_total{model="stars",field="user"}"#, 2.0),
        (r#"fm_unknown_values_total{model="stars",field="age"}"#, 1.0),
        ("fm_batch_rows_sum", 3.0),
        ("fm_queue_rows", 0.0),
    ] {
        assert_eq!(scene.metric(name), number, "{name}");
    }
    assert!(scene.metric("process_resident_memory_bytes") > 1e6);
    assert!(scene.metric(r#"fm_model_loaded_timestamp_seconds{model="likes"}"#) > 1.7e9);
}
