//! Tests of the content of files and of errors. The tests of `fm_models` compare scores with onnxruntime.

use prost::Message;
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

use super::builder::value_info;
use super::element::Element;
use super::graph::Size;
use super::*;
use crate::features::Features;
use crate::schema::{Field, FieldKind, Label, Side, Task};

/// ŷ = f(x, (w₀, W, w)), with w₀ `bias` `[1]`, W `layer.table` `[num_ids, 1]` and `unread` `[1]`.
struct Own {
    bias: Tensor,
    table: Tensor,
    formula: fn(&Features, &Tensor) -> Tensor,
}

impl Model for Own {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        let weights = Tensor::f_embedding(&self.table, &features.padded()?.ids, -1, false, train)?;
        Ok((self.formula)(features, &weights.squeeze_dim(-1)) + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }
}

fn schema() -> Schema {
    let field = |name: &str, values: &[&str]| {
        let vocabulary = values.iter().map(|&value| value.into()).collect();
        Field::new(name, FieldKind::Categorical, Side::Context, vocabulary)
    };
    let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5 };
    Schema::new(label, vec![field("user", &["a"]), field("item", &["x", "y"])]).unwrap()
}

fn own(formula: fn(&Features, &Tensor) -> Tensor) -> (VarStore, Own) {
    let store = VarStore::new(Device::Cpu);
    let root = store.root();
    let table = (&root / "layer").var("table", &[schema().num_ids(), 1], Init::Const(0.25));
    let _ = root.var("unread", &[1], Init::Const(0.0));
    let model = Own { bias: root.var("bias", &[1], Init::Const(0.0)), table, formula };
    (store, model)
}

/// Σ_s w_{id_s} x_s
fn first_order(features: &Features, weights: &Tensor) -> Tensor {
    (weights * features.padded().unwrap().values).sum_dim_intlist(1, false, Kind::Float)
}

fn export_own(path: &Path, formula: fn(&Features, &Tensor) -> Tensor) -> Result<()> {
    let (store, model) = own(formula);
    export(path, &model, &store, &schema())
}

fn error_of(formula: fn(&Features, &Tensor) -> Tensor) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = export_own(&folder.path().join("model.onnx"), formula).unwrap_err();
    assert!(matches!(error, Error::Onnx(_)), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    error.to_string()
}

#[test]
fn a_file_declares_its_inputs_its_output_its_parameters_and_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    export_own(&file, first_order).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let model = ModelProto::decode(bytes.as_slice()).unwrap();
    assert_eq!((model.ir_version, model.producer_name.as_str()), (8, "fm"));
    assert_eq!(model.producer_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(model.opset_import, [OperatorSetIdProto { domain: Some(String::new()), version: 18 }]);
    let [entry] = model.metadata_props.as_slice() else { panic!("{:?}", model.metadata_props) };
    assert_eq!((entry.key.as_str(), Schema::from_json(&entry.value).unwrap()), ("schema.json", schema()));

    let graph = model.graph.unwrap();
    let two = Size::from(2);
    let inputs = [
        value_info("ids", Element::Int64, &[Size::BATCH, two]),
        value_info("values", Element::Float, &[Size::BATCH, two]),
    ];
    assert_eq!(
        (&graph.input[..], &graph.output[..]),
        (&inputs[..], &[value_info("logits", Element::Float, &[Size::BATCH])][..])
    );
    let dim = graph.input[0].r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().shape.as_ref().unwrap().dim.clone();
    assert_eq!((dim[0].dim_param.as_deref(), dim[0].dim_value, dim[1].dim_value), (Some("batch"), None, Some(2)));
    // Only parameters that the formula uses.
    let names: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["bias", "layer.table", "int64[1]", "int64[2]"]);
    let table = &graph.initializer[1];
    assert_eq!((&table.dims[..], table.data_type), (&[5, 1][..], 1));
    assert_eq!(table.raw_data.as_deref().unwrap(), 0.25f32.to_le_bytes().repeat(5));
    assert_eq!(
        graph.node.iter().map(|node| node.op_type.as_str()).collect::<Vec<_>>(),
        ["Gather", "Squeeze", "Mul", "ReduceSum", "Add"]
    );
    assert_eq!(graph.node.last().unwrap().output, ["logits"]);
}

#[test]
fn an_unsupported_operator_is_named() {
    let error = error_of(|features, weights| first_order(features, weights).erfinv());
    let expected = "cannot export to ONNX: the operator aten::erfinv is not supported: use other operators in the formula, or \
                    export TorchScript";
    assert_eq!(error, expected);
    let error = error_of(|features, weights| first_order(features, &weights.sort(1, false).0));
    assert!(error.contains("the operator aten::sort"), "{error}");
    let error = error_of(|features, weights| first_order(features, weights).squeeze());
    assert!(error.contains("this form of the operator aten::squeeze"), "{error}");
}

/// The tracer records zeros instead.
#[test]
fn a_tensor_created_in_the_formula_is_an_error() {
    let error = error_of(|features, weights| first_order(features, weights) * Tensor::from_slice(&[2f32]));
    assert!(error.contains("aten::zeros") && error.contains("when the model is built"), "{error}");
}

#[test]
fn a_formula_that_uses_the_number_of_rows_is_an_error() {
    let error = error_of(|features, weights| first_order(features, weights) / features.len() as f64);
    assert!(error.contains("uses the number of rows") && error.contains("prim::Constant"), "{error}");
    let error = error_of(|features, weights| {
        let wide = first_order(features, weights).unsqueeze(1).expand([features.len() as i64, 2], false);
        wide.sum_dim_intlist(1, false, Kind::Float)
    });
    assert!(error.contains("uses the number of rows"), "{error}");
}

#[test]
fn a_model_must_return_one_logit_per_row() {
    let of_slots = error_of(|features, weights| weights * features.padded().unwrap().values);
    let of_batch = error_of(|_, weights| weights.sum(Kind::Float));
    assert!(of_slots.contains("one logit per row") && of_batch.contains("one logit per row"), "{of_slots} {of_batch}");
}

#[test]
fn a_parameter_cannot_have_the_name_of_an_input() {
    let (store, model) = own(first_order);
    let _ = store.root().var("ids", &[1], Init::Const(0.0));
    let folder = tempfile::tempdir().unwrap();
    let error = export(folder.path().join("model.onnx"), &model, &store, &schema()).unwrap_err().to_string();
    assert!(error.contains("the parameter `ids`"), "{error}");
}

#[test]
fn a_file_above_the_limit_of_protobuf_is_an_error() {
    check_size(MAX_BYTES).unwrap();
    let error = check_size(MAX_BYTES + 1).unwrap_err().to_string();
    assert!(error.contains("2147483648 bytes") && error.contains("export TorchScript"), "{error}");
}

#[test]
fn a_failed_export_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    export_own(&file, first_order).unwrap();
    let old = std::fs::read(&file).unwrap();
    export_own(&file, |features, weights| first_order(features, weights).erfinv()).unwrap_err();
    assert_eq!(std::fs::read(&file).unwrap(), old);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = export_own(&folder.path().join("nowhere/model.onnx"), first_order).unwrap_err();
    assert!(matches!(error, Error::Io { action: "write", .. }), "{error}");
}
