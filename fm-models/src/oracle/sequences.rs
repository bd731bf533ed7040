//! Attention over the items of a history.

use super::*;

/// p s + (1 - p) α s with p = σ((s - E) / √(Var + 1e-8)), where E and Var are over the places that are there, or moving.
pub fn dice(p: &Parameters, path: &str, input: &[Matrix], is_there: &Matrix, train: bool) -> Vec<Matrix> {
    let [alpha, mut mean, mut variance] =
        ["alpha", "moving_mean", "moving_variance"].map(|name| p.vector(&format!("{path}.{name}")));
    if train {
        let places = input.concat().into_iter().zip(is_there.concat());
        let there: Matrix = places.filter(|(_, there)| *there == 1.0).map(|(s, _)| s).collect();
        let n = alpha.len();
        (mean, variance) = if there.is_empty() { (vec![0.0; n], vec![0.0; n]) } else { mean_and_variance(&there) };
    }
    let one = |s: f64, c: usize| {
        let p = activation("sigmoid")((s - mean[c]) / (variance[c] + 1e-8).sqrt());
        p * s + (1.0 - p) * alpha[c] * s
    };
    let vector = |s: &Vector| s.iter().enumerate().map(|(c, &s)| one(s, c)).collect();
    input.iter().map(|row| row.iter().map(vector).collect()).collect()
}

/// ⟨w, DNN([q; k_j; q - k_j; q ⊙ k_j])⟩ + b for each key of each row.
pub fn activation_unit(
    p: &Parameters,
    path: &str,
    act: &str,
    queries: &Matrix,
    keys: &[Matrix],
    is_there: &Matrix,
    train: bool,
) -> Matrix {
    let pair = |q: &Vector, k: &Vector| {
        let difference: Vector = q.iter().zip(k).map(|(q, k)| q - k).collect();
        [q.clone(), k.clone(), difference, product(q, k)].concat()
    };
    let mut h: Vec<Matrix> =
        queries.iter().zip(keys).map(|(q, keys)| keys.iter().map(|k| pair(q, k)).collect()).collect();
    for l in 0.. {
        let of = |name: &str| format!("{path}.{name}_{l}");
        if !p.has(&(of("linear") + ".weight")) {
            break;
        }
        h = h.iter().map(|row| row.iter().map(|x| dense(p, &of("linear"), x, true)).collect()).collect();
        if act == "dice" {
            h = dice(p, &of("dice"), &h, is_there, train);
        } else {
            h.iter_mut().flatten().flatten().for_each(|x| *x = activation(act)(*x));
        }
    }
    h.iter().map(|row| row.iter().map(|x| dense(p, &format!("{path}.output"), x, true)[0]).collect()).collect()
}

/// x' = x + drop(MH(LN(x))), y = x' + drop(FFN(LN(x'))) with relu, or x' = LN(x + drop(MH(x))), y = LN(x' + drop(FFN(x'))) with
/// a leaky relu. `drop` gets a row of numbers for each row of the batch.
pub fn transformer_block(
    p: &Parameters,
    path: &str,
    (heads, norm_first): (usize, bool),
    x: &[Matrix],
    sees: &[Matrix],
    drop: &mut dyn FnMut(Matrix) -> Matrix,
) -> Vec<Matrix> {
    let of = |name: &str| format!("{path}.{name}");
    let norm = |name: &str, x: &Matrix| -> Matrix {
        x.iter().map(|x| layer_norm(p, &of(name), &vec![x.clone()]).concat()).collect()
    };
    let k = x.first().map_or(0, |row| row[0].len());
    let mut dropped = |x: Vec<Matrix>| -> Vec<Matrix> {
        let flat = drop(x.iter().map(|row| row.concat()).collect());
        flat.iter().map(|row| row.chunks(k).map(<[f64]>::to_vec).collect()).collect()
    };
    let attention = |x: &Matrix, sees: &Matrix| -> Matrix {
        let project = |name: &str| -> Matrix { x.iter().map(|x| dense(p, &of(name), x, false)).collect() };
        let [query, key, value] = ["query", "key", "value"].map(project);
        let d = k / heads;
        let of_place = |j: usize| {
            let mut all = vec![];
            for h in 0..heads {
                let part = h * d..(h + 1) * d;
                let seen: Vec<usize> = (0..x.len()).filter(|&i| sees[j][i] != 0.0).collect();
                let score = |&i: &usize| dot(&query[j][part.clone()], &key[i][part.clone()]) / (d as f64).sqrt();
                let weights = softmax(&seen.iter().map(score).collect::<Vector>());
                all.extend(part.map(|c| seen.iter().zip(&weights).map(|(&i, w)| w * value[i][c]).sum::<f64>()));
            }
            dense(p, &of("output"), &all, false)
        };
        (0..x.len()).map(of_place).collect()
    };
    let network = |x: &Matrix| -> Matrix {
        let act = |x: f64| {
            if x > 0.0 {
                x
            } else if norm_first {
                0.0
            } else {
                0.01 * x
            }
        };
        let of_place = |x: &Vector| {
            let hidden: Vector = dense(p, &of("hidden"), x, true).into_iter().map(act).collect();
            dense(p, &of("feed_forward"), &hidden, true)
        };
        x.iter().map(of_place).collect()
    };
    let add = |a: &[Matrix], b: Vec<Matrix>| -> Vec<Matrix> {
        let both = |(a, b): (&Matrix, &Matrix)| a.iter().zip(b).map(|(a, b)| sum([a, b], k)).collect();
        a.iter().zip(&b).map(both).collect()
    };
    let all = |name: &str, x: &[Matrix]| -> Vec<Matrix> { x.iter().map(|x| norm(name, x)).collect() };
    let attended = |x: &[Matrix]| -> Vec<Matrix> { x.iter().zip(sees).map(|(x, sees)| attention(x, sees)).collect() };
    let networked = |x: &[Matrix]| -> Vec<Matrix> { x.iter().map(network).collect() };
    if norm_first {
        let x = add(x, dropped(attended(&all("attention_norm", x))));
        add(&x, dropped(networked(&all("feed_forward_norm", &x))))
    } else {
        let x = all("attention_norm", &add(x, dropped(attended(x))));
        all("feed_forward_norm", &add(&x, dropped(networked(&x))))
    }
}
