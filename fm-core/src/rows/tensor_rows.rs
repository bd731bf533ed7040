//! Rows in tensors, on any device.

use tch::{Device, Kind, Tensor};

use super::{Batch, Records, Rows, check_numbers};
use crate::error::{Error, Result};
use crate::features::{Features, Padded};
use crate::schema::Schema;

/// Rows in tensors, on any device: padded rows given as tensors, or [records](Records::to_tensor_rows) moved to a GPU.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor};
/// use fm_core::{Field, FieldKind, Label, Rows, Schema, Side, Task, TensorRows};
///
/// let item = Field::new("item", FieldKind::Categorical, Side::Item, vec!["a".into(), "b".into()]);
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0, 2.0]), vec![item])?;
/// let ids = Tensor::from_slice(&[1i64, 2]).view([2, 1]);
/// let values = Tensor::ones([2, 1], (Kind::Float, Device::Cpu));
/// let rows = TensorRows::new(&schema, ids, values, Tensor::from_slice(&[4f32, 2.0]))?;
/// assert_eq!(rows.labels(), [4.0, 2.0]);
/// assert_eq!(rows.batch(&[1, 0, 1], Device::Cpu)?.features.len(), 3);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorRows {
    features: Features,
    labels: Tensor,
    weights: Option<Tensor>,
    groups: Option<Vec<i64>>,
}

impl TensorRows {
    /// Takes padded rows: `ids` `[N, S]` int64, `values` `[N, S]` and `labels` `[N]` float32. The labels are training
    /// targets: 0 or 1 for a binary task ([`Label::target`](crate::Label::target)).
    ///
    /// # Errors
    /// Those of [`Features::new`]; [`Error::Shape`] if the labels have another length or kind, or are not finite.
    pub fn new(schema: &Schema, ids: Tensor, values: Tensor, labels: Tensor) -> Result<TensorRows> {
        let features = Features::new(schema, ids, values)?;
        if labels.size() != [features.len() as i64] || labels.kind() != Kind::Float {
            let found = format!("{:?} {:?}", labels.size(), labels.kind());
            return Err(Error::shape("labels", format!("shape [{}] and kind Float", features.len()), found));
        }
        if labels.isfinite().all().int64_value(&[]) == 0 {
            return Err(Error::shape("labels", "finite labels", "an infinite one or NaN"));
        }
        let labels = labels.to_device(features.device());
        Ok(TensorRows { features, labels, weights: None, groups: None })
    }

    /// The same rows with weights `[N]` float32; see [`Rows::weights`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the weights have another length or kind, or one is negative or not finite.
    pub fn with_weights(self, weights: Option<Tensor>) -> Result<TensorRows> {
        let Some(weights) = weights else { return Ok(TensorRows { weights: None, ..self }) };
        if weights.size() != self.labels.size() || weights.kind() != Kind::Float {
            let found = format!("{:?} {:?}", weights.size(), weights.kind());
            return Err(Error::shape("weights", format!("shape {:?} and kind Float", self.labels.size()), found));
        }
        // NaN is not at least 0 either.
        if weights.ge(0.0).logical_and(&weights.isfinite()).all().int64_value(&[]) == 0 {
            return Err(Error::shape("weights", "finite weights of at least 0", "a negative or infinite one, or NaN"));
        }
        let weights = Some(weights.to_device(self.labels.device()));
        Ok(TensorRows { weights, ..self })
    }

    /// The same rows with groups `[N]`, such as their users; see [`Rows::groups`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of groups is not N.
    pub fn with_groups(self, groups: Option<Vec<i64>>) -> Result<TensorRows> {
        match &groups {
            Some(groups) if groups.len() != self.len() => {
                let expected = format!("a group for each of {} rows", self.len());
                Err(Error::shape("groups", expected, groups.len().to_string()))
            }
            _ => Ok(TensorRows { groups, ..self }),
        }
    }

    /// The same rows on another device.
    pub fn to_device(&self, device: Device) -> TensorRows {
        let weights = self.weights.as_ref().map(|weights| weights.to_device(device));
        let (features, labels) = (self.features.to_device(device), self.labels.to_device(device));
        TensorRows { features, labels, weights, groups: self.groups.clone() }
    }
}

impl Records {
    /// All rows as tensors on `device`, without padding.
    ///
    /// # Errors
    /// [`Error::Shape`] for 2³¹ or more active slots; [`Error::Torch`] if the device has too little memory.
    pub fn to_tensor_rows(&self, device: Device) -> Result<TensorRows> {
        let all: Vec<usize> = (0..self.len()).collect();
        let Batch { features, labels, weights } = self.batch(&all, device)?;
        Ok(TensorRows { features, labels, weights, groups: self.groups() })
    }
}

impl Rows for TensorRows {
    fn len(&self) -> usize {
        self.labels.size()[0] as usize
    }

    fn batch(&self, rows: &[usize], device: Device) -> Result<Batch> {
        check_numbers(rows, self.len())?;
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::from_slice(&rows).to_device(self.labels.device());
        let pick = |tensor: &Tensor| tensor.index_select(0, &index).to_device(device);
        let features = match &self.features {
            Features::Padded(Padded { ids, values, .. }) => Features::unchecked(pick(ids), pick(values)),
            Features::Ragged(all) => Features::Ragged(all.select(&index)?).to_device(device),
        };
        Ok(Batch { features, labels: pick(&self.labels), weights: self.weights.as_ref().map(pick) })
    }

    fn labels(&self) -> Vec<f32> {
        Vec::try_from(self.labels.to_device(Device::Cpu)).expect("labels are one-dimensional floats")
    }

    fn weights(&self) -> Option<Vec<f32>> {
        let weights = self.weights.as_ref()?.to_device(Device::Cpu);
        Some(Vec::try_from(weights).expect("weights are one-dimensional floats"))
    }

    fn groups(&self) -> Option<Vec<i64>> {
        self.groups.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, Label, Side, Task};

    #[test]
    fn a_batch_has_its_rows_in_the_given_order() {
        let label = Label { column: "y".into(), task: Task::Regression, min: 0.0, max: 1.0, mean: 0.5 };
        let fields = vec![Field::categorical("user", Side::User, 1), Field::categorical("item", Side::Item, 2)];
        let schema = Schema::new(label, fields).unwrap();
        let ids = Tensor::from_slice(&[0i64, 2, 1, 3, 1, 4]).view([3, 2]);
        let labels = Tensor::from_slice(&[0f32, 1.0, 2.0]);
        let values = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
        let rows = TensorRows::new(&schema, ids, values, labels).unwrap();
        let batch = rows.batch(&[2, 0, 2], Device::Cpu).unwrap();
        assert_eq!(Vec::<f32>::try_from(&batch.labels).unwrap(), [2.0, 0.0, 2.0]);
        let ids = batch.features.padded().unwrap().ids;
        assert_eq!(Vec::<i64>::try_from(ids.flatten(0, -1)).unwrap(), [1, 4, 0, 2, 1, 4]);
        assert!(rows.batch(&[3], Device::Cpu).is_err());
        assert_eq!(rows.groups(), None);
        let rows = rows.with_groups(Some(vec![7, 7, -1])).unwrap();
        assert_eq!(rows.to_device(Device::Cpu).groups(), Some(vec![7, 7, -1]));
        let error = rows.with_groups(Some(vec![7])).unwrap_err().to_string();
        assert_eq!(error, "groups: expected a group for each of 3 rows, found 1");
    }
}
