//! Which items to recommend: those with some values, and not only similar ones.

use anyhow::{Result, bail};
use fm_core::error::nearest;
use fm_core::{Encoder, Rows, Schema};
use fm_data::catalogue::Items;
use fm_data::{MissingColumns, encode};
use tch::{Device, Kind};

use crate::predictor::best_of;

/// The number of candidates from which a diverse list is chosen, for each item of the list.
const POOL: usize = 10;

/// Chooses items of a list.
pub struct Selection {
    /// Whether each item has the values that are asked for.
    is_allowed: Vec<bool>,
    /// The known values of each item besides its id, as sorted ids; empty without diversity.
    values: Vec<Vec<i64>>,
    /// The weight of the similarity to items before.
    diversity: f64,
}

impl Selection {
    /// All items, in the order of their logits.
    pub fn of_all(items: &Items) -> Selection {
        Selection { is_allowed: vec![true; items.ids.len()], values: vec![], diversity: 0.0 }
    }

    /// A selection of items with the values in `conditions`, each `(field, value)`, whose lists have this diversity from
    /// 0 to 1.
    pub fn new(items: &Items, schema: &Schema, conditions: &[(String, String)], diversity: f64) -> Result<Selection> {
        if conditions.is_empty() && diversity == 0.0 {
            return Ok(Selection::of_all(items));
        }
        let conditions = conditions.iter().map(|(field, value)| id_of(schema, field, value));
        let wanted = conditions.collect::<Result<Vec<i64>>>()?;
        let values = values_of(items, schema)?;
        let is_allowed: Vec<bool> =
            values.iter().map(|values| wanted.iter().all(|id| values.binary_search(id).is_ok())).collect();
        if !is_allowed.contains(&true) {
            bail!("no item has all these values: leave out some --where");
        }
        if diversity > 0.0 && values.iter().all(Vec::is_empty) {
            bail!("--diversity compares items by their values, and these have none besides their id and numbers");
        }
        Ok(Selection { is_allowed, values, diversity })
    }

    /// The best `top` items by their logits, best first, among those that are candidates.
    pub fn best(&self, logits: &[f32], top: usize, is_candidate: impl Fn(usize) -> bool) -> Vec<usize> {
        let is_candidate = |item: usize| self.is_allowed[item] && is_candidate(item);
        match self.diversity > 0.0 {
            false => best_of(logits, top, is_candidate),
            true => self.diverse(logits, best_of(logits, top.saturating_mul(POOL), is_candidate), top),
        }
    }

    /// Maximal marginal relevance: each next item has the largest (1 − λ) · relevance − λ · similarity, with the logit
    /// scaled to 0 to 1 over the candidates, and the largest Jaccard similarity of its values to those of an item before.
    ///
    /// Source: Carbonell and Goldstein, The use of MMR, diversity-based reranking, SIGIR 1998,
    /// <https://doi.org/10.1145/290941.291025>.
    fn diverse(&self, logits: &[f32], mut pool: Vec<usize>, top: usize) -> Vec<usize> {
        let (Some(&best), Some(&worst)) = (pool.first(), pool.last()) else { return pool };
        let range = f64::from(logits[best] - logits[worst]).max(f64::MIN_POSITIVE);
        let mut similarity = vec![0.0f64; pool.len()];
        let mut chosen = vec![];
        while chosen.len() < top && !pool.is_empty() {
            let value = |at: usize| {
                let relevance = f64::from(logits[pool[at]] - logits[worst]) / range;
                (1.0 - self.diversity) * relevance - self.diversity * similarity[at]
            };
            // Of equal candidates, the one with the larger logit comes first.
            let next = (0..pool.len()).rev().max_by(|a, b| value(*a).total_cmp(&value(*b))).unwrap_or(0);
            let item = pool.remove(next);
            similarity.remove(next);
            for (other, similarity) in pool.iter().zip(&mut similarity) {
                *similarity = similarity.max(jaccard(&self.values[item], &self.values[*other]));
            }
            chosen.push(item);
        }
        chosen
    }
}

/// The id of a value of an item's field.
fn id_of(schema: &Schema, name: &str, value: &str) -> Result<i64> {
    let of_items: Vec<usize> = fields_of_items(schema);
    let Some(&field) = of_items.iter().find(|field| schema.fields()[**field].name == name) else {
        let names: Vec<&str> = of_items.iter().map(|field| schema.fields()[*field].name.as_str()).collect();
        bail!("--where: `{name}` is not a field of the items with values; these are {}", names.join(", "));
    };
    if schema.fields()[field].kind.is_numeric() || schema.hash_buckets(field).is_some() {
        bail!("--where: `{name}` has no list of values to choose from, because it is numeric or hashed");
    }
    let vocabulary = schema.vocabulary(field);
    let place = schema.reading(field).value(value).and_then(|value| vocabulary.iter().position(|known| known == value));
    match place {
        Some(place) => Ok(schema.record_ids(field).start + 1 + place as i64),
        None => {
            let near = nearest(value, vocabulary.iter().map(String::as_str));
            bail!(
                "--where: no training row has the {name} `{value}`{}",
                near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
            )
        }
    }
}

/// The fields with values that describe the item, without numbers and without its id.
fn fields_of_items(schema: &Schema) -> Vec<usize> {
    let of_slots = schema.field_of_slots();
    let item = schema.item().and_then(|item| schema.field_index(item));
    let mut fields: Vec<usize> = schema.item_slots().map(|slot| of_slots[slot]).collect();
    fields.dedup();
    fields.retain(|field| Some(*field) != item && !schema.fields()[*field].kind.is_dense());
    fields
}

/// The known values of each item besides its id, as sorted ids.
fn values_of(items: &Items, schema: &Schema) -> Result<Vec<Vec<i64>>> {
    let encoded = encode(&items.frame, &Encoder::new(schema), None, MissingColumns::Unknown)?;
    let all: Vec<usize> = (0..encoded.len()).collect();
    let features = encoded.batch(&all, Device::Cpu)?.features.padded()?;
    let slots = schema.num_slots();
    let ids = Vec::<i64>::try_from(features.ids.f_flatten(0, -1)?)?;
    let values = Vec::<f32>::try_from(features.values.to_kind(Kind::Float).f_flatten(0, -1)?)?;
    let of_slots = schema.field_of_slots();
    let fields = fields_of_items(schema);
    let compared: Vec<usize> = (0..slots).filter(|slot| fields.contains(&of_slots[*slot])).collect();
    let known = |row: usize| {
        let of_slot = |slot: &usize| {
            let (at, field) = (row * slots + slot, of_slots[*slot]);
            let is_known = values[at] != 0.0 && ids[at] != schema.unknown_ids()[field];
            // Fields that share a table have ids of their own in records.
            is_known.then(|| ids[at] - schema.ids(field).start + schema.record_ids(field).start)
        };
        let mut known: Vec<i64> = compared.iter().filter_map(of_slot).collect();
        known.sort_unstable();
        known.dedup();
        known
    };
    Ok((0..items.ids.len()).map(known).collect())
}

/// |a ∩ b| / |a ∪ b| of sorted numbers; 0 if both are empty.
fn jaccard(a: &[i64], b: &[i64]) -> f64 {
    let common = a.iter().filter(|id| b.binary_search(id).is_ok()).count();
    common as f64 / (a.len() + b.len() - common).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_items_come_later_the_more_diversity_counts() {
        let values = vec![vec![1, 2], vec![1, 2], vec![3], vec![1]];
        let of = |diversity: f64| {
            let selection = Selection { is_allowed: vec![true; 4], values: values.clone(), diversity };
            selection.best(&[4.0, 3.9, 3.0, 2.0], 3, |_| true)
        };
        assert_eq!(of(0.0), [0, 1, 2]);
        // After item 0: item 1 has 0.5 · 0.95 − 0.5 · 1, item 2 has 0.5 · 0.5, item 3 has −0.5 / 2.
        assert_eq!(of(0.5), [0, 2, 1]);
        assert_eq!(of(0.9), [0, 2, 3]);
    }

    #[test]
    fn items_that_are_not_allowed_are_never_chosen() {
        let selection = Selection { is_allowed: vec![false, true, true], values: vec![], diversity: 0.0 };
        assert_eq!(selection.best(&[3.0, 2.0, 1.0], 2, |item| item != 2), [1]);
    }

    #[test]
    fn similarity_is_the_share_of_common_values() {
        assert_eq!([jaccard(&[1, 2], &[2, 3]), jaccard(&[], &[]), jaccard(&[1], &[1])], [1.0 / 3.0, 0.0, 1.0]);
    }
}
