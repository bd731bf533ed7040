//! The fields and values that interact most, over many rows.

use hashbrown::HashMap;
use serde::Serialize;
use tch::Device;

use super::purified::Purifier;
use super::{Parts, pairs, parts, sum};
use crate::error::{Error, Result};
use crate::features::{Padded, Slices};
use crate::model::Model;
use crate::rows::Rows;
use crate::schema::Schema;

/// The number of pair terms per batch. Small enough for caches, since models need at least k numbers per term.
const BATCH_TERMS: usize = 1 << 18;

/// The options of an [`InteractionReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InteractionOptions {
    /// Maximum number of rows to use, evenly spaced.
    pub max_rows: usize,
    /// Minimum number of these rows with a pair of values.
    pub min_rows: usize,
    /// Maximum number of pairs of values.
    pub top: usize,
    /// The number of rows whose values tell interactions from main effects. With 0, terms are those of the formula, in which a
    /// value with a large embedding seems to interact with everything.
    pub references: usize,
}

impl InteractionOptions {
    /// The number of rows to score for each of the `max_rows`.
    pub fn rows_per_row(&self, fields: usize) -> usize {
        1 + Purifier::cost(fields, self.references)
    }
}

impl Default for InteractionOptions {
    fn default() -> InteractionOptions {
        InteractionOptions { max_rows: 2000, min_rows: 10, top: 50, references: 8 }
    }
}

/// The strength of interactions between fields and values, from the pair terms of a model without main effects: what one
/// of the two values contributes whatever the other is.
///
/// For a ranking, `fields` and `values` omit pairs without an item slot ([`Schema::item_slots`]): their terms are the
/// same for all candidates of a row, except for attention weights, and do not change the order. `attention` and
/// `shares` include all pairs.
///
/// ```
/// # use fm_core::{Field, FieldKind, Label, Records, Schema, Side, Task};
/// # use fm_core::tch::{Device, nn::VarStore};
/// # let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// # let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
/// # let schema = Schema::new(Label::fit("rating", Task::Regression, [5.0, 1.0]), vec![user, item])?;
/// # let shown = [[Some("ann"), Some("a")], [Some("bob"), Some("b")], [Some("ann"), Some("a")]];
/// # let rows = Records::from_texts(&schema, &shown, &[5.0, 1.0, 5.0])?;
/// use fm_core::explain::{InteractionOptions, InteractionReport};
///
/// let store = VarStore::new(Device::Cpu);
/// let model = fm_models::find("fm")?.build(&Default::default(), &store.root(), &schema)?;
/// let options = InteractionOptions { min_rows: 2, ..InteractionOptions::default() };
/// let found = InteractionReport::over(model.as_ref(), &schema, &rows, Device::Cpu, &options)?;
/// let found = found.expect("FM has pair terms");
/// assert_eq!((found.values.len(), found.values[0].rows), (1, 2)); // ann and a occur in two rows
/// assert_eq!(found.values[0].values, [Some("ann".into()), Some("a".into())]);
/// assert!(found.fields[0][1] > 0.0); // the mean of |⟨v_user, v_item⟩|, of differences from the mean vectors
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InteractionReport {
    /// The number of rows used.
    pub rows: usize,
    /// `[F, F]`, symmetric: the mean over rows of |Σ_{s∈f, t∈g} pairs_{s,t}|. The diagonal is 0; without references, it
    /// has the pairs within multi-valued fields.
    pub fields: Vec<Vec<f64>>,
    /// `[F, F]`, symmetric: the mean attention weight of two fields, if the model has attention.
    pub attention: Option<Vec<Vec<f64>>>,
    /// The pairs of values with the largest mean terms by magnitude, in descending order.
    pub values: Vec<ValuePair>,
    /// The share of each part in the variance of the logit over rows: Cov(part, logit) / Var(logit) for `first order`,
    /// which includes the main effects of pairs, for `pairs` and each lump. Shares sum to 1. A part that counteracts the others has a negative share. Empty if all
    /// logits are equal.
    pub shares: Vec<(String, f64)>,
}

/// Two values that occur in the same row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValuePair {
    /// The names of their fields.
    pub fields: [String; 2],
    /// Their ids.
    pub ids: [i64; 2],
    /// Their text. `None` for values outside the vocabulary, hashed values and numbers.
    pub values: [Option<String>; 2],
    /// The mean of their term over the rows with both.
    pub mean: f64,
    /// The number of rows with both.
    pub rows: usize,
}

impl InteractionReport {
    /// Finds interactions in `rows`, on the device of the model. `None` for a model without pair terms.
    ///
    /// # Errors
    /// [`Error::Rows`] without rows, and errors of batches and the model.
    pub fn over(
        model: &dyn Model,
        schema: &Schema,
        rows: &dyn Rows,
        device: Device,
        options: &InteractionOptions,
    ) -> Result<Option<InteractionReport>> {
        let n = rows.len().min(options.max_rows);
        if n == 0 {
            return Err(Error::Rows("interactions need at least one row".into()));
        }
        let numbers: Vec<usize> = (0..n).map(|row| (row as u128 * rows.len() as u128 / n as u128) as usize).collect();
        let is_frequent = frequent(schema, rows, &numbers, options.min_rows)?;
        let mut sums = Sums::new(schema, is_frequent, options.references > 0);
        let terms = schema.num_slots() * (schema.num_slots() - 1) / 2;
        let first = rows.batch(&numbers[..1], device)?.features;
        if parts(model, &first)?.iter().any(|parts| parts.pairs.is_none()) {
            return Ok(None);
        }
        let purifier = match options.references.min(n) {
            0 => None,
            count => {
                let references: Vec<usize> = (0..count).map(|row| numbers[row * n / count]).collect();
                Some(Purifier::new(model, schema, rows, &references, device)?)
            }
        };
        for numbers in numbers.chunks((BATCH_TERMS / terms.max(1)).clamp(1, 512)) {
            let features = rows.batch(numbers, device)?.features.padded()?;
            let ids = Vec::<i64>::try_from(features.ids.to_device(Device::Cpu).flatten(0, -1))?;
            let values = Vec::<f32>::try_from(features.values.to_device(Device::Cpu).flatten(0, -1))?;
            let slots = ids.chunks(schema.num_slots()).zip(values.chunks(schema.num_slots()));
            let whole = parts(
                model,
                &Padded { ids: features.ids.shallow_clone(), values: features.values.shallow_clone() }.into(),
            )?;
            let pure = purifier.as_ref().map(|purifier| purifier.purify(&features, &whole)).transpose()?;
            for (row, (parts, (ids, values))) in whole.iter().zip(slots).enumerate() {
                let terms = pure.as_ref().map_or(parts.pairs.as_ref(), |pure| pure.get(row));
                terms.into_iter().for_each(|terms| sums.add(parts, terms, ids, values));
            }
        }
        Ok(Some(sums.finish(schema, n, options)))
    }
}

/// Whether each id occurs in at least `min_rows` rows. A pair of values cannot occur in more rows than either value.
fn frequent(schema: &Schema, rows: &dyn Rows, numbers: &[usize], min_rows: usize) -> Result<Vec<bool>> {
    let mut counts = vec![0usize; schema.num_ids() as usize];
    for numbers in numbers.chunks(512) {
        let features = rows.batch(numbers, Device::Cpu)?.features.ragged(&schema.layout())?;
        let Slices { ids, values, .. } = features.slices()?;
        for (slot, &id) in ids.iter().enumerate() {
            counts[id as usize] += usize::from(values.is_none_or(|values| values[slot] != 0.0));
        }
    }
    Ok(counts.into_iter().map(|count| count >= min_rows.max(1)).collect())
}

/// Sums over rows.
struct Sums {
    num_fields: usize,
    /// Whether pairs within a field have no terms.
    is_pure: bool,
    field_of_slots: Vec<usize>,
    /// `[S]`: whether all pairs of the slot count. A pair counts if this holds for one of its slots.
    counts: Vec<bool>,
    is_frequent: Vec<bool>,
    /// `[F, F]`, indexed by the field of the first slot and that of the second.
    fields: Vec<f64>,
    /// `[F(F-1)/2]`
    attention: Option<Vec<f64>>,
    /// `[S]`: the difference between the ids of a slot in records, which are unique per field, and in the table.
    shifts: Vec<i64>,
    /// The sum and the number of terms of two ids in the numbering of records, the smaller id first.
    values: HashMap<(u32, u32), (f64, u32)>,
    /// The names of the parts, and their sums in each row.
    parts: (Vec<&'static str>, Vec<Vec<f64>>),
}

impl Sums {
    fn new(schema: &Schema, is_frequent: Vec<bool>, is_pure: bool) -> Sums {
        let num_fields = schema.num_fields();
        let mut counts = vec![!schema.label().task.is_ranking(); schema.num_slots()];
        schema.item_slots().for_each(|slot| counts[slot] = true);
        let shift = |field: usize| schema.record_ids(field).start - schema.ids(field).start;
        Sums {
            num_fields,
            is_pure,
            field_of_slots: schema.field_of_slots(),
            counts,
            is_frequent,
            fields: vec![0.0; num_fields * num_fields],
            attention: None,
            shifts: schema.field_of_slots().into_iter().map(shift).collect(),
            values: HashMap::new(),
            parts: (vec![], vec![]),
        }
    }

    fn add(&mut self, parts: &Parts, terms: &[f32], ids: &[i64], values: &[f32]) {
        let slots = ids.len();
        let filled: Vec<usize> = (0..slots).filter(|&slot| values[slot] != 0.0).collect();
        let mut of_row = vec![0.0; self.fields.len()];
        for (i, &first) in filled.iter().enumerate() {
            // The terms of a slot with all later slots are contiguous.
            let terms = &terms[first * (2 * slots - first - 1) / 2..];
            let (field, id) = (self.field_of_slots[first], ids[first]);
            for &second in filled[i + 1..].iter().filter(|&&second| self.counts[first] || self.counts[second]) {
                if self.is_pure && field == self.field_of_slots[second] {
                    continue;
                }
                let term = f64::from(terms[second - first - 1]);
                of_row[field * self.num_fields + self.field_of_slots[second]] += term;
                let other = ids[second];
                if self.is_frequent[id as usize] && self.is_frequent[other as usize] {
                    let (id, other) = (id + self.shifts[first], other + self.shifts[second]);
                    let (sum, rows) = self.values.entry((id.min(other) as u32, id.max(other) as u32)).or_default();
                    (*sum, *rows) = (*sum + term, *rows + 1);
                }
            }
        }
        self.fields.iter_mut().zip(of_row).for_each(|(sum, of_row)| *sum += f64::abs(of_row));
        if let Some(attention) = &parts.attention {
            let sums = self.attention.get_or_insert_with(|| vec![0.0; attention.len()]);
            sums.iter_mut().zip(attention).for_each(|(sum, weight)| *sum += f64::from(*weight));
        }
        let lumps = || parts.lumps.iter();
        self.parts.0 = ["first order", "pairs"].into_iter().chain(lumps().map(|(name, _)| *name)).collect();
        let all = sum(&parts.first_order) + sum(&parts.pairs);
        let pairs: f64 = terms.iter().map(|term| f64::from(*term)).sum();
        let of_row = [all - pairs, pairs].into_iter();
        self.parts.1.push(of_row.chain(lumps().map(|(_, lump)| f64::from(*lump))).collect());
    }

    fn finish(self, schema: &Schema, rows: usize, options: &InteractionOptions) -> InteractionReport {
        let n = self.num_fields;
        let mut fields = vec![vec![0.0; n]; n];
        for (first, second) in (0..n).flat_map(|first| (first..n).map(move |second| (first, second))) {
            fields[first][second] = self.fields[first * n + second] / rows as f64;
            fields[second][first] = fields[first][second];
        }
        let attention = self.attention.map(|sums| {
            let mut mean = vec![vec![0.0; n]; n];
            for ((first, second), sum) in pairs(n).zip(sums) {
                (mean[first][second], mean[second][first]) = (sum / rows as f64, sum / rows as f64);
            }
            mean
        });
        let mut values: Vec<_> =
            self.values.into_iter().filter(|(_, (_, rows))| *rows as usize >= options.min_rows).collect();
        let mean = |(sum, rows): (f64, u32)| sum / f64::from(rows);
        values.sort_unstable_by(|a, b| mean(b.1).abs().total_cmp(&mean(a.1).abs()).then(a.0.cmp(&b.0)));
        let first_ids: Vec<i64> = (0..n).map(|field| schema.record_ids(field).start).collect();
        let pair = |((a, b), sum): ((u32, u32), (f64, u32))| {
            // The field of each id, and its position among the ids of the field.
            let places = [i64::from(a), i64::from(b)].map(|id| {
                let field = first_ids.partition_point(|&first| first <= id) - 1;
                (field, id - first_ids[field])
            });
            let value = |(field, place): (usize, i64)| {
                schema.vocabulary(field).get(usize::try_from(place.checked_sub(1)?).ok()?).cloned()
            };
            let fields = places.map(|(field, _)| schema.fields()[field].name.clone());
            let ids = places.map(|(field, place)| schema.ids(field).start + place);
            ValuePair { fields, ids, values: places.map(value), mean: mean(sum), rows: sum.1 as usize }
        };
        let values = values.into_iter().take(options.top).map(pair).collect();
        let shares = shares(&self.parts.1);
        let shares = self.parts.0.into_iter().map(str::to_owned).zip(shares).collect();
        InteractionReport { rows, fields, attention, values, shares }
    }
}

/// Cov(part, total) / Var(total) of each part, where `rows` are the parts of each row. Empty if all totals are equal.
fn shares(rows: &[Vec<f64>]) -> Vec<f64> {
    let n = rows.len() as f64;
    let totals: Vec<f64> = rows.iter().map(|parts| parts.iter().sum()).collect();
    let mean = totals.iter().sum::<f64>() / n;
    let covariance = |part: &dyn Fn(usize) -> f64| {
        totals.iter().enumerate().map(|(row, total)| (total - mean) * part(row)).sum::<f64>() / n
    };
    let variance = covariance(&|row| totals[row]);
    if variance <= 0.0 {
        return vec![];
    }
    (0..rows[0].len()).map(|part| covariance(&|row| rows[row][part]) / variance).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;
    use crate::encoder::Encoder;
    use crate::explain::Explanation;
    use crate::features::{Features, Padded};
    use crate::rows::TensorRows;
    use crate::schema::{Field, FieldKind, Label, List, Side, Task, Weighting};

    /// Terms as the formula has them.
    const RAW: InteractionOptions = InteractionOptions { max_rows: 2000, min_rows: 10, top: 50, references: 0 };

    /// The term of a pair of slots is the product of their ids and values, and the term of a slot is its id.
    struct Products {
        bias: Tensor,
        has_pairs: bool,
    }

    impl Model for Products {
        fn logits(&self, features: &Features, _train: bool) -> Result<Tensor> {
            Ok(self.explain(features)?.first_order.unwrap().sum_dim_intlist(1, false, Kind::Float))
        }

        fn bias(&self) -> &Tensor {
            &self.bias
        }

        fn explain(&self, features: &Features) -> Result<Explanation> {
            let Padded { ids, values } = features.padded()?;
            let x = ids.to_kind(Kind::Float) * values;
            let terms = pairs(x.size()[1] as usize).map(|(s, t)| x.select(1, s as i64) * x.select(1, t as i64));
            let attention = Tensor::from_slice(&[0.5f32, 0.25, 0.25]).repeat([x.size()[0], 1]);
            Ok(Explanation {
                pairs: self.has_pairs.then(|| Tensor::stack(&terms.collect::<Vec<_>>(), 1)),
                attention: Some(attention),
                lumps: vec![("lump", x.select(1, 0) * -1.0)],
                first_order: Some(x),
                ..Explanation::new(&self.bias)
            })
        }
    }

    /// Ids: user 0 to 2, tags 3 to 5, shop 6 to 7.
    fn schema(task: Task, shop: Side) -> Schema {
        let tags = FieldKind::MultiValued(List::new("|", 3, Weighting::Sum));
        let field = |name: &str, kind, side, values: &[&str]| {
            Field::new(name, kind, side, values.iter().map(|&value| value.into()).collect())
        };
        let label = Label { column: "y".into(), task, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 };
        let fields = vec![
            field("user", FieldKind::Categorical, Side::Context, &["ann", "bob"]),
            field("tags", tags, Side::Context, &["a", "b"]),
            field("shop", FieldKind::Categorical, shop, &["x"]),
        ];
        Schema::new(label, fields).unwrap()
    }

    fn interactions(rows: &[[Option<&str>; 3]], options: &InteractionOptions) -> InteractionReport {
        over(&schema(Task::Regression, Side::Item), rows, options, true).unwrap()
    }

    fn over(
        schema: &Schema,
        rows: &[[Option<&str>; 3]],
        options: &InteractionOptions,
        has_pairs: bool,
    ) -> Option<InteractionReport> {
        let Padded { ids, values } = Encoder::new(schema).features(rows).unwrap().padded().unwrap();
        let labels = Tensor::zeros([rows.len() as i64], (Kind::Float, Device::Cpu));
        let rows = TensorRows::new(schema, ids, values, labels).unwrap();
        let model = Products { bias: Tensor::zeros([1], (Kind::Float, Device::Cpu)), has_pairs };
        InteractionReport::over(&model, schema, &rows, Device::Cpu, options).unwrap()
    }

    const ROWS: [[Option<&str>; 3]; 3] =
        [[Some("ann"), Some("a|b"), Some("x")], [Some("bob"), Some("b"), Some("x")], [Some("ann"), None, Some("y")]];

    #[test]
    fn terms_are_summed_by_fields_per_row_before_their_magnitude() {
        let found = interactions(&ROWS, &InteractionOptions { min_rows: 1, references: 0, ..Default::default() });
        assert_eq!(found.rows, 3);
        // user × tags: 1·4 + 1·5, 2·5, 0. user × shop: 1·7, 2·7, 1·6. tags × tags: 4·5, 0, 0. tags × shop: 4·7 + 5·7,
        // 5·7, 0.
        let [ut, us, tt, ts] = [19.0 / 3.0, 27.0 / 3.0, 20.0 / 3.0, 98.0 / 3.0];
        assert_eq!(found.fields, [[0.0, ut, us], [ut, tt, ts], [us, ts, 0.0]]);
        assert_eq!(found.attention.unwrap(), [[0.0, 0.5, 0.25], [0.5, 0.0, 0.25], [0.25, 0.25, 0.0]]);
    }

    #[test]
    fn the_strongest_values_come_first_and_rare_ones_are_left_out() {
        let found = interactions(&ROWS, &InteractionOptions { min_rows: 2, references: 0, ..Default::default() });
        let expected = ValuePair {
            fields: ["tags".into(), "shop".into()],
            ids: [5, 7],
            values: [Some("b".into()), Some("x".into())],
            mean: 35.0,
            rows: 2,
        };
        assert_eq!(found.values, [expected]);
        let all = interactions(&ROWS, &InteractionOptions { min_rows: 1, top: 4, references: 0, ..Default::default() });
        let shown: Vec<_> = all.values.iter().map(|pair| (pair.ids, pair.mean, pair.rows)).collect();
        assert_eq!(shown, [([5, 7], 35.0, 2), ([4, 7], 28.0, 1), ([4, 5], 20.0, 1), ([2, 7], 14.0, 1)]);
        let unknown = all.values.iter().find(|pair| pair.values[1].is_none());
        assert!(unknown.is_none());
        let last = interactions(&ROWS[2..], &InteractionOptions { min_rows: 1, references: 0, ..Default::default() });
        assert_eq!((&last.values[0].values, last.values[0].mean), (&[Some("ann".into()), None], 6.0));
    }

    #[test]
    fn pairs_that_all_items_of_a_ranking_share_are_left_out() {
        let (ranking, options) = (
            Task::Ranking { threshold: None },
            InteractionOptions { min_rows: 1, references: 0, ..Default::default() },
        );
        let (all, found) =
            (interactions(&ROWS, &options), over(&schema(ranking, Side::Item), &ROWS, &options, true).unwrap());
        // user × tags and tags × tags are left out.
        let [us, ts] = [27.0 / 3.0, 98.0 / 3.0];
        assert_eq!(found.fields, [[0.0, 0.0, us], [0.0, 0.0, ts], [us, ts, 0.0]]);
        let of_items = all.values.iter().filter(|pair| pair.fields[1] == "shop").cloned().collect::<Vec<_>>();
        assert!(of_items.len() < all.values.len());
        assert_eq!(found.values, of_items);
        assert_eq!((found.attention, found.shares), (all.attention, all.shares));
        // The field that identifies the item belongs to it, whatever its side.
        let schema = schema(ranking, Side::Context).with_roles(None, Some("shop".into())).unwrap();
        assert_eq!(over(&schema, &ROWS, &options, true).unwrap().fields, found.fields);
    }

    #[test]
    fn the_order_of_values_does_not_make_a_different_pair() {
        let rows = [[None, Some("a|b"), None], [None, Some("b|a"), None]];
        let found = interactions(&rows, &InteractionOptions { min_rows: 2, references: 0, ..Default::default() });
        assert!(found.values.iter().any(|pair| (pair.ids, pair.mean, pair.rows) == ([4, 5], 20.0, 2)), "{found:?}");
    }

    #[test]
    fn the_shares_are_those_of_the_covariances() {
        let found = interactions(&ROWS, &RAW);
        // First order: 1+4+5+7, 2+5+7, 1+6; pairs: 9+7+20+63, 10+14+35, 6; lump: -1, -2, -1.
        let parts = [[17.0, 14.0, 7.0], [99.0, 59.0, 6.0], [-1.0, -2.0, -1.0]];
        let mean = |x: &[f64; 3]| x.iter().sum::<f64>() / 3.0;
        let covariance = |x: &[f64; 3], y: &[f64; 3]| (0..3).map(|i| (x[i] - mean(x)) * (y[i] - mean(y))).sum::<f64>();
        let total = [0, 1, 2].map(|row| parts.iter().map(|part| part[row]).sum::<f64>());
        for ((name, share), (expected, part)) in
            found.shares.iter().zip(["first order", "pairs", "lump"].iter().zip(&parts))
        {
            assert_eq!(name, expected);
            assert!((share - covariance(part, &total) / covariance(&total, &total)).abs() < 1e-9, "{name} {share}");
        }
        assert!((found.shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(interactions(&ROWS[..1], &RAW).shares, []);
    }

    #[test]
    fn a_model_without_pair_terms_has_none_and_rows_are_sampled_evenly() {
        assert!(over(&schema(Task::Regression, Side::Item), &ROWS, &RAW, false).is_none());
        let rows = [ROWS[0], ROWS[0], ROWS[1], ROWS[1]];
        let options = InteractionOptions { max_rows: 2, min_rows: 1, references: 0, ..Default::default() };
        let (found, expected) = (interactions(&rows, &options), interactions(&ROWS[..2], &options));
        assert_eq!(found, expected);
    }
}
