use super::*;
use tch::nn::{Init, VarStore};
use tch::{Device, Kind};

const RULES: [OptimizerConfig; 8] = [
    OptimizerConfig::Sgd { momentum: 0.0 },
    OptimizerConfig::Sgd { momentum: 0.9 },
    OptimizerConfig::Adagrad { epsilon: 1e-7, initial: None },
    OptimizerConfig::RmsProp { rho: 0.9, epsilon: 1e-7, legacy: false },
    OptimizerConfig::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 },
    OptimizerConfig::AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.1 },
    OptimizerConfig::RmsProp { rho: 0.9, epsilon: 1e-2, legacy: true },
    OptimizerConfig::Ftrl { beta: 0.5, l1: 0.1 },
];

/// A table with fixed values, because concurrent tests share libtorch's generator.
fn table(store: &VarStore) -> Tensor {
    let mut table = store.root().var("table", &[6, 3], Init::Const(0.0));
    let values = (Tensor::arange(18, (Kind::Float, Device::Cpu)) * 1.7).sin().view([6, 3]);
    no_grad(|| table.copy_(&values));
    table
}

/// Computes a loss whose gradient touches the rows of `ids`, and is zero for the last lookup.
fn backward(table: &Tensor, ids: &[i64], sparse: bool) {
    let rows = Tensor::embedding(table, &Tensor::from_slice(ids), -1, false, sparse);
    let mut factors = vec![1f32; ids.len()];
    factors[ids.len() - 1] = 0.0;
    let loss: Tensor =
        (rows.sin().sum_dim_intlist(1, false, Kind::Float) * Tensor::from_slice(&factors)).mean(Kind::Float);
    loss.backward();
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    a.allclose(b, 1e-5, 1e-6, false)
}

/// Updates as on a device other than the CPU.
fn in_tensor_operations(mut optimizer: Optimizer) -> Optimizer {
    optimizer.parameters.iter_mut().for_each(|parameter| parameter.is_fused = false);
    optimizer
}

#[test]
fn a_rule_over_slices_equals_the_rule_in_tensor_operations() {
    for config in RULES {
        for (scope, norm, value) in [
            (L2Scope::Touched, None, None),
            (L2Scope::Table, None, None),
            (L2Scope::Touched, Some(0.2), Some(0.05)),
            (L2Scope::Table, Some(0.2), Some(0.05)),
        ] {
            let trained = [false, true].map(|is_fused| {
                let store = VarStore::new(Device::Cpu);
                let parameter = table(&store);
                let dense = store.root().var("dense", &[3], Init::Const(0.5));
                let optimizer = Optimizer::new(config, 0.05, 0.3, &store).unwrap().with_l2_scope(scope);
                let optimizer = optimizer.with_clipping(norm, value).unwrap();
                let mut optimizer = if is_fused { optimizer } else { in_tensor_operations(optimizer) };
                let norms: Vec<Option<f64>> = (1..=3)
                    .map(|_| {
                        optimizer.zero_grad();
                        backward(&parameter, &[4, 1, 4, 4, 0], true);
                        (&dense * &dense).sum(Kind::Float).backward();
                        optimizer.step(5).unwrap();
                        optimizer.gradient_norm()
                    })
                    .collect();
                let state = optimizer.state().into_iter().map(|(_, tensor)| tensor);
                let numbers: Vec<Tensor> = [parameter.detach(), dense.detach()].into_iter().chain(state).collect();
                (norms, numbers)
            });
            let [(norms_there, there), (norms, here)] = trained;
            assert!(here.iter().zip(&there).all(|(a, b)| close(a, b)), "{config:?} {scope:?}");
            for (norm_there, norm) in norms_there.iter().zip(&norms).filter(|(there, _)| there.is_some()) {
                assert!((norm_there.unwrap() - norm.unwrap()).abs() < 1e-6, "{config:?} {scope:?}");
            }
        }
    }
}

#[test]
fn only_touched_rows_change() {
    for config in RULES {
        let store = VarStore::new(Device::Cpu);
        let parameter = table(&store);
        let mut optimizer = Optimizer::new(config, 0.05, 0.3, &store).unwrap();
        backward(&parameter, &[4, 1, 4, 4, 0], true);
        optimizer.step(5).unwrap();
        let untouched = Tensor::from_slice(&[0i64, 2, 3, 5]);
        let first = table(&VarStore::new(Device::Cpu));
        let rows = |table: &Tensor| table.detach().index_select(0, &untouched);
        assert!(rows(&parameter).equal(&rows(&first)), "{config:?}");
        assert!(!parameter.equal(&first), "{config:?}");
    }
}

#[test]
fn a_sparse_first_step_equals_the_dense_one() {
    for config in RULES {
        let weights = [true, false].map(|sparse| {
            let store = VarStore::new(Device::Cpu);
            let parameter = table(&store);
            let mut optimizer = Optimizer::new(config, 0.05, 0.0, &store).unwrap();
            backward(&parameter, &[5, 2, 2, 0, 1, 3, 4, 4], sparse);
            optimizer.step(8).unwrap();
            parameter.detach()
        });
        assert!(close(&weights[0], &weights[1]), "{config:?}");
    }
}

#[test]
fn l2_shrinks_touched_rows_in_proportion_to_their_lookups() {
    let store = VarStore::new(Device::Cpu);
    let parameter = store.root().var("table", &[3, 1], Init::Const(1.0));
    let mut optimizer = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, 0.1, 0.5, &store).unwrap();
    backward(&parameter, &[0, 0, 1, 2], true);
    optimizer.step(4).unwrap();
    let slope = 1f32.cos() / 4.0;
    let expected = [1.0 - 0.1 * 2.0 * (slope + 0.125), 1.0 - 0.1 * (slope + 0.125), 1.0];
    assert!(close(&parameter.detach().flatten(0, -1), &Tensor::from_slice(&expected)));
}

#[test]
fn adam_takes_keras_first_step() {
    // t = 1: m = 0.1 g, v = 0.001 g², so w moves by η √0.001/0.1 · 0.1 g / (√0.001 |g| + ε).
    let store = VarStore::new(Device::Cpu);
    let parameter = store.root().var("w", &[1], Init::Const(0.0));
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), 0.01, 0.0, &store).unwrap();
    (&parameter * 1e-5).sum(Kind::Float).backward();
    optimizer.step(1).unwrap();
    let expected = -0.01 * 0.001f64.sqrt() * 1e-5 / (0.001f64.sqrt() * 1e-5 + 1e-7);
    assert!((parameter.double_value(&[0]) - expected).abs() < 1e-7);
}

#[test]
fn settings_survive_a_round_trip_and_names_have_the_defaults_of_keras() {
    for config in RULES {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<OptimizerConfig>(&text).unwrap(), config);
    }
    assert_eq!("adam".parse::<OptimizerConfig>().unwrap(), RULES[4]);
    assert_eq!("rmsprop".parse::<OptimizerConfig>().unwrap(), RULES[3]);
    assert!("adan".parse::<OptimizerConfig>().is_err());
    assert!(Optimizer::new(RULES[0], f64::NAN, 0.0, &VarStore::new(Device::Cpu)).is_err());
}

#[test]
fn the_penalty_on_whole_tables_equals_one_in_the_loss_with_dense_gradients() {
    for config in RULES {
        for norm in [None, Some(0.3)] {
            let lambda = 0.2;
            let fused = VarStore::new(Device::Cpu);
            let parameter = table(&fused);
            let optimizer = Optimizer::new(config, 0.05, lambda, &fused).unwrap().with_l2_scope(L2Scope::Table);
            let mut optimizer = optimizer.with_clipping(norm, None).unwrap();
            let dense = VarStore::new(Device::Cpu);
            let expected = table(&dense);
            let mut reference = Optimizer::new(config, 0.05, 0.0, &dense).unwrap().with_clipping(norm, None).unwrap();
            // Row 3 is never looked up, and row 0 only with a gradient of zero.
            for ids in [[4i64, 1, 4, 4, 0], [5, 5, 2, 1, 0], [2, 2, 2, 2, 0], [1, 4, 5, 2, 0]] {
                optimizer.zero_grad();
                reference.zero_grad();
                backward(&parameter, &ids, true);
                backward(&expected, &ids, false);
                (expected.square().sum(Kind::Float) * (lambda / 2.0)).backward();
                optimizer.step(5).unwrap();
                reference.step(5).unwrap();
                assert!(close(&parameter, &expected), "{config:?} {norm:?}");
            }
            for ((name, found), (_, state)) in optimizer.state().iter().zip(reference.state()) {
                assert!(close(found, &state), "{config:?} {norm:?} {name}");
            }
        }
    }
}

#[test]
fn a_step_without_a_lookup_in_a_table_leaves_it_unchanged() {
    let store = VarStore::new(Device::Cpu);
    let parameter = table(&store);
    let mut optimizer =
        Optimizer::new(OptimizerConfig::default(), 0.05, 0.3, &store).unwrap().with_l2_scope(L2Scope::Table);
    optimizer.step(5).unwrap();
    assert!(parameter.equal(&table(&VarStore::new(Device::Cpu))));
}

#[test]
fn gradients_are_clipped_by_value_and_then_by_their_common_norm() {
    // Gradients of rows 0 and 2 of the table, with two lookups of row 0, and of a dense parameter.
    let store = VarStore::new(Device::Cpu);
    let table = store.root().var("table", &[3, 2], Init::Const(1.0));
    let dense = store.root().var("dense", &[1], Init::Const(1.0));
    let factors = Tensor::from_slice(&[1f32, 2.0, -3.0, 0.5, 4.0, 1.0]).view([3, 2]);
    let backward = || {
        let rows = Tensor::embedding(&table, &Tensor::from_slice(&[0i64, 2, 0]), -1, false, true);
        ((rows * &factors).sum(Kind::Float) + (&dense * 6.0).sum(Kind::Float)).backward();
    };
    let gradients = [5f64, 3.0, 0.0, 0.0, -3.0, 0.5, 6.0];
    for (norm, value) in
        [(None, None), (Some(2.0), None), (None, Some(4.0)), (Some(2.0), Some(4.0)), (Some(99.0), None)]
    {
        let clipped = gradients.map(|g| value.map_or(g, |value| g.clamp(-value, value)));
        let total = clipped.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = norm.map_or(1.0, |norm: f64| (norm / (total + 1e-6)).min(1.0));
        let _ = no_grad(|| [&table, &dense].map(|tensor| tensor.shallow_clone().fill_(1.0)));
        let optimizer = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, 1.0, 0.0, &store).unwrap();
        let mut optimizer = optimizer.with_clipping(norm, value).unwrap();
        optimizer.zero_grad();
        backward();
        optimizer.step(1).unwrap();
        let found = Tensor::cat(&[table.detach().flatten(0, -1), dense.detach()], 0);
        let expected: Vec<f32> = clipped.iter().map(|g| (1.0 - g * scale) as f32).collect();
        assert!(close(&found, &Tensor::from_slice(&expected)), "{norm:?} {value:?}: {found}");
        assert!((optimizer.gradient_norm().unwrap() - total).abs() < 1e-6);
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_an_error_and_changes_nothing() {
    let store = VarStore::new(Device::Cpu);
    let parameters = ["a", "b", "c"].map(|name| store.root().var(name, &[1], Init::Const(1.0)));
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), 0.1, 0.0, &store).unwrap();
    (&parameters[0] + &parameters[1] * f64::INFINITY + &parameters[2] * f64::NAN).sum(Kind::Float).backward();
    let error = optimizer.step(1).unwrap_err().to_string();
    assert_eq!(error, "the gradient of `b` is not finite, nor that of 1 other parameter");
    assert!(parameters.iter().all(|parameter| parameter.double_value(&[0]) == 1.0) && optimizer.steps() == 0);
}

/// Adds the gradients of `backward` from its formula, like a kernel.
fn add_rows(optimizer: &Optimizer, table: &Tensor, ids: &[i64]) {
    let gradient = optimizer.row_gradients().of(table);
    let (weights, width) = (Vec::<f32>::try_from(table.detach().flatten(0, -1)).unwrap(), 3);
    for &id in &ids[..ids.len() - 1] {
        let weights = &weights[id as usize * width..][..width];
        let mut gradient = gradient.lock().unwrap();
        let sums = gradient.add(id as u32);
        sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += w.cos() / ids.len() as f32);
    }
}

#[test]
fn gradients_that_bypass_autograd_make_the_same_step() {
    let ids = [4i64, 1, 4, 4, 0];
    for config in RULES {
        for scope in [L2Scope::Touched, L2Scope::Table] {
            for is_fused in [true, false] {
                let trained = |l2: f64, gradients: &dyn Fn(&Optimizer, &Tensor)| {
                    let store = VarStore::new(Device::Cpu);
                    let parameter = table(&store);
                    let optimizer = Optimizer::new(config, 0.05, l2, &store).unwrap().with_l2_scope(scope);
                    let optimizer = optimizer.with_clipping(Some(0.4), None).unwrap();
                    let mut optimizer = if is_fused { optimizer } else { in_tensor_operations(optimizer) };
                    for _ in 0..3 {
                        optimizer.zero_grad();
                        gradients(&optimizer, &parameter);
                        optimizer.step(5).unwrap();
                    }
                    parameter.detach()
                };
                let expected = trained(0.3, &|_, table| backward(table, &ids, true));
                let added = trained(0.3, &|optimizer, table| add_rows(optimizer, table, &ids));
                assert!(close(&added, &expected), "{config:?} {scope:?} {is_fused}");
                // Autograd counts summed lookups as one, so the penalty would differ.
                let both = trained(0.0, &|optimizer, table| {
                    backward(table, &ids, true);
                    add_rows(optimizer, table, &ids);
                });
                let twice = trained(0.0, &|_, table| (0..2).for_each(|_| backward(table, &ids, true)));
                assert!(close(&both, &twice), "{config:?} {scope:?} {is_fused}");
            }
        }
    }
}

#[test]
fn lookups_are_added_to_the_dense_gradient_of_a_table() {
    let store = VarStore::new(Device::Cpu);
    let parameter = table(&store);
    let before = parameter.detach().copy();
    let mut optimizer = Optimizer::new(RULES[0], 1.0, 0.0, &store).unwrap();
    (&parameter * 2.0).sum(Kind::Float).backward();
    optimizer.row_gradients().of(&parameter).lock().unwrap().add(3).copy_from_slice(&[1.0, 0.0, -1.0]);
    optimizer.step(1).unwrap();
    let expected = before - 2.0;
    let _ = expected.get(3).g_sub_(&Tensor::from_slice(&[1f32, 0.0, -1.0]));
    assert!(close(&parameter.detach(), &expected));
    assert!(optimizer.row_gradients().get(&parameter).is_none(), "a step clears row gradients");
}

#[test]
fn a_batch_of_lookups_with_zero_gradients_changes_only_what_the_penalty_changes() {
    for is_fused in [true, false] {
        let store = VarStore::new(Device::Cpu);
        let parameter = table(&store);
        let optimizer = Optimizer::new(RULES[0], 0.1, 0.5, &store).unwrap();
        let mut optimizer = if is_fused { optimizer } else { in_tensor_operations(optimizer) };
        backward(&parameter, &[2], true);
        optimizer.step(1).unwrap();
        assert!(parameter.equal(&table(&VarStore::new(Device::Cpu))));
        let mut optimizer = optimizer.with_l2_scope(L2Scope::Table);
        optimizer.zero_grad();
        backward(&parameter, &[2], true);
        optimizer.step(1).unwrap();
        assert!(close(&parameter, &(table(&VarStore::new(Device::Cpu)) * (1.0 - 0.1 * 0.5))));
    }
}

#[test]
fn ftrl_is_the_minimum_of_its_objective_and_sets_weights_to_zero() {
    let (lr, beta, l1, first, gradients) = (0.1, 0.5, 0.3, [0.4, 0.01], [0.7, -0.2, 0.3]);
    let store = VarStore::new(Device::Cpu);
    let mut w = store.root().var("w", &[2], Init::Const(0.0));
    no_grad(|| w.copy_(&Tensor::from_slice(&first).to_kind(Kind::Float)));
    let mut optimizer = Optimizer::new(OptimizerConfig::Ftrl { beta, l1 }, lr, 0.0, &store).unwrap();
    let scale = Tensor::from_slice(&[1f32, 0.1]);
    let mut weights = vec![first];
    for (step, g) in gradients.into_iter().enumerate() {
        optimizer.zero_grad();
        (&w * &scale * g).sum(Kind::Float).backward();
        optimizer.step(1).unwrap();
        // argmin Σ g_s w + ½ β/η (w - w_0)² + ½ Σ (√n_s - √n_{s-1})/η (w - w_s)² + λ₁ |w|, on a fine grid.
        for at in 0..2 {
            let g = |step: usize| gradients[step] * [1.0, 0.1][at];
            let roots: Vec<f64> = (0..=step + 1).map(|end| (0..end).map(|s| g(s) * g(s)).sum::<f64>().sqrt()).collect();
            let objective = |w: f64| {
                let linear: f64 = (0..=step).map(|s| g(s) * w).sum();
                let near = |s: usize| (roots[s + 1] - roots[s]) / lr * (w - weights[s][at]).powi(2) / 2.0;
                linear + beta / lr * (w - first[at]).powi(2) / 2.0 + (0..=step).map(near).sum::<f64>() + l1 * w.abs()
            };
            let grid = (-20_000..=20_000).map(|i| f64::from(i) * 5e-5);
            let best = grid.min_by(|a, b| objective(*a).total_cmp(&objective(*b))).unwrap();
            let found = w.double_value(&[at as i64]);
            assert!((found - best).abs() < 1e-4, "step {step}, weight {at}: {found}, expected {best}");
        }
        weights.push([0, 1].map(|at| w.double_value(&[at])));
    }
    assert_eq!(w.double_value(&[1]), 0.0, "the small weight");
    assert!(
        OptimizerConfig::Ftrl { beta: 0.0, l1 }.check().is_err()
            && OptimizerConfig::Ftrl { beta, l1: -1.0 }.check().is_err()
    );
}
