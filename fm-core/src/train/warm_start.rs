//! Warm starts: training that begins with the parameters of another run, whose vocabularies can be smaller.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

use super::Trainer;
use super::checkpoint::{Checkpoint, LearnerState};

use crate::error::{Error, Result};
use crate::features::Features;
use crate::model::Model;
use crate::number::bucket;
use crate::schema::{Field, FieldKind, Schema};

/// Whether a warm start takes something over from the earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inherit {
    /// It is that of the new run alone.
    Fresh,
    /// It is that of the earlier run, completed where the new run has more.
    Keep,
}

/// The parameters that a warm start took from another run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmStart {
    /// For each field that does not share another's table, how many of its values the other run knew. The values of a
    /// hashed field are its buckets; a numeric field has one value, its number.
    pub values: Vec<TakenValues>,
    /// The parameters that keep their initial values, each with the reason.
    pub fresh: Vec<(String, String)>,
}

/// How many values of a field the other run knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenValues {
    /// The field.
    pub field: String,
    /// Number of values found in the other run.
    pub taken: usize,
    /// Number of values.
    pub all: usize,
}

impl Trainer<'_> {
    /// Loads parameters from a checkpoint of a run with the schema `from` into a model for rows of `schema`.
    ///
    /// - Tables are loaded row by row: the row of a field's value, or of its unknown values, is copied to its position
    ///   in `schema`. The rows of new values are unchanged.
    /// - All other parameters are loaded if the run has a parameter of the same name and shape. The rest are unchanged,
    ///   and the result lists them.
    ///
    /// With `keep`, the optimiser takes its state from the checkpoint, row by row like the parameters, and counts its
    /// updates on; `keep` is the share, above 0, of what a state has accumulated beyond its initial value. New rows, and
    /// parameters that are not loaded, have a fresh state. With 1 and the same schema, training goes on as if it had not
    /// ended. Without `keep`, the whole state is fresh.
    ///
    /// The vector of a numeric field is loaded even if its mean and standard deviation
    /// have changed, but not if its transform has. That of a bucket of numbers is the vector of the bucket that held the
    /// number in its middle.
    ///
    /// # Errors
    /// [`Error::WarmStart`] for fields other than the run's or in another order, since layers identify fields by
    /// position; for logits in another unit than the run's, which [`Schema::with_label_scale`] takes over; for a table
    /// whose rows have another length; and for a model with a [`posterior_sampler`](Model::posterior_sampler), whose
    /// first sweep draws every parameter anew; for a state to keep that the checkpoint does not have, or that is of
    /// another optimiser. [`Error::OutOfRange`] for a share that is not above 0 and at most 1. Those of
    /// [`checkpoint::load`](super::checkpoint::load) for a damaged file. Nothing is changed then.
    pub fn start_from(
        &mut self,
        schema: &Schema,
        checkpoint: &Path,
        from: &Schema,
        keep: Option<f64>,
    ) -> Result<WarmStart> {
        if self.model.posterior_sampler().is_some() {
            return Err(Error::WarmStart(
                "a model that is sampled from its posterior draws all of its parameters anew".into(),
            ));
        }
        let names = |schema: &Schema| schema.fields().iter().map(|field| field.name.clone()).collect::<Vec<_>>();
        let (here, there) = (names(schema), names(from));
        if here != there {
            return Err(Error::WarmStart(format!(
                "the fields must be those of {}, in the same order: it has {}, but the new run has {}",
                checkpoint.display(),
                there.join(", "),
                here.join(", ")
            )));
        }
        let [scale, scale_there] = [schema, from].map(|schema| schema.label().scale);
        if scale != scale_there {
            return Err(Error::WarmStart(format!(
                "its logits are in units of {scale_there}, those of the new schema in units of {scale}: take over the scale of its label"
            )));
        }
        let file = Checkpoint::open(checkpoint)?;
        let parameters = file.parameters()?;
        let state = keep.map(|share| KeptState::open(&file, share, &self.config.learner())).transpose()?;
        let tables = tables(self.model, self.store, schema)?;
        // A table has a row for each id, for each id of the fields that are not numeric, or for each id that fields share.
        let all = Some((schema.clone(), from.clone()));
        let rows: Vec<CommonRows> = [all, embedded(schema).zip(embedded(from)), sharing(schema).zip(sharing(from))]
            .into_iter()
            .flatten()
            .map(|(here, there)| CommonRows::new(&here, &there))
            .collect();
        let mut taken = WarmStart { values: rows[0].values.clone(), fresh: vec![] };
        let mut variables: Vec<(String, Tensor)> = self.store.variables().into_iter().collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let mut copies = vec![];
        for (name, variable) in variables {
            let Some(source) = parameters.get(&name) else {
                taken.fresh.push((name, "the run does not have it".into()));
                continue;
            };
            let (size, found) = (variable.size(), source.size());
            let heights = (size.first(), found.first());
            let rows = rows.iter().find(|rows| heights == (Some(&rows.here), Some(&rows.there)));
            match rows.filter(|_| tables.contains(&name)) {
                Some(_) if size[1..] != found[1..] => {
                    return Err(Error::WarmStart(format!(
                        "the rows of `{name}` have the shape {:?}, but those in {} {:?}: build the model with the same \
                         options",
                        &size[1..],
                        checkpoint.display(),
                        &found[1..]
                    )));
                }
                Some(rows) => copies.push(Copy { name, variable, source, rows: Some(rows), share: 1.0 }),
                None if tables.contains(&name) => taken.fresh.push((name, "its rows do not correspond to ids".into())),
                None if size == found => copies.push(Copy { name, variable, source, rows: None, share: 1.0 }),
                None => taken.fresh.push((name, format!("its shape is {size:?}, but {found:?} in the run"))),
            }
        }
        let states = self.learner.state();
        let of_states = state.as_ref().map(|state| state.copies(&copies, &states)).transpose()?.unwrap_or_default();
        no_grad(|| copies.iter().chain(&of_states).try_for_each(Copy::apply))?;
        if let Some(KeptState { updates, .. }) = state {
            for Copy { name, variable, .. } in &copies {
                let of_parameter = of_parameter(&states, name);
                no_grad(|| self.config.optimizer.reconcile(self.config.lr, variable, &of_parameter))?;
            }
            self.learner.resume_at(0, updates);
        }
        Ok(taken)
    }
}

/// The states of a parameter.
fn of_parameter(states: &[(String, Tensor)], parameter: &str) -> Vec<(String, Tensor)> {
    let is_its = |name: &str| name.rsplit_once('/').is_some_and(|(of, _)| of == parameter);
    let its = states.iter().filter(|(name, _)| is_its(name));
    its.map(|(name, state)| (name.clone(), state.shallow_clone())).collect()
}

/// A tensor to copy to a parameter or a state, or rows of it.
struct Copy<'a> {
    name: String,
    variable: Tensor,
    source: &'a Tensor,
    rows: Option<&'a CommonRows>,
    /// The share of the difference from the old value.
    share: f64,
}

impl Copy<'_> {
    fn apply(&self) -> Result<()> {
        let (mut variable, device) = (self.variable.shallow_clone(), self.variable.device());
        let blend = |old: &Tensor, new: Tensor| -> Result<Tensor> {
            // Not by a formula that rounds.
            if self.share == 1.0 { Ok(new) } else { Ok(old.f_lerp(&new, self.share)?) }
        };
        match self.rows {
            Some(CommonRows { to, of, .. }) => {
                let source = self.source.f_index_select(0, &Tensor::from_slice(of))?.f_to_device(device)?;
                let to = Tensor::from_slice(to).to_device(device);
                let old = variable.f_index_select(0, &to)?;
                let _ = variable.f_index_copy_(0, &to, &blend(&old, source)?)?;
            }
            None => variable.f_copy_(&blend(&variable, self.source.f_to_device(device)?)?)?,
        }
        Ok(())
    }
}

/// The optimiser's state of an earlier run.
struct KeptState {
    tensors: BTreeMap<String, Tensor>,
    updates: u64,
    share: f64,
    path: PathBuf,
}

impl KeptState {
    /// Reads the state of a learner with this name.
    fn open(file: &Checkpoint, share: f64, learner: &str) -> Result<KeptState> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::out_of_range("init_state_decay", share, "a number above 0 and at most 1"));
        }
        let path = file.path().to_owned();
        let unusable = |reason: String| Err(Error::WarmStart(format!("{} {reason}", path.display())));
        match file.learner()? {
            None => unusable("has no state of an optimiser: start with a fresh state".into()),
            Some(LearnerState { name, .. }) if name != learner => unusable(format!(
                "has the state of {name}, but the new run has {learner}: use the same, or start with a fresh state"
            )),
            Some(LearnerState { updates, .. }) => Ok(KeptState { tensors: file.states()?, updates, share, path }),
        }
    }

    /// The copies of the states of the parameters that are copied.
    fn copies<'a>(&'a self, parameters: &[Copy<'a>], states: &[(String, Tensor)]) -> Result<Vec<Copy<'a>>> {
        let mut copies = vec![];
        for Copy { name, source: parameter, rows, .. } in parameters {
            for (name, variable) in of_parameter(states, name) {
                let source = self.tensors.get(&name).filter(|source| source.size() == parameter.size());
                let missing = || Error::WarmStart(format!("{} has no usable state `{name}`", self.path.display()));
                let source = source.ok_or_else(missing)?;
                copies.push(Copy { name, variable, source, rows: *rows, share: self.share });
            }
        }
        Ok(copies)
    }
}

/// The parameters that are looked up: those with row-sparse gradients.
fn tables(model: &dyn Model, store: &VarStore, schema: &Schema) -> Result<BTreeSet<String>> {
    // Buffers that a forward pass in training changes, such as batch norm's statistics, are restored.
    let variables = store.variables();
    let fixed: Vec<(&Tensor, Tensor)> =
        variables.values().filter(|tensor| !tensor.requires_grad()).map(|tensor| (tensor, tensor.copy())).collect();
    let ids: Vec<i64> = schema.field_of_slots().iter().map(|&field| schema.ids(field).start).collect();
    let ids = Tensor::from_slice(&[ids.clone(), ids].concat()).view([2, -1]).to_device(store.device());
    let values = ids.ones_like().to_kind(Kind::Float);
    model.logits(&Features::unchecked(ids, values), true)?.sum(Kind::Float).f_backward()?;
    let is_table = |tensor: &Tensor| tensor.grad().defined() && tensor.grad().is_sparse();
    let tables = variables.iter().filter(|(_, tensor)| is_table(tensor)).map(|(name, _)| name.clone()).collect();
    for tensor in variables.values() {
        crate::bridge::clear_gradient(&mut tensor.shallow_clone());
    }
    no_grad(|| fixed.into_iter().for_each(|(tensor, before)| tensor.shallow_clone().copy_(&before)));
    Ok(tables)
}

/// The schema without its numeric fields; `None` if no field remains.
fn embedded(schema: &Schema) -> Option<Schema> {
    let fields = schema.fields().iter().filter(|field| !field.kind.is_dense()).cloned().collect();
    Schema::new(schema.label().clone(), fields).ok()
}

/// The schema of the fields that share tables, such as a history and its items; `None` if no fields do.
fn sharing(schema: &Schema) -> Option<Schema> {
    let fields = 0..schema.num_fields();
    let shares =
        |&field: &usize| fields.clone().any(|other| other != field && schema.owner(other) == schema.owner(field));
    let fields = fields.clone().filter(shares).map(|field| schema.fields()[field].clone()).collect();
    Schema::new(schema.label().clone(), fields).ok()
}

/// The common rows of tables over the ids of two schemas with the same fields.
struct CommonRows {
    /// Number of ids of the new schema.
    here: i64,
    /// Number of ids of the old schema.
    there: i64,
    /// The new and the old position of each common row.
    to: Vec<i64>,
    of: Vec<i64>,
    values: Vec<TakenValues>,
}

impl CommonRows {
    fn new(here: &Schema, there: &Schema) -> CommonRows {
        let (to, of, values) = (vec![], vec![], vec![]);
        let mut rows = CommonRows { here: here.num_ids(), there: there.num_ids(), to, of, values };
        // A table that several fields share is copied once.
        let owns = |&(position, _): &(usize, &Field)| here.owner(position) == position;
        for (position, field) in here.fields().iter().enumerate().filter(owns) {
            let (first, first_there) = (here.ids(position).start, there.ids(position).start);
            let before = rows.to.len();
            let field_there = &there.fields()[there.owner(position)];
            rows.extend(matched(field, field_there).map(|(id, id_there)| (first + id, first_there + id_there)));
            // The out-of-vocabulary row is not a value.
            let taken = (rows.to.len() - before).saturating_sub(1);
            let all = field.num_rows() as usize - 1;
            rows.values.push(TakenValues { field: field.name.clone(), taken, all });
        }
        rows
    }

    fn extend(&mut self, pairs: impl Iterator<Item = (i64, i64)>) {
        let (to, of): (Vec<i64>, Vec<i64>) = pairs.unzip();
        self.to.extend(to);
        self.of.extend(of);
    }
}

/// The new and the old position, among its ids, of each value that a field has in both schemas; unknown values come
/// first.
fn matched<'a>(here: &'a Field, there: &'a Field) -> Box<dyn Iterator<Item = (i64, i64)> + 'a> {
    let (edges, edges_there) = (here.kind.edges(), there.kind.edges());
    if here.derived != there.derived {
        // The same text means something else.
        return Box::new(std::iter::empty());
    }
    let [dense, dense_there] = [here, there].map(|field| field.kind.is_dense());
    if dense != dense_there || edges.is_some() != edges_there.is_some() || here.hash_buckets != there.hash_buckets {
        return Box::new(std::iter::empty());
    }
    if let (Some(edges), Some(edges_there)) = (edges, edges_there) {
        let buckets = (0..=edges.len()).map(|place| bucket(middle(edges, place), edges_there));
        return Box::new(std::iter::once((0, 0)).chain((1..).zip(buckets.map(|bucket| 1 + bucket as i64))));
    }
    if dense && !is_alike(here, there) {
        // x means something else.
        return Box::new(std::iter::once((0, 0)));
    }
    if dense || here.hash_buckets.is_some() {
        return Box::new((0..here.num_rows()).map(|id| (id, id)));
    }
    let places: HashMap<&str, i64> = there.vocabulary.iter().map(String::as_str).zip(1..).collect();
    let known = here.vocabulary.iter().zip(1..).filter_map(move |(value, id)| Some((id, *places.get(value.as_str())?)));
    Box::new(std::iter::once((0, 0)).chain(known))
}

/// A number in the middle of a bucket; an infinite one in a bucket without end.
fn middle(edges: &[f64], bucket: usize) -> f64 {
    let from = bucket.checked_sub(1).map_or(f64::NEG_INFINITY, |before| edges[before]);
    let to = edges.get(bucket).copied().unwrap_or(f64::INFINITY);
    // One bucket has all numbers.
    if edges.is_empty() { 0.0 } else { from / 2.0 + to / 2.0 }
}

/// Whether two dense fields have the same transform, with any statistics.
fn is_alike(here: &Field, there: &Field) -> bool {
    let [here, there] = [here, there].map(|field| match &field.kind {
        FieldKind::Transformed(transform) => Some(transform.name()),
        _ => None,
    });
    here == there
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::Init;

    use super::super::tests::{config, label, model};
    use super::super::{TrainState, checkpoint};
    use super::*;
    use crate::schema::{Side, Transform};

    fn field(name: &str, values: &[&str]) -> Field {
        let values = values.iter().map(|&value| value.into()).collect();
        Field::new(name, FieldKind::Categorical, Side::User, values)
    }

    fn schema(fields: Vec<Field>) -> Schema {
        Schema::new(label(), fields).unwrap()
    }

    /// A field with the 41 ids that the tests' model has rows for.
    fn forty(first: &str) -> Vec<Field> {
        let values: Vec<String> = (0..39).map(|value| value.to_string()).chain([first.to_owned()]).collect();
        vec![Field::new("id", FieldKind::Categorical, Side::User, values)]
    }

    fn started(here: &Schema, there: &Schema, saved: &VarStore) -> (Result<WarmStart>, Vec<f32>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("best.safetensors");
        checkpoint::save(&file, saved, &TrainState::default()).unwrap();
        let store = VarStore::new(Device::Cpu);
        let model = model(&store);
        let mut trainer = Trainer::new(&model, &store, &label(), config(1, 0)).unwrap();
        let taken = trainer.start_from(here, &file, there, None);
        (taken, super::super::tests::weights(&model))
    }

    /// The parameters of a run. Row `i` of the table contains `i`.
    fn run(rows: i64, width: i64) -> VarStore {
        let store = VarStore::new(Device::Cpu);
        let mut weight = store.root().var("weight", &[rows, width], Init::Const(0.0));
        let _bias = store.root().var("bias", &[1], Init::Const(2.0));
        no_grad(|| {
            weight.copy_(&Tensor::arange(rows, (Kind::Float, Device::Cpu)).view([-1, 1]).expand([rows, width], false))
        });
        store
    }

    #[test]
    fn rows_are_copied_to_the_new_positions_of_their_values() {
        let (taken, weights) =
            started(&schema(forty("x")), &schema(vec![field("id", &["7", "x", "gone", "0"])]), &run(5, 1));
        let taken = taken.unwrap();
        assert_eq!(taken.values, [TakenValues { field: "id".into(), taken: 3, all: 40 }]);
        assert!(taken.fresh.is_empty());
        // Those of "0", "7" and "x"; all others remain 0, and so does the row of unknown values.
        let expected: Vec<f32> = (0..41)
            .map(|id| [4.0, 1.0, 2.0].into_iter().zip([1, 8, 40]).find(|(_, at)| *at == id).map_or(0.0, |(w, _)| w))
            .collect();
        assert_eq!(weights, expected);
    }

    #[test]
    fn a_table_that_fields_share_is_copied_once() {
        let shared = |values: Vec<Field>| {
            let mut fields = vec![field("seen", &[]).sharing("id")];
            fields.extend(values);
            schema(fields)
        };
        let (taken, weights) = started(&shared(forty("x")), &shared(vec![field("id", &["7", "x"])]), &run(3, 1));
        assert_eq!(taken.unwrap().values, [TakenValues { field: "id".into(), taken: 2, all: 40 }]);
        assert_eq!((weights[0], weights[8], weights[40], weights.iter().sum::<f32>()), (0.0, 1.0, 2.0, 3.0));
    }

    #[test]
    fn a_field_of_another_kind_or_with_other_buckets_keeps_its_initial_values() {
        let hashed = |buckets| Field { hash_buckets: Some(buckets), ..field("id", &[]) };
        let (taken, weights) = started(&schema(vec![hashed(40)]), &schema(vec![hashed(4)]), &run(5, 1));
        assert_eq!(taken.unwrap().values[0], TakenValues { field: "id".into(), taken: 0, all: 40 });
        assert_eq!(weights, [0.0; 41]);
        let (taken, weights) = started(&schema(vec![hashed(40)]), &schema(vec![hashed(40)]), &run(41, 1));
        assert_eq!(taken.unwrap().values[0].taken, 40);
        assert_eq!(weights, (0..41).map(|id| id as f32).collect::<Vec<_>>());
    }

    #[test]
    fn a_bucket_of_numbers_begins_as_the_one_that_held_its_middle() {
        let buckets = |edges: Vec<f64>| {
            schema(vec![Field { kind: FieldKind::Transformed(Transform::Buckets { edges }), ..field("id", &[]) }])
        };
        // The new buckets are up to 0, from 0 to 1, and so on up to 38; the old ones up to 2.2, from 2.2 to 10, and above.
        let here = buckets((0..39).map(f64::from).collect());
        let (taken, weights) = started(&here, &buckets(vec![2.2, 10.0]), &run(4, 1));
        assert_eq!(taken.unwrap().values, [TakenValues { field: "id".into(), taken: 40, all: 40 }]);
        let expected: Vec<f32> = [(1, 0.0), (3, 1.0), (8, 2.0), (29, 3.0)]
            .into_iter()
            .flat_map(|(times, row)| std::iter::repeat_n(row, times))
            .collect();
        assert_eq!(weights, expected);
        let (taken, weights) = started(&here, &buckets(vec![]), &run(2, 1));
        assert_eq!((taken.unwrap().values[0].taken, weights.iter().sum::<f32>()), (40, 40.0));
        let (taken, weights) = started(&here, &schema(vec![field("id", &["7", "x"])]), &run(3, 1));
        assert_eq!((taken.unwrap().values[0].taken, weights.iter().sum::<f32>()), (0, 0.0));
    }

    #[test]
    fn a_number_keeps_its_vector_unless_its_transform_is_another() {
        let common = |here: FieldKind, there: FieldKind| {
            let fields = [here, there].map(|kind| Field { kind, ..field("n", &[]) });
            matched(&fields[0], &fields[1]).collect::<Vec<_>>()
        };
        let numeric = |mean| FieldKind::Numeric { mean, std: 1.0 };
        let log = |mean| FieldKind::Transformed(Transform::Log { mean, std: 1.0 });
        assert_eq!(common(numeric(0.0), numeric(1.0)), [(0, 0), (1, 1)]);
        assert_eq!(common(log(0.0), log(1.0)), [(0, 0), (1, 1)]);
        assert_eq!(common(log(0.0), numeric(1.0)), [(0, 0)]);
        assert_eq!(common(numeric(0.0), FieldKind::Categorical), []);
        assert_eq!(common(numeric(0.0), FieldKind::Transformed(Transform::Buckets { edges: vec![] })), []);
    }

    #[test]
    fn parameters_that_do_not_match_are_an_error_or_listed_and_change_nothing() {
        let here = schema(forty("x"));
        let (taken, weights) = started(&here, &schema(vec![field("other", &["x"])]), &run(2, 1));
        let error = taken.unwrap_err().to_string();
        assert!(error.contains("in the same order: it has other, but the new run has id"), "{error}");
        let (taken, unchanged) = started(&here, &schema(vec![field("id", &["x"])]), &run(2, 3));
        let error = taken.unwrap_err().to_string();
        assert!(
            error.contains("the rows of `weight` have the shape [1], but those in") && error.contains("[3]"),
            "{error}"
        );
        assert_eq!((weights, unchanged), (vec![0.0; 41], vec![0.0; 41]));

        let store = VarStore::new(Device::Cpu);
        let _weight = store.root().var("weight", &[2, 1], Init::Const(1.0));
        let _bias = store.root().var("bias", &[2], Init::Const(1.0));
        let (taken, _) = started(&here, &schema(vec![field("id", &["x"])]), &store);
        assert_eq!(taken.unwrap().fresh, [("bias".into(), "its shape is [1], but [2] in the run".into())]);
        let store = VarStore::new(Device::Cpu);
        let _weight = store.root().var("weight", &[2, 1], Init::Const(1.0));
        let (taken, _) = started(&here, &schema(vec![field("id", &["x"])]), &store);
        assert_eq!(taken.unwrap().fresh, [("bias".into(), "the run does not have it".into())]);
    }
}
