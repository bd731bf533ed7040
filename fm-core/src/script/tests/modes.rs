//! What a file says of rows, and what it does in each mode of its user.

use tch::{Device, IValue, Kind, Tensor};

use super::{bundle, loaded, schema};
use crate::schema::Task;

#[test]
fn a_file_says_which_values_the_model_cannot_use() {
    let schema = schema(Task::Regression);
    let source = "
def forward(self, names: List[str], cells: List[str]) -> Tuple[List[str], List[int]]:
    rows: List[Dict[str, str]] = []
    for first in range(0, len(cells), len(names)):
        row: Dict[str, str] = {}
        for at, name in enumerate(names):
            row[name] = cells[first + at]
        rows.append(row)
    fields, foreign = self.model.check(rows)
    texts: List[str] = []
    counts: List[int] = []
    for name in fields.keys():
        texts.append(name)
        of_field = fields[name]
        counts.extend([of_field['unknown'], of_field['missing'], of_field['malformed']])
    for name in foreign.keys():
        texts.append(name)
        counts.append(foreign[name])
    return texts, counts
";
    let module = loaded(&bundle(&schema, None).module.wrap("fm.Check", source).unwrap());
    let names = ["User", "user", "sum", "city", "age", "given"];
    let rows = [
        ["x", "7.0", "a|new|NULL| b", "anything", "1e400", "a:1|b:x|new:2"],
        ["y", "8", "['new', 'newer']", " ", "n/a", ""],
        ["", "NULL", "", "-999.0", " -999 ", "|"],
        ["", " ", "b", "a", "31", "é"],
    ];
    let strings = |texts: &[&str]| IValue::StringList(texts.iter().map(|&text| text.to_owned()).collect());
    let found = module.forward_is(&[strings(&names), strings(&rows.concat())]).unwrap();
    let IValue::Tuple(found) = found else { panic!("a tuple") };
    let Ok([IValue::GenericList(texts), IValue::IntList(counts)]) = <[IValue; 2]>::try_from(found) else {
        panic!("lists")
    };
    let texts: Vec<String> = texts.into_iter().map(|text| text.try_into().unwrap()).collect();
    let of = |name: &str| {
        let at = texts.iter().position(|text| text == name).unwrap();
        &counts[3 * at..counts.len().min(3 * at + 3)]
    };
    // Unknown, missing, malformed.
    assert_eq!(of("user"), [1, 2, 0]);
    assert_eq!(of("sum"), [3, 1, 0]);
    assert_eq!(of("city"), [0, 2, 0], "a hashed value has a bucket");
    assert_eq!(of("age"), [0, 1, 2]);
    assert_eq!(of("given"), [1, 2, 1]);
    assert_eq!(of("item"), [0, 4, 0]);
    assert_eq!((of("User"), texts.len()), (&[4][..], schema.num_fields() + 1));
}

#[test]
fn a_file_scores_in_any_mode_and_leaves_the_mode_as_it_was() {
    let schema = schema(Task::Regression);
    let source = "
def forward(self, names: List[str], cells: List[str]) -> List[Tensor]:
    row: Dict[str, str] = {}
    for at, name in enumerate(names):
        row[name] = cells[at]
    assert torch.is_grad_enabled()
    scores = self.model.score([row])
    assert torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    without = self.model.score([row])
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    return [scores, without]
";
    let module = loaded(&bundle(&schema, None).module.wrap("fm.Modes", source).unwrap());
    let names = schema.fields().iter().map(|field| field.name.clone()).collect();
    let arguments = [IValue::StringList(names), IValue::StringList(vec!["7".into(); schema.num_fields()])];
    // libtorch optimises the graph after two calls.
    for _ in 0..4 {
        let scores = Vec::<Tensor>::try_from(module.forward_is(&arguments).unwrap()).unwrap();
        assert!(scores[0].equal(&scores[1]) && !scores[0].requires_grad());
    }
    // An error on the way does not leave gradients off.
    let module = loaded(&bundle(&schema, None).module);
    let ids = Tensor::full([1, schema.num_slots() as i64], schema.num_ids(), (Kind::Int64, Device::Cpu));
    let values = ids.to_kind(Kind::Float);
    assert!(module.method_is::<IValue>("predict", &[IValue::Tensor(ids), IValue::Tensor(values)]).is_err());
    let weight = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    assert!((weight * 2.0).requires_grad());
}
