//! Baselines that any ranking must beat.

use std::rc::Rc;

use anyhow::Result;
use fm_core::baseline::{Als, AlsConfig, Ease, ItemKnn, popularity};
use fm_core::ranking::Interactions;

/// Neighbourhood sizes (ascending) and shrinkages of the item-kNN.
const NEIGHBOURS: [usize; 4] = [20, 50, 100, 200];
const SHRINKAGES: [f32; 4] = [0.0, 10.0, 50.0, 100.0];
/// λ of EASE: those of its paper.
const EASE_LAMBDAS: [f64; 3] = [200.0, 500.0, 1000.0];
/// λ of ALS, whose paper gives none.
const ALS_LAMBDAS: [f64; 3] = [10.0, 100.0, 1000.0];

/// The scores of all items for a user who chose these.
pub type RankingBaseline = Box<dyn Fn(&[u32]) -> fm_core::Result<Vec<f32>>>;

/// A baseline for each setting, fitted when it is its turn.
type Candidates<'a> = Box<dyn Iterator<Item = Result<(String, RankingBaseline)>> + 'a>;

/// All baselines by name, each with the settings from which the validation rows choose.
pub fn ranking_baselines(train: &Interactions) -> [(&'static str, Candidates<'_>); 4] {
    [("popularity", most_popular(train)), ("item-kNN", item_knn(train)), ("EASE", ease(train)), ("ALS", als(train))]
}

fn most_popular(train: &Interactions) -> Candidates<'_> {
    let counts = popularity(train);
    let baseline: RankingBaseline = Box::new(move |_| Ok(counts.clone()));
    Box::new(std::iter::once(Ok(("no settings".to_owned(), baseline))))
}

fn item_knn(train: &Interactions) -> Candidates<'_> {
    Box::new(SHRINKAGES.into_iter().flat_map(move |shrink| {
        let fitted = Rc::new(ItemKnn::fit(train, NEIGHBOURS[NEIGHBOURS.len() - 1], shrink));
        NEIGHBOURS.into_iter().map(move |k| {
            let knn = fitted.nearest(k);
            let baseline: RankingBaseline = Box::new(move |items| Ok(knn.scores(items)));
            Ok((format!("{k} neighbours and a shrinkage of {shrink}"), baseline))
        })
    }))
}

fn ease(train: &Interactions) -> Candidates<'_> {
    if train.num_items() > Ease::MAX_ITEMS {
        let (items, most) = (train.num_items(), Ease::MAX_ITEMS);
        tracing::info!("EASE is not among the baselines: the catalogue has {items} items, and the maximum is {most}");
        return Box::new(std::iter::empty());
    }
    Box::new(EASE_LAMBDAS.into_iter().map(move |lambda| {
        let ease = Ease::fit(train, lambda)?;
        let baseline: RankingBaseline = Box::new(move |items| Ok(ease.scores(items)));
        Ok((format!("λ = {lambda}"), baseline))
    }))
}

fn als(train: &Interactions) -> Candidates<'_> {
    let (rows, most) = (train.positives().count(), Als::MAX_ROWS);
    if rows > most {
        tracing::info!("ALS is not among the baselines: there are {rows} positive rows, and the maximum is {most}");
        return Box::new(std::iter::empty());
    }
    Box::new(ALS_LAMBDAS.into_iter().map(move |lambda| {
        let als = Als::fit(train, &AlsConfig { lambda, ..AlsConfig::default() })?;
        let baseline: RankingBaseline = Box::new(move |items| als.scores(items));
        Ok((format!("λ = {lambda}"), baseline))
    }))
}

/// The candidate with the highest value; the first one if there are no values, and none if there are no candidates.
pub fn best_of(
    name: &str,
    candidates: Candidates<'_>,
    value: impl Fn(&RankingBaseline) -> Result<f64>,
) -> Result<Option<RankingBaseline>> {
    let mut best = None;
    for candidate in candidates {
        let (settings, baseline) = candidate?;
        let value = value(&baseline)?;
        tracing::debug!("{name} with {settings}: {value:.4} on the validation rows");
        if best.as_ref().is_none_or(|(highest, _)| value > *highest) {
            best = Some((value, baseline));
        }
    }
    Ok(best.map(|(_, baseline)| baseline))
}
