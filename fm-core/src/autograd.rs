//! Functions with a custom backward pass.

use tch::{Tensor, no_grad};

use crate::bridge;
use crate::error::Result;

/// Makes `outputs` the results of a function of `inputs` whose gradients `backward` computes. With it, the forward and
/// the backward pass of a kernel can be next to each other.
///
/// `outputs` are new tensors that the caller computed from the inputs without gradients. `backward` takes the gradient
/// of each output and returns the gradient of each input, both `None` where the gradient is zero. A gradient may be
/// sparse. `backward` runs without gradient mode, possibly on another thread, once per backward pass. It is dropped
/// with the graph. If no input requires a gradient or gradient mode is off, it is dropped immediately, and the outputs
/// are returned unchanged.
///
/// # Errors
/// [`Error::Torch`](crate::Error::Torch) if an output already belongs to a graph. A backward pass that reaches the
/// function fails with [`Error::Torch`](crate::Error::Torch) if `backward` panics or returns an error or gradients of
/// another number or shape, if the graph was freed by an earlier backward pass, or if it asks for second derivatives.
///
/// ```
/// use fm_core::autograd::custom;
/// use fm_core::tch::{Tensor, no_grad};
///
/// let x = Tensor::from_slice(&[3f32, -1.0]).set_requires_grad(true);
/// let cube = no_grad(|| x.pow_tensor_scalar(3));
/// let slope = no_grad(|| x.square() * 3);
/// let cube = custom(&[&x], vec![cube], move |gradients| {
///     Ok(vec![gradients[0].as_ref().map(|gradient| gradient * &slope)])
/// })?;
/// cube[0].sum(fm_core::tch::Kind::Float).backward();
/// assert_eq!(Vec::<f32>::try_from(x.grad())?, [27.0, 3.0]);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn custom(
    inputs: &[&Tensor],
    outputs: Vec<Tensor>,
    backward: impl Fn(&[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> + Send + 'static,
) -> Result<Vec<Tensor>> {
    let backward = move |gradients: &[Option<Tensor>]| no_grad(|| backward(gradients));
    bridge::attach(inputs, &outputs, Box::new(backward))?;
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tch::{Device, Kind};

    use super::*;
    use crate::error::Error;

    fn leaf(numbers: &[f64]) -> Tensor {
        Tensor::from_slice(numbers).set_requires_grad(true)
    }

    /// (x · y, x + y) element by element, with gradients written by hand.
    fn product_and_sum(x: &Tensor, y: &Tensor) -> Result<[Tensor; 2]> {
        let outputs = no_grad(|| vec![x * y, x + y]);
        let (a, b) = (x.detach(), y.detach());
        let found = custom(&[x, y], outputs, move |gradients| {
            let through = |other: &Tensor| match gradients {
                [Some(product), Some(sum)] => Some(product * other + sum),
                [Some(product), None] => Some(product * other),
                [None, Some(sum)] => Some(sum.shallow_clone()),
                _ => None,
            };
            Ok(vec![through(&b), through(&a)])
        })?;
        Ok(found.try_into().unwrap())
    }

    fn total([product, sum]: [Tensor; 2]) -> Tensor {
        (product.square() + sum.exp()).sum(Kind::Double)
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor).unwrap()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (x, y) = ([0.5, -1.5, 2.0], [1.0, 0.25, -0.75]);
        let (leaf_x, leaf_y) = (leaf(&x), leaf(&y));
        total(product_and_sum(&leaf_x, &leaf_y).unwrap()).backward();
        let value =
            |x: &[f64], y: &[f64]| no_grad(|| total(product_and_sum(&leaf(x), &leaf(y)).unwrap())).double_value(&[]);
        let step = 1e-6;
        for at in 0..3 {
            let moved = |numbers: [f64; 3], by: f64| {
                let mut numbers = numbers;
                numbers[at] += by;
                numbers
            };
            let by_x = (value(&moved(x, step), &y) - value(&moved(x, -step), &y)) / (2.0 * step);
            let by_y = (value(&x, &moved(y, step)) - value(&x, &moved(y, -step))) / (2.0 * step);
            assert!((numbers(&leaf_x.grad())[at] - by_x).abs() < 1e-6 * by_x.abs().max(1.0));
            assert!((numbers(&leaf_y.grad())[at] - by_y).abs() < 1e-6 * by_y.abs().max(1.0));
        }
    }

    #[test]
    fn an_unused_output_has_no_gradient() {
        let (x, y) = (leaf(&[2.0]), leaf(&[5.0]));
        let [product, _] = product_and_sum(&x, &y).unwrap();
        product.backward();
        assert_eq!((numbers(&x.grad()), numbers(&y.grad())), (vec![5.0], vec![2.0]));
    }

    #[test]
    fn an_input_without_gradient_gets_none_and_the_others_get_one() {
        let (x, y) = (leaf(&[2.0]), Tensor::from_slice(&[5.0]));
        total(product_and_sum(&x, &y).unwrap()).backward();
        assert!(x.grad().defined() && !y.grad().defined());
    }

    /// A function that counts its live closures.
    fn counted(x: &Tensor, alive: &Arc<AtomicUsize>) -> Tensor {
        struct Alive(Arc<AtomicUsize>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        alive.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(alive.clone());
        let output = no_grad(|| x * 2);
        let backward = move |gradients: &[Option<Tensor>]| {
            let _ = &alive;
            Ok(vec![gradients[0].as_ref().map(|gradient| gradient * 2)])
        };
        custom(&[x], vec![output], backward).unwrap().remove(0)
    }

    #[test]
    fn the_closure_is_dropped_with_the_graph_or_immediately_without_gradients() {
        let (x, alive) = (leaf(&[1.0]), Arc::new(AtomicUsize::new(0)));
        let count = || alive.load(Ordering::SeqCst);
        let output = no_grad(|| counted(&x, &alive));
        assert_eq!((count(), output.requires_grad()), (0, false));
        assert!(!counted(&x.detach(), &alive).requires_grad());
        assert_eq!(count(), 0);

        let unused = counted(&x, &alive);
        assert_eq!((count(), unused.requires_grad()), (1, true));
        drop(unused);
        assert_eq!(count(), 0);

        let output = counted(&x, &alive);
        output.backward();
        assert_eq!(count(), 0, "after a backward pass");
        assert!(output.f_backward().is_err());
        drop(output);
        assert_eq!(count(), 0);
    }

    #[test]
    fn a_retained_graph_runs_again_and_a_freed_one_does_not() {
        let (x, alive) = (leaf(&[1.0]), Arc::new(AtomicUsize::new(0)));
        let output = counted(&x, &alive);
        for times in 1..3 {
            Tensor::f_run_backward(&[&output], &[&x], true, false).unwrap();
            assert_eq!(alive.load(Ordering::SeqCst), 1, "after {times} passes");
        }
        output.backward();
        let error = Error::from(output.f_backward().unwrap_err()).to_string();
        assert!(error.contains("has freed"), "{error}");
        let error = Tensor::f_run_backward(&[&counted(&x, &alive)], &[&x], true, true).unwrap_err();
        assert!(error.to_string().contains("no second derivative"), "{error}");
    }

    #[test]
    fn errors_and_panics_of_the_backward_pass_are_errors_of_backward() {
        let x = leaf(&[1.0]);
        let error_of = |backward: fn() -> Result<Vec<Option<Tensor>>>| {
            let output = no_grad(|| &x * 2);
            let outputs = custom(&[&x], vec![output], move |_| backward()).unwrap();
            Error::from(outputs[0].f_backward().unwrap_err()).to_string()
        };
        assert!(error_of(|| Err(Error::Setting("on purpose".into()))).contains("on purpose"));
        assert!(error_of(|| panic!("on purpose")).contains("a backward pass panicked"));
        assert!(error_of(|| Ok(vec![])).contains("expected gradients of 1 inputs, found 0"));
        assert!(
            error_of(|| Ok(vec![Some(Tensor::zeros([2], (Kind::Double, Device::Cpu)))]))
                .contains("expected a gradient of shape [1], found [2]")
        );
    }

    #[test]
    fn an_output_of_another_graph_is_an_error() {
        let x = leaf(&[1.0]);
        let error = custom(&[&x], vec![&x * 2], |_| Ok(vec![None])).unwrap_err();
        assert!(error.to_string().contains("output 0 belongs to another graph"), "{error}");
    }

    #[test]
    fn a_gradient_may_be_sparse() {
        let table = Tensor::zeros([4, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let output = no_grad(|| table.index_select(0, &Tensor::from_slice(&[2i64])));
        let output = custom(&[&table], vec![output], |gradients| {
            let rows = Tensor::from_slice(&[2i64]).unsqueeze(0);
            let gradient = gradients[0].as_ref().unwrap();
            let options = (Kind::Float, Device::Cpu);
            Ok(vec![Some(Tensor::sparse_coo_tensor_indices_size(&rows, gradient, [4, 2], options, false))])
        });
        output.unwrap()[0].sum(Kind::Float).backward();
        assert!(table.grad().is_sparse());
        let dense = Vec::<f32>::try_from(table.grad().to_dense(None, false).flatten(0, -1)).unwrap();
        assert_eq!(dense, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
