//! The Open Inference Protocol.

use serde_json::{Value, json};

use crate::scene::Scene;

/// The columns of two rows, as texts.
const COLUMNS: [(&str, [&str; 2]); 4] =
    [("user", ["ann", "nobody"]), ("item", ["b", "c"]), ("tags", ["x|y", ""]), ("age", ["41.5", ""])];

fn infer(shape: &[usize]) -> Value {
    let inputs = COLUMNS.map(|(name, data)| json!({ "name": name, "shape": shape, "datatype": "BYTES", "data": data }));
    json!({ "id": "r1", "inputs": inputs })
}

fn rows() -> Vec<Vec<(&'static str, &'static str)>> {
    (0..2).map(|row| COLUMNS.iter().map(|(name, data)| (*name, data[row])).collect()).collect()
}

/// The body of a request whose texts are in bytes, and the length of its head.
fn in_bytes() -> (Vec<u8>, usize) {
    let (mut inputs, mut bytes) = (vec![], vec![]);
    for (name, data) in COLUMNS {
        let before = bytes.len();
        for text in data {
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        let parameters = json!({ "binary_data_size": bytes.len() - before });
        inputs.push(json!({ "name": name, "shape": [2, 1], "datatype": "BYTES", "parameters": parameters }));
    }
    let head = json!({ "inputs": inputs, "parameters": { "binary_data_output": true } }).to_string();
    let length = head.len();
    ([head.into_bytes(), bytes].concat(), length)
}

#[test]
fn the_server_and_its_models_describe_themselves() {
    let scene = Scene::shared();
    assert_eq!(scene.get("/v2").json()["extensions"], json!(["binary_tensor_data"]));
    for path in
        ["/v2/health/live", "/v2/health/ready", "/v2/models/likes/ready", "/v2/models/likes_ids/versions/1/ready"]
    {
        assert_eq!(scene.get(path).status, 200, "{path}");
    }
    for path in ["/v2/models/stars", "/v2/models/stars/versions/1"] {
        let metadata = scene.get(path).json();
        let inputs: Vec<&str> =
            metadata["inputs"].as_array().unwrap().iter().map(|input| input["name"].as_str().unwrap()).collect();
        assert_eq!(inputs, COLUMNS.map(|(name, _)| name));
        assert_eq!(metadata["outputs"], json!([{ "name": "OUTPUT__0", "datatype": "FP32", "shape": [-1, 1] }]));
    }
    // user, item, three tags, age
    let encoded = scene.get("/v2/models/stars_ids").json();
    assert_eq!(encoded["inputs"][0], json!({ "name": "ids", "datatype": "INT64", "shape": [-1, 6] }));
    assert_eq!(encoded["inputs"][1], json!({ "name": "values", "datatype": "FP32", "shape": [-1, 6] }));
    let index = scene.post("/v2/repository/index", "{}").json();
    let names: Vec<&str> = index.as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["stars", "stars_ids", "likes", "likes_ids"]);
    for path in ["/v2/models/none", "/v2/models/stars/versions/2", "/v2/models/none_ids/ready", "/v2/models/_ids"] {
        let answer = scene.get(path);
        assert_eq!((answer.status, answer.error().is_empty()), (404, false), "{path}");
    }
}

#[test]
fn predictions_of_texts_are_those_of_the_file() {
    let scene = Scene::shared();
    for model in ["stars", "likes"] {
        let expected = scene.scorer(model).score(rows()).unwrap();
        assert_ne!(expected[0], expected[1]);
        for path in [format!("/v2/models/{model}/infer"), format!("/v2/models/{model}/versions/1/infer")] {
            let answer = scene.post(&path, infer(&[2]).to_string());
            assert_eq!((answer.status, answer.predictions()), (200, expected.clone()));
            let json = answer.json();
            assert_eq!(
                (&json["id"], &json["model_name"], &json["model_version"]),
                (&json!("r1"), &json!(model), &json!("1"))
            );
            assert_eq!(json["outputs"][0]["shape"], json!([2]));
        }
        let answer = scene.post(&format!("/v2/models/{model}/infer"), infer(&[2, 1]).to_string());
        assert_eq!((&answer.json()["outputs"][0]["shape"], answer.predictions()), (&json!([2, 1]), expected.clone()));
    }
}

#[test]
fn tensors_in_bytes_give_the_same_predictions() {
    let scene = Scene::shared();
    let expected = scene.scorer("likes").score(rows()).unwrap();
    let (body, head) = in_bytes();
    let length = head.to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str())];
    let answer = scene.client.request("POST", "/v2/models/likes/infer", &headers, &body);
    let head: usize = answer.headers["inference-header-content-length"].parse().unwrap();
    let json: Value = serde_json::from_slice(&answer.body[..head]).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 8);
    assert!(json.get("id").is_none() && json["outputs"][0].get("data").is_none());
    let found: Vec<f32> =
        answer.body[head..].chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(found, expected);
    // Without the header, the bytes are not part of the JSON.
    scene.refuses("/v2/models/likes/infer", &body, 400, "trailing characters");
    let headers = [("Inference-Header-Content-Length", "999999")];
    assert_eq!(scene.client.request("POST", "/v2/models/likes/infer", &headers, &body).status, 400);
}

#[test]
fn an_output_wants_its_own_form() {
    let scene = Scene::shared();
    let mut request = infer(&[2]);
    request["parameters"] = json!({ "binary_data_output": true });
    request["outputs"] = json!([{ "name": "OUTPUT__0", "parameters": { "binary_data": false } }]);
    assert_eq!(scene.post("/v2/models/stars/infer", request.to_string()).predictions().len(), 2);
    request["outputs"] = json!([{ "name": "score" }]);
    scene.refuses("/v2/models/stars/infer", request.to_string(), 400, "unknown output `score`");
}

#[test]
fn encoded_rows_are_scored_as_they_are() {
    let scene = Scene::shared();
    let scorer = scene.scorer("stars");
    // user: 0 to 3; item: 4 to 7; tags: 8 to 11; age: 12 and 13
    let ids = [[1, 6, 9, 10, 8, 13], [0, 7, 8, 8, 8, 12]];
    let values = [[1.0, 1.0, 0.5, 0.5, 0.0, 1.15], [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]];
    let request = |ids: Value, values: Value| {
        json!({ "inputs": [
            { "name": "ids", "shape": [2, 6], "datatype": "INT64", "data": ids },
            { "name": "values", "shape": [2, 6], "datatype": "FP32", "data": values },
        ] })
        .to_string()
    };
    let answer = scene.post("/v2/models/stars_ids/infer", request(json!(ids), json!(values.concat())));
    assert_eq!(answer.predictions(), scorer.score(rows()).unwrap());
    assert_eq!(answer.json()["model_name"], "stars_ids");
    let mut wrong = ids;
    wrong[1][2] = 12;
    let path = "/v2/models/stars_ids/infer";
    let expected = "slot 2 of row 1 has id 12, but its field has the ids 8 to 11";
    scene.refuses(path, request(json!(wrong), json!(values)), 400, expected);
    scene.refuses(path, request(json!(ids), json!(vec![1e300; 12])), 400, "a number of its datatype");
    scene.refuses(path, request(json!(ids), json!(vec![1.0; 11])), 400, "11 elements, but its shape needs 12");
    scene.refuses(path, infer(&[2]).to_string(), 400, "one input `ids`");
}

#[test]
fn numbers_stand_for_their_text() {
    let scene = Scene::shared();
    let input = |name: &str, datatype: &str, data: Value| json!({ "name": name, "shape": [1], "datatype": datatype, "data": data });
    let request = |age: Value| {
        let inputs = [
            input("user", "INT64", json!([7])),
            input("item", "BYTES", json!(["a"])),
            input("tags", "UINT8", json!([1])),
            age,
        ];
        json!({ "inputs": inputs }).to_string()
    };
    let row = |age| vec![("user", "7"), ("item", "a"), ("tags", "1"), ("age", age)];
    for (age, text) in [(input("age", "FP64", json!([25.5])), "25.5"), (input("age", "INT32", json!([25])), "25")] {
        let expected = scene.scorer("stars").score([row(text)]).unwrap();
        assert_eq!(scene.post("/v2/models/stars/infer", request(age)).predictions(), expected);
    }
    let wrong = input("age", "FP16", json!([1]));
    scene.refuses("/v2/models/stars/infer", request(wrong), 400, "unknown datatype `FP16`");
}

#[test]
fn a_request_that_does_not_fit_the_model_is_refused_with_the_reason() {
    let scene = Scene::shared();
    let refuses = |change: &dyn Fn(&mut Value), words: &str| {
        let mut request = infer(&[2]);
        change(&mut request);
        scene.refuses("/v2/models/stars/infer", request.to_string(), 400, words);
    };
    refuses(&|r| drop(r["inputs"].as_array_mut().unwrap().pop()), "input `age` is missing");
    refuses(&|r| r["inputs"][0]["name"] = json!("User"), "unknown input `User`; the inputs are user, item, tags, age");
    refuses(&|r| r["inputs"][1]["name"] = json!("user"), "`user` is given twice");
    refuses(&|r| r["inputs"][1]["shape"] = json!([1]), "has 1 rows, but `user` has 2");
    refuses(&|r| r["inputs"][1]["shape"] = json!([2, 2]), "2 elements per row");
    refuses(&|r| r["inputs"][1]["shape"] = json!([2, 1, 1]), "3 dimensions");
    refuses(&|r| r["inputs"][1]["shape"] = json!([]), "0 dimensions");
    refuses(&|r| r["inputs"][1]["shape"] = json!([-2]), "invalid value");
    refuses(&|r| r["inputs"][1]["data"] = json!(["a"]), "has 1 elements, but its shape needs 2");
    refuses(&|r| r["inputs"][1]["data"] = json!([1, 2]), "element 0 is not a string");
    refuses(&|r| drop(r["inputs"][1].as_object_mut().unwrap().remove("data")), "neither `data` nor");
    refuses(&|r| r["inputs"][1]["parameters"] = json!({ "binary_data_size": 3 }), "both `data` and");
    refuses(&|r| drop(r.as_object_mut().unwrap().remove("inputs")), "missing field `inputs`");
    refuses(&|r| r["inputs"] = json!([]), "input `user` is missing");
    let rows = json!({ "inputs": COLUMNS.map(|(name, _)| {
        json!({ "name": name, "shape": [1_000_000_000u64], "datatype": "BYTES", "data": [] })
    }) });
    scene.refuses("/v2/models/stars/infer", rows.to_string(), 413, "1000000000 rows; at most 4096");
}

#[test]
fn no_rows_have_no_predictions() {
    let scene = Scene::shared();
    let inputs = COLUMNS.map(|(name, _)| json!({ "name": name, "shape": [0], "datatype": "BYTES", "data": [] }));
    let answer = scene.post("/v2/models/stars/infer", json!({ "inputs": inputs }).to_string());
    assert_eq!((answer.status, answer.predictions()), (200, vec![]));
    assert_eq!(scene.post("/score", "[]").predictions(), [0.0; 0]);
}
