//! A model with a calibration.

use tch::Tensor;

use super::{Calibration, Map};
use crate::candidates::Candidates;
use crate::error::Result;
use crate::explain::Explanation;
use crate::features::Features;
use crate::model::{Layer, Model};

/// A model whose logits are calibrated. Everything that scores, explains or exports a model does so with the
/// calibration. It is not for training: with `train`, logits are those of the model.
pub struct Calibrated {
    model: Box<dyn Model>,
    map: Map,
}

impl Calibrated {
    /// Adds a calibration to a model.
    ///
    /// # Errors
    /// Those of [`Calibration::map`].
    pub fn new(model: Box<dyn Model>, calibration: &Calibration) -> Result<Calibrated> {
        let map = calibration.map(model.bias().device())?;
        Ok(Calibrated { model, map })
    }

    fn calibrated(&self, logits: Tensor, train: bool) -> Result<Tensor> {
        if train { Ok(logits) } else { self.map.apply(&logits) }
    }
}

impl Model for Calibrated {
    fn logits(&self, features: &Features, train: bool) -> Result<Tensor> {
        self.calibrated(self.model.logits(features, train)?, train)
    }

    fn candidate_logits(&self, candidates: &Candidates<'_>, train: bool) -> Result<Tensor> {
        self.calibrated(self.model.candidate_logits(candidates, train)?, train)
    }

    fn bias(&self) -> &Tensor {
        self.model.bias()
    }

    /// The terms of the model, and what the calibration adds to them.
    fn explain(&self, features: &Features) -> Result<Explanation> {
        let mut explanation = self.model.explain(features)?;
        let logits = self.model.logits(features, false)?;
        explanation.lumps.push(("calibration", self.map.apply(&logits)? - logits));
        Ok(explanation)
    }

    fn layers(&self) -> Vec<Layer> {
        let mut layers = self.model.layers();
        layers.push(Layer::new("", "Calibration", &[]));
        layers
    }
}
