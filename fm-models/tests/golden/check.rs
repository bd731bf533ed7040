//! Compares a port with everything in the file of its case.

use std::collections::BTreeMap;

use fm_core::loss::Loss;
use fm_core::optim::{Optimizer, OptimizerConfig};
use fm_models::layers::{BatchNormMode, FfmForm, Pooling};
use tch::{Kind, Tensor, no_grad};

use super::case::{Case, Result};
use super::port::{Outputs, Port, Weight};
use super::ports::{afm, ffm, nfm, port};

/// Tolerances, relative to the largest number of a tensor, or to 1.
mod tolerance {
    pub const FORWARD: f64 = 1e-5;
    pub const LOSS: f64 = 2e-6;
    pub const GRADIENT: f64 = 1e-5;
    pub const TRAINING_LOSS: f64 = 1e-4;
    pub const STATISTICS: f64 = 1e-6;
    pub const WEIGHTS_AFTER_SGD: f64 = 1e-5;
    pub const WEIGHTS_AFTER_ADAM: f64 = 2e-4;
}

/// Local variables of the originals that are internal to one of our layers. Only the output of the layer is compared.
const INSIDE_LAYERS: [&str; 8] = [
    "offset_ids",
    "square_sum",
    "sum_square",
    "wide_emb",
    "attention_hidden",
    "attention_logits",
    "both",
    "bn_out", // in training; otherwise it is compared
];

/// The keys of a case with tensors.
const KEYS_OF_TENSORS: [&str; 11] = [
    "inputs",
    "targets",
    "weights",
    "forward",
    "grads",
    "grads_mse",
    "train",
    "ffm_textbook",
    "max_pool_reference",
    "bn_after_one_training_forward",
    "bn_after_one_corrected_training_forward",
];

/// The number of comparisons and the failures.
#[derive(Default)]
pub struct Report {
    pub compared: usize,
    /// The largest difference relative to its tolerance.
    pub worst: f64,
    pub failures: Vec<String>,
}

impl Report {
    fn compare(&mut self, what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
        self.compared += 1;
        if found.numel() != expected.numel() {
            self.failures.push(format!("{what}: {:?} is not {:?}", found.size(), expected.size()));
            return;
        }
        if expected.numel() == 0 {
            return;
        }
        let (found, expected) = (found.detach().reshape(expected.size()), expected.to_kind(Kind::Float));
        let allowed = tolerance * expected.abs().max().double_value(&[]).max(1.0);
        let difference = (found - expected).abs().max().double_value(&[]);
        self.judge(what, difference, allowed);
    }

    fn compare_numbers(&mut self, what: &str, found: f64, expected: f64, tolerance: f64) {
        self.compared += 1;
        self.judge(what, (found - expected).abs(), tolerance * expected.abs().max(1.0));
    }

    fn judge(&mut self, what: &str, difference: f64, allowed: f64) {
        // In this form, NaN fails.
        if difference <= allowed {
            self.worst = self.worst.max(difference / allowed);
        } else {
            self.failures.push(format!("{what}: differs by {difference:.3e}, the tolerance is {allowed:.1e}"));
        }
    }

    pub fn count(&mut self, what: &str, found: i64, expected: i64) {
        self.compared += 1;
        if found != expected {
            self.failures.push(format!("{what}: {found} is not {expected}"));
        }
    }
}

/// A case, its port and its targets.
struct Checked<'a> {
    case: Case<'a>,
    port: Port,
    /// Whether the original's output is σ(score).
    probability: bool,
}

impl<'a> Checked<'a> {
    fn new(case: Case<'a>, port: Port) -> Result<Checked<'a>> {
        let checked = Checked { case, port, probability: case.text("output_head")?.starts_with("output is sigmoid") };
        checked.reset()?;
        Ok(checked)
    }

    /// The counterpart of a Keras weight in the port.
    fn place(&self, keras: &str) -> Result<&Weight> {
        let place = self.port.weights.iter().find(|weight| weight.keras == keras);
        place.ok_or_else(|| format!("the port has no weight `{keras}`"))
    }

    /// The port's values of a Keras weight, in its `shape`.
    fn weight(&self, keras: &str, shape: &[i64]) -> Result<Tensor> {
        let place = self.place(keras)?;
        place.view(&self.parameter(&place.ours)?, shape)
    }

    fn parameter(&self, name: &str) -> Result<Tensor> {
        let variables = self.port.store.variables();
        variables.get(name).map(Tensor::shallow_clone).ok_or_else(|| format!("the port has no parameter `{name}`"))
    }

    /// Copies Keras's weights into our parameters.
    fn reset(&self) -> Result<()> {
        let weights = self.case.part("weights")?;
        for weight in &self.port.weights {
            let tensor = weights.part(&weight.keras)?.tensor()?;
            let parameter = self.parameter(&weight.ours)?;
            let mut place = weight.view(&parameter.detach(), &tensor.size())?;
            place.copy_(&tensor);
        }
        Ok(())
    }

    /// Whether the port has a weight of the file.
    fn has(&self, keras: &str) -> bool {
        self.place(keras).is_ok()
    }

    fn is_trainable(&self, keras: &str) -> Result<bool> {
        self.case.part("weights")?.part(keras)?.flag("trainable")
    }

    fn forward(&self, train: bool) -> Result<Outputs> {
        (self.port.forward)(train).map_err(|error| error.to_string())
    }

    fn output(&self, outputs: &Outputs) -> Tensor {
        match outputs.named.get("output") {
            Some(output) => output.shallow_clone(),
            None if self.probability => outputs.score.sigmoid(),
            None => outputs.score.shallow_clone(),
        }
    }

    /// The mean loss over the case's targets: `bce` or `mse`.
    fn loss(&self, objective: &str) -> Result<Tensor> {
        let target = self.case.part("targets")?.part(objective)?.tensor()?.flatten(0, -1);
        let Outputs { score, .. } = self.forward(true)?;
        let loss = match objective {
            "bce" => Loss::LOGISTIC.mean(&score, &target, None),
            _ if self.probability => Loss::Squared.mean(&score.sigmoid(), &target, None),
            _ => Loss::Squared.mean(&score, &target, None),
        };
        loss.map_err(|error| error.to_string())
    }

    /// Σ c ‖w‖² over the regularised weights, whole tables.
    fn penalty(&self) -> Result<Tensor> {
        let mut sum = Tensor::zeros([1], (Kind::Float, self.case.device));
        for (name, weight) in self.case.part("weights")?.parts() {
            let l2 = weight.number("l2")?;
            if l2 > 0.0 {
                let ours = self.weight(name, &weight.integers("shape")?)?;
                sum += ours.square().sum(Kind::Float) * l2;
            }
        }
        Ok(sum.squeeze())
    }

    fn check_forward(&self, report: &mut Report, block: &str, train: bool) -> Result<()> {
        let Some(expected) = self.case.part("forward")?.find(block) else { return Ok(()) };
        self.reset()?;
        let outputs = no_grad(|| self.forward(train))?;
        // A second pass through the layers after batch norm would update its statistics twice in training.
        let behind_batch_norm = |name: &str| train && self.has("bn.gamma") && name.starts_with("dnn_");
        for (name, tensor) in expected.parts() {
            let what = format!("forward.{block}.{name}");
            match outputs.named.get(name) {
                Some(found) => report.compare(&what, found, &tensor.tensor()?, tolerance::FORWARD),
                None if name == "output" => {
                    report.compare(&what, &self.output(&outputs), &tensor.tensor()?, tolerance::FORWARD);
                }
                None if INSIDE_LAYERS.contains(&name) || behind_batch_norm(name) => {}
                None => report.failures.push(format!("{what}: the port does not compute it")),
            }
        }
        Ok(())
    }

    /// `objective` over the gradients that stand in `block`.
    fn check_gradients(&self, report: &mut Report, objective: &str, gradients: Case, what: &str) -> Result<()> {
        self.reset()?;
        self.zero_gradients();
        self.loss(objective)?.backward();
        for (name, tensor) in gradients.parts() {
            let expected = tensor.tensor()?;
            let what = format!("{what}.{name}");
            let (ours, parameter) = match self.port.inputs.iter().find(|(input, _)| *input == name) {
                Some((_, input)) => (None, input.shallow_clone()),
                None => {
                    let weight = self.place(name)?;
                    (Some(weight), self.parameter(&weight.ours)?)
                }
            };
            let mut gradient = parameter.grad();
            if !gradient.defined() {
                return Err(format!("{what}: no gradient reaches it"));
            }
            if gradient.is_sparse() {
                gradient = gradient.to_dense(None, false);
            }
            let found = match ours {
                Some(weight) => weight.view(&gradient, &expected.size())?,
                None => gradient,
            };
            // This bias cancels in the softmax: its gradient is only rounding noise.
            let tolerance = if name == "attention_dense.bias" { 1e-6 } else { tolerance::GRADIENT };
            report.compare(&what, &found, &expected, tolerance);
        }
        for (name, _) in self.case.part("weights")?.parts() {
            if self.is_trainable(name)? && self.has(name) && gradients.find(name).is_none() {
                report.failures.push(format!("{what}.{name}: the file has no gradient"));
            }
        }
        Ok(())
    }

    fn zero_gradients(&self) {
        let inputs = self.port.inputs.iter().map(|(_, input)| input.shallow_clone());
        for mut tensor in self.port.store.trainable_variables().into_iter().chain(inputs) {
            if tensor.grad().defined() {
                tensor.zero_grad();
            }
        }
    }

    /// Ten steps of an optimiser with Keras's rule.
    fn check_run(&self, report: &mut Report, label: &str, run: Case) -> Result<()> {
        let train = self.case.part("train")?;
        let objective = train.text("objective")?;
        let (config, lr) = optimizer(label)?;
        self.reset()?;
        let mut optimizer = Optimizer::new(config, lr, 0.0, &self.port.store).map_err(|error| error.to_string())?;
        let objective_now = || -> Result<Tensor> {
            let loss = self.loss(objective)?;
            Ok(if label.ends_with("+reg") { loss + self.penalty()? } else { loss })
        };
        report.count(
            &format!("train.{label}.losses"),
            run.part("losses")?.elements().count() as i64,
            train.integer("steps")?,
        );
        for (step, expected) in run.part("losses")?.elements().enumerate() {
            optimizer.zero_grad();
            let loss = objective_now()?;
            loss.backward();
            let what = format!("train.{label}.losses[{step}]");
            report.compare_numbers(&what, loss.double_value(&[]), expected.as_number()?, tolerance::TRAINING_LOSS);
            optimizer.step(1).map_err(|error| error.to_string())?;
        }
        if let Some(weights) = train.part("final_weights")?.find(label) {
            let tolerance =
                if label.starts_with("SGD") { tolerance::WEIGHTS_AFTER_SGD } else { tolerance::WEIGHTS_AFTER_ADAM };
            for (name, tensor) in weights.parts().filter(|(name, _)| !self.is_noise(label, name)) {
                let expected = tensor.tensor()?;
                let found = self.weight(name, &expected.size())?;
                report.compare(&format!("train.{label}.final_weights.{name}"), &found, &expected, tolerance);
            }
        }
        let after = no_grad(objective_now)?.double_value(&[]);
        let what = format!("train.{label}.loss_after");
        report.compare_numbers(&what, after, run.number("loss_after")?, tolerance::TRAINING_LOSS);
        Ok(())
    }

    /// Whether a weight's gradient is only rounding noise, which adaptive rules amplify: the weights that the file lists, and
    /// the bias that cancels in the softmax.
    fn is_noise(&self, label: &str, weight: &str) -> bool {
        let noise = self.case.find("numpy_check").and_then(|check| check.find("train_noise"));
        let listed = noise.and_then(|noise| noise.find("weights")?.find(label)?.find(weight)).is_some();
        listed || weight == "attention_dense.bias" && !label.starts_with("SGD")
    }
}

/// The rule and learning rate of a label such as `Adam lr=0.01 +reg`, with Keras's constants.
fn optimizer(label: &str) -> Result<(OptimizerConfig, f64)> {
    let unknown = || format!("unknown training label `{label}`");
    let mut words = label.split(' ');
    let config = match words.next() {
        Some("SGD") => OptimizerConfig::Sgd { momentum: 0.0 },
        Some("Adam") => OptimizerConfig::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 },
        Some("RMSprop") => OptimizerConfig::RmsProp { rho: 0.9, epsilon: 1e-7, legacy: false },
        Some("LegacyRMSprop") => OptimizerConfig::RmsProp { rho: 0.9, epsilon: 1e-7, legacy: true },
        _ => return Err(unknown()),
    };
    let lr = words.next().and_then(|word| word.strip_prefix("lr=")?.parse().ok()).ok_or_else(unknown)?;
    match words.next() {
        None | Some("+reg") => Ok((config, lr)),
        _ => Err(unknown()),
    }
}

/// Checks everything in a case of a layer or a model.
pub fn check_case(case: Case, report: &mut Report) -> Result<()> {
    let checked = Checked::new(case, port(case)?)?;
    for (name, _) in case.parts().filter(|(name, part)| part.holds_tensor() && !KEYS_OF_TENSORS.contains(name)) {
        report.failures.push(format!("unknown key `{name}`"));
    }
    for (name, _) in case.part("weights")?.parts() {
        match checked.place(name) {
            Err(_) => report.failures.push(format!("weights.{name}: the port has no such weight")),
            Ok(weight) => {
                let trainable = checked.parameter(&weight.ours)?.requires_grad();
                report.count(
                    &format!("weights.{name}.trainable"),
                    trainable.into(),
                    checked.is_trainable(name)?.into(),
                );
            }
        }
    }
    let count = |tensors: Vec<Tensor>| tensors.iter().map(|tensor| tensor.numel() as i64).sum();
    let all = checked.port.store.variables().into_values().collect();
    report.count("param_count", count(all), case.integer("param_count")?);
    let trainable = checked.port.store.trainable_variables();
    report.count("trainable_param_count", count(trainable), case.integer("trainable_param_count")?);

    for block in case.part("forward")?.parts().map(|(block, _)| block) {
        match block {
            "training" => checked.check_forward(report, block, true)?,
            "inference" => checked.check_forward(report, block, false)?,
            "inference_corrected" | "training_corrected" | "without_bn" => {}
            _ => return Err(format!("unknown block forward.{block}")),
        }
    }
    check_statistics(&checked, report, "bn_after_one_training_forward")?;
    check_inference_leaves_statistics(&checked, report)?;
    for objective in ["bce", "mse"] {
        let expected = case.part("loss")?.part(objective)?;
        checked.reset()?;
        let found = no_grad(|| checked.loss(objective))?.double_value(&[]);
        report.compare_numbers(&format!("loss.{objective}"), found, expected.as_number()?, tolerance::LOSS);
    }
    checked.reset()?;
    let penalty = no_grad(|| checked.penalty())?.double_value(&[]);
    report.compare_numbers("reg_loss", penalty, case.number("reg_loss")?, tolerance::LOSS);
    checked.check_gradients(report, "bce", case.part("grads")?, "grads")?;
    checked.check_gradients(report, "mse", case.part("grads_mse")?, "grads_mse")?;
    let train = case.part("train")?;
    for rule in ["SGD", "Adam", "RMSprop"] {
        if !train.part("runs")?.parts().any(|(label, _)| label.starts_with(rule)) {
            report.failures.push(format!("train.runs: the run of {rule} is missing"));
        }
    }
    for (label, _) in train.part("final_weights")?.parts() {
        train.part("runs")?.part(label)?;
    }
    for (label, run) in train.part("runs")?.parts() {
        checked.check_run(report, label, run)?;
    }
    check_corrected(case, report)
}

/// The moving statistics after one forward pass in training mode.
fn check_statistics(checked: &Checked, report: &mut Report, block: &str) -> Result<()> {
    let Some(statistics) = checked.case.find(block) else { return Ok(()) };
    checked.reset()?;
    no_grad(|| checked.forward(true))?;
    for (name, tensor) in statistics.parts() {
        let expected = tensor.tensor()?;
        let found = checked.weight(name, &expected.size())?;
        report.compare(&format!("{block}.{name}"), &found, &expected, tolerance::STATISTICS);
    }
    Ok(())
}

/// Prediction does not update statistics. In the original it does if `bn_moving_stats_changed_by_inference_call` is set, which
/// is one of its defects.
fn check_inference_leaves_statistics(checked: &Checked, report: &mut Report) -> Result<()> {
    checked.reset()?;
    no_grad(|| checked.forward(false))?;
    for (name, weight) in checked.case.part("weights")?.parts() {
        if !checked.is_trainable(name)? {
            let expected = weight.tensor()?;
            let found = checked.weight(name, &expected.size())?;
            report.compare(&format!("{name} after inference"), &found, &expected, 0.0);
        }
    }
    Ok(())
}

/// If the original differs from its paper, checks the paper's form with the same weights.
fn check_corrected(case: Case, report: &mut Report) -> Result<()> {
    if let Some(textbook) = case.find("ffm_textbook") {
        let checked = Checked::new(case, ffm(case, FfmForm::FieldAware)?)?;
        check_reference(&checked, report, textbook, "ffm_textbook")?;
    }
    if let Some(reference) = case.find("max_pool_reference") {
        let checked = Checked::new(case, afm(case, Pooling::Max)?)?;
        check_reference(&checked, report, reference, "max_pool_reference")?;
    }
    let forward = case.part("forward")?;
    if ["inference_corrected", "training_corrected", "without_bn"].iter().any(|block| forward.find(block).is_some()) {
        let standard = Checked::new(case, nfm(case, BatchNormMode::Standard)?)?;
        standard.check_forward(report, "inference_corrected", false)?;
        standard.check_forward(report, "training_corrected", true)?;
        check_statistics(&standard, report, "bn_after_one_corrected_training_forward")?;
        let without = Checked::new(case, nfm(case, BatchNormMode::Off)?)?;
        without.check_forward(report, "without_bn", false)?;
    }
    Ok(())
}

/// A block with tensors of the forward pass, `loss` and `grads`.
fn check_reference(checked: &Checked, report: &mut Report, block: Case, what: &str) -> Result<()> {
    let outputs = no_grad(|| checked.forward(false))?;
    for (name, tensor) in block.parts().filter(|(_, part)| part.is_tensor()) {
        let found = match name {
            "output" => checked.output(&outputs),
            "probability" => outputs.score.sigmoid(),
            _ => outputs.named.get(name).ok_or_else(|| format!("{what}.{name} is unknown"))?.shallow_clone(),
        };
        report.compare(&format!("{what}.{name}"), &found, &tensor.tensor()?, tolerance::FORWARD);
    }
    for (objective, expected) in block.part("loss")?.parts() {
        let found = no_grad(|| checked.loss(objective))?.double_value(&[]);
        report.compare_numbers(&format!("{what}.loss.{objective}"), found, expected.as_number()?, tolerance::LOSS);
    }
    checked.check_gradients(report, "bce", block.part("grads")?, &format!("{what}.grads"))
}

/// Numbers printed by the authors of the originals: checks those that follow from others.
pub fn check_printed(case: Case, report: &mut Report) -> Result<()> {
    use fm_models::layers::{BiInteraction, FmInteraction};
    let mut compare = |name: &str, found: Tensor, expected: &Tensor| report.compare(name, &found, expected, 1e-6);
    let said = |result: fm_core::Result<Tensor>| result.map_err(|error| error.to_string());

    let fm = case.part("seq_fm")?;
    let printed: BTreeMap<&str, Tensor> =
        fm.parts().map(|(name, part)| Ok((name, part.nested()?))).collect::<Result<_>>()?;
    let wide = printed["wide_seq"].sum_dim_intlist(1, false, Kind::Float) + &printed["wide_target"];
    compare("seq_fm.wide_out", wide, &printed["wide_out"]);
    let pairs = said(FmInteraction.forward(&printed["feature_emb_row0"].unsqueeze(0)))?;
    compare("seq_fm.order_2nd", pairs, &printed["order_2nd"].narrow(0, 0, 1));
    compare("seq_fm.fm_output", &printed["wide_out"] + &printed["order_2nd"], &printed["fm_output"]);

    let nfm = case.part("seq_nfm")?;
    let pooled = said(BiInteraction.forward(&nfm.part("x_row0")?.nested()?.unsqueeze(0)))?;
    compare("seq_nfm.bi_interaction", pooled, &nfm.part("bi_interaction")?.nested()?.narrow(0, 0, 1));
    Ok(())
}
