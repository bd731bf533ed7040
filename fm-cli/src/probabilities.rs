//! Whether the scores of a binary task are probabilities.

use fm_core::train::TrainConfig;

/// Why scores are not probabilities, if settings of the training shift them.
pub fn shift(train: &TrainConfig) -> Option<String> {
    let (weight, smoothing, gamma) = (train.positive_weight, train.label_smoothing, train.focal_gamma);
    if gamma != 0.0 {
        return Some(format!(
            "Scores are not probabilities: training counted rows less the better they were predicted (focal loss, gamma \
             {gamma}), which moves scores towards one half."
        ));
    }
    if weight != 1.0 {
        let smoothed = if smoothing == 0.0 { "" } else { ", apart from the smoothing of labels" };
        return Some(format!(
            "Scores are not probabilities: positive rows counted {weight} times in training, which multiplies the odds by \
             {weight}. The probability of a score `s` is about `s / (s + {weight} * (1 - s))`{smoothed}."
        ));
    }
    (smoothing != 0.0).then(|| {
        format!(
            "Scores are not probabilities: training smoothed the labels by {smoothing}, which moves scores towards one half."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_smoothing_and_the_focal_loss_shift_scores() {
        let of = |positive_weight, label_smoothing| {
            shift(&TrainConfig { positive_weight, label_smoothing, ..TrainConfig::default() })
        };
        assert_eq!(of(1.0, 0.0), None);
        assert!(of(20.0, 0.0).unwrap().ends_with("`s / (s + 20 * (1 - s))`."));
        assert!(of(20.0, 0.1).unwrap().ends_with("apart from the smoothing of labels."));
        assert!(of(1.0, 0.1).unwrap().contains("smoothed the labels by 0.1"));
        let focal = TrainConfig { focal_gamma: 2.0, ..TrainConfig::default() };
        assert!(shift(&focal).unwrap().contains("focal loss, gamma 2"));
    }
}
