//! Interactions between the vectors of fields.

use super::*;

/// The maps of each layer: X^{l+1}_h = Σ_{i,j} W^l_{h,i,j} (X⁰_i ⊙ X^l_j), followed by an activation.
pub fn cin_layers(p: &Parameters, path: &str, x0: &Matrix, split: bool, activation: fn(f64) -> f64) -> Vec<Matrix> {
    let mut layers = vec![];
    let mut last = x0.clone();
    while p.has(&format!("{path}.weight_{}", layers.len())) {
        let weight = p.matrix(&format!("{path}.weight_{}", layers.len()));
        let mut maps = vec![vec![0.0; x0[0].len()]; weight.len()];
        for h in 0..maps.len() {
            for d in 0..x0[0].len() {
                for i in 0..x0.len() {
                    for j in 0..last.len() {
                        maps[h][d] += weight[h][i * last.len() + j] * x0[i][d] * last[j][d];
                    }
                }
                maps[h][d] = activation(maps[h][d]);
            }
        }
        last = if split { maps[..maps.len() / 2].to_vec() } else { maps.clone() };
        layers.push(maps);
    }
    layers
}

/// Σ_d of each map: of all maps or, with `split`, of the second half of each layer except the last.
pub fn cin(p: &Parameters, path: &str, x0: &Matrix, split: bool, activation: fn(f64) -> f64) -> Vector {
    let layers = cin_layers(p, path, x0, split, activation);
    let last = layers.len() - 1;
    let shown = |(l, maps): (usize, Matrix)| maps[if split && l < last { maps.len() / 2 } else { 0 }..].to_vec();
    layers.into_iter().enumerate().flat_map(shown).map(|map| map.iter().sum()).collect()
}

/// x_{l+1} = x_0 (x_lᵀ w_l) + b_l + x_l for each layer.
pub fn vector_cross(p: &Parameters, path: &str, x0: &Vector) -> Vector {
    let layers = p.matrix(&format!("{path}.weight")).len();
    (0..layers).fold(x0.clone(), |x, l| vector_cross_step(p, path, l, x0, &x))
}

/// x_0 (xᵀ w_l) + b_l + x
pub fn vector_cross_step(p: &Parameters, path: &str, l: usize, x0: &Vector, x: &Vector) -> Vector {
    let [w, b] = ["weight", "bias"].map(|name| p.matrix(&format!("{path}.{name}"))[l].clone());
    let along = dot(x, &w);
    (0..x.len()).map(|i| x0[i] * along + b[i] + x[i]).collect()
}

/// x_0 ⊙ (W x + b) + x
pub fn matrix_cross(p: &Parameters, path: &str, x0: &Vector, x: &Vector) -> Vector {
    sum([&product(x0, &dense(p, path, x, true)), x], x.len())
}

/// Σ_i G_i(x) x_0 ⊙ (U_i tanh(C_i tanh(V_iᵀ x)) + b) + x
pub fn mixture_cross(p: &Parameters, path: &str, experts: usize, x0: &Vector, x: &Vector) -> Vector {
    let of = |name: &str| format!("{path}.{name}");
    let (down, middle, up, bias) =
        (p.matrix(&of("down")), p.vector(&of("middle")), p.matrix(&of("up")), p.vector(&of("bias")));
    let rank = down.len() / experts;
    let gates = if experts > 1 { softmax(&dense(p, &of("gate"), x, false)) } else { vec![1.0] };
    let tanh = activation("tanh");
    let mut out = x.clone();
    for i in 0..experts {
        let projected: Vector = down[i * rank..][..rank].iter().map(|v| tanh(dot(v, x))).collect();
        let row = |r: usize| &middle[(i * rank + r) * rank..][..rank];
        let hidden: Vector = (0..rank).map(|r| tanh(dot(row(r), &projected))).collect();
        for d in 0..x.len() {
            out[d] += gates[i] * x0[d] * (dot(&up[d][i * rank..][..rank], &hidden) + bias[d]);
        }
    }
    out
}

/// c_0 ⊙ (W c + b) ⊙ σ(G c) + c
pub fn gated_cross(p: &Parameters, path: &str, c0: &Vector, c: &Vector) -> Vector {
    let gate: Vector = dense(p, &format!("{path}.gate"), c, false).into_iter().map(activation("sigmoid")).collect();
    let crossed = product(c0, &dense(p, &format!("{path}.cross"), c, true));
    sum([&product(&crossed, &gate), c], c.len())
}

/// relu([Σ_j α_{m,j}^h W_V^h e_j for all heads h] + W_Res e_m) for each field m.
pub fn interacting(p: &Parameters, path: &str, heads: usize, e: &Matrix) -> Matrix {
    let project = |name: &str| -> Matrix { e.iter().map(|e| dense(p, &format!("{path}.{name}"), e, false)).collect() };
    let [queries, keys, values, residuals] = ["query", "key", "value", "residual"].map(project);
    let d = queries[0].len() / heads;
    let of_field = |m: usize| {
        let mut out = vec![];
        for head in (0..heads).map(|h| h * d..(h + 1) * d) {
            let scores: Vector = keys.iter().map(|key| dot(&queries[m][head.clone()], &key[head.clone()])).collect();
            let weights = softmax(&scores);
            out.extend(head.map(|i| (0..e.len()).map(|j| weights[j] * values[j][i]).sum::<f64>()));
        }
        sum([&out, &residuals[m]], heads * d).into_iter().map(activation("relu")).collect()
    };
    (0..e.len()).map(of_field).collect()
}

/// Σ_{f<g} r_{f,g} ⟨e_f, e_g⟩
pub fn fwfm(p: &Parameters, path: &str, e: &Matrix) -> f64 {
    let r = p.matrix(&format!("{path}.weight"));
    let mut sum = 0.0;
    for f in 0..e.len() {
        for g in f + 1..e.len() {
            sum += r[f][g] * dot(&e[f], &e[g]);
        }
    }
    sum
}

/// ⟨M_{f,g}ᵀ a, b⟩ for vectors of the fields f and g; M_{f,g} is `[.., .., f, g]` of the parameter `weight`.
pub fn by_field_matrix(p: &Parameters, path: &str, fields: usize, [f, g]: [usize; 2], a: &[f64], b: &[f64]) -> f64 {
    let (weight, k) = (p.vector(&format!("{path}.weight")), a.len());
    let mut sum = 0.0;
    for i in 0..k {
        for j in 0..k {
            sum += a[i] * weight[((i * k + j) * fields + f) * fields + g] * b[j];
        }
    }
    sum
}

/// Σ_{f<g} ⟨M_{f,g}ᵀ e_f, e_g⟩
pub fn fmfm(p: &Parameters, path: &str, e: &Matrix) -> f64 {
    let mut sum = 0.0;
    for f in 0..e.len() {
        for g in f + 1..e.len() {
            sum += by_field_matrix(p, path, e.len(), [f, g], &e[f], &e[g]);
        }
    }
    sum
}

/// ⟨e_i, e_j⟩ for all i and j.
pub fn inner_products(e: &Matrix) -> Vector {
    e.iter().flat_map(|a| e.iter().map(|b| dot(a, b))).collect()
}

/// The elements of Σ_i Σ_j e_i e_jᵀ.
pub fn outer_product(e: &Matrix) -> Vector {
    let k = e[0].len();
    let element = |(a, b): (usize, usize)| e.iter().flat_map(|x| e.iter().map(move |y| x[a] * y[b])).sum();
    (0..k).flat_map(|a| (0..k).map(move |b| (a, b))).map(element).collect()
}

/// a_f e_f with a = relu(W_2 relu(W_1 z)), where z_f is the mean of e_f.
pub fn senet(p: &Parameters, path: &str, e: &Matrix) -> Matrix {
    let relu = activation("relu");
    let means: Vector = e.iter().map(|e| e.iter().sum::<f64>() / e.len() as f64).collect();
    let hidden: Vector = dense(p, &format!("{path}.squeeze"), &means, false).into_iter().map(relu).collect();
    let weights = dense(p, &format!("{path}.excite"), &hidden, false).into_iter().map(relu);
    e.iter().zip(weights).map(|(e, a)| e.iter().map(|e| a * e).collect()).collect()
}

/// (W_{i,j}ᵀ e_i) ⊙ e_j for all i < j, with one W for all pairs, for each i, or for each pair.
pub fn bilinear(p: &Parameters, path: &str, e: &Matrix, form: &str) -> Matrix {
    let (weight, k) = (p.vector(&format!("{path}.weight")), e[0].len());
    let columns = weight.len() / k;
    let (mut pairs, mut pair) = (vec![], 0);
    for i in 0..e.len() {
        for j in i + 1..e.len() {
            let element = |a: usize, b: usize| match form {
                "all" => weight[a * k + b],
                "each" => weight[(i * k + a) * k + b],
                _ => weight[a * columns + pair * k + b],
            };
            pairs.push((0..k).map(|b| (0..k).map(|a| e[i][a] * element(a, b)).sum::<f64>() * e[j][b]).collect());
            pair += 1;
        }
    }
    pairs
}

/// activation(LN(W (m ⊙ x))) with m = W_2 relu(W_1 v + b_1) + b_2
pub fn mask_block(p: &Parameters, path: &str, v: &[f64], x: &[f64], activation: fn(f64) -> f64) -> Vector {
    let of = |name: &str| format!("{path}.{name}");
    let aggregated: Vector =
        dense(p, &of("aggregation"), v, true).into_iter().map(|x| if x > 0.0 { x } else { 0.0 }).collect();
    let mask = dense(p, &of("projection"), &aggregated, true);
    let hidden = dense(p, &of("hidden"), &product(&mask, x), false);
    layer_norm(p, &of("norm"), &vec![hidden]).concat().into_iter().map(activation).collect()
}

/// 2 σ(W_2 relu(W_1 c + b_1) + b_2)
pub fn feature_gate(p: &Parameters, path: &str, context: &[f64]) -> Vector {
    let hidden: Vector =
        dense(p, &format!("{path}.hidden"), context, true).into_iter().map(activation("relu")).collect();
    let output = dense(p, &format!("{path}.output"), &hidden, true);
    output.into_iter().map(|x| 2.0 * activation("sigmoid")(x)).collect()
}

/// ⟨w_1, a⟩ + ⟨w_2, b⟩ + Σ_h a_hᵀ W_h b_h
pub fn bilinear_fusion(p: &Parameters, path: &str, heads: usize, a: &[f64], b: &[f64]) -> f64 {
    let (weight, n, m) = (p.vector(&format!("{path}.weight")), a.len() / heads, b.len() / heads);
    let mut y = dense(p, &format!("{path}.first"), a, false)[0] + dense(p, &format!("{path}.second"), b, false)[0];
    for h in 0..heads {
        for i in 0..n {
            for j in 0..m {
                y += a[h * n + i] * weight[(h * n + i) * m + j] * b[h * m + j];
            }
        }
    }
    y
}

/// Σ_{i_1<...<i_m} Σ_d e_{i_1,d} ... e_{i_m,d}: each vector is in a set of m or not.
pub fn anova(vectors: &Matrix, order: usize) -> f64 {
    let sets = (0..1usize << vectors.len()).filter(|set| set.count_ones() as usize == order);
    let element = |set: usize, d: usize| -> f64 {
        (0..vectors.len()).filter(|i| set >> i & 1 == 1).map(|i| vectors[i][d]).product()
    };
    sets.map(|set| (0..vectors[0].len()).map(|d| element(set, d)).sum::<f64>()).sum()
}

/// W X, for vectors in the rows of X.
fn mixed(w: &Matrix, x: &Matrix) -> Matrix {
    let component = |w: &Vector, d: usize| (0..x.len()).map(|i| w[i] * x[i][d]).sum();
    w.iter().map(|w| (0..x[0].len()).map(|d| component(w, d)).collect()).collect()
}

/// LN(X Xᵀ Y), one row after another.
pub fn wukong_products(p: &Parameters, path: &str, x: &Matrix) -> Vector {
    let y = p.matrix(&format!("{path}.projection"));
    let product = |a: &Vector, r: usize| (0..x.len()).map(|j| dot(a, &x[j]) * y[j][r]).sum();
    let products = x.iter().flat_map(|a| (0..y[0].len()).map(move |r| product(a, r))).collect();
    layer_norm(p, &format!("{path}.product_norm"), &vec![products]).concat()
}

/// LN([F; W_L X] + W_R X), with the vectors F of a dense layer over the hidden layer of the products.
pub fn wukong(p: &Parameters, path: &str, x: &Matrix, hidden: &[f64]) -> Matrix {
    let of = |name: &str| format!("{path}.{name}");
    let machine = dense(p, &of("fmb"), hidden, true).chunks(x[0].len()).map(<[f64]>::to_vec).collect();
    let both: Matrix = [machine, mixed(&p.matrix(&of("compression")), x)].concat();
    let residual = if p.has(&of("residual")) { mixed(&p.matrix(&of("residual")), x) } else { x.clone() };
    let sums: Matrix = both.iter().zip(&residual).map(|(a, b)| sum([a, b], a.len())).collect();
    layer_norm(p, &of("norm"), &sums)
}

/// [a; a ⊙ b] with [a; b] = W x + c
pub fn factorized(p: &Parameters, path: &str, x: &[f64]) -> Vector {
    let sums = dense(p, path, x, true);
    let (a, b) = sums.split_at(sums.len() / 2);
    [a.to_vec(), product(a, b)].concat()
}

/// The products over all fields f of |e_f| to the power w_{j,f} for each j, element by element, where 0 is a factor
/// of 1.
pub fn powers(w: &Matrix, e: &Matrix) -> Matrix {
    let factor = |e: f64, w: f64| if e == 0.0 { 1.0 } else { e.abs().max(1e-5).powf(w) };
    let power = |w: &Vector, d: usize| (0..e.len()).map(|f| factor(e[f][d], w[f])).product();
    w.iter().map(|w| (0..e[0].len()).map(|d| power(w, d)).collect()).collect()
}

/// x ⊙ h, x + h, relu(W [x; h] + b), or a(x) ⊙ x + a'(h) ⊙ h with a(x) = softmax(P relu(W x + b))
pub fn bridge(p: &Parameters, path: &str, form: &str, x: &Vector, h: &Vector) -> Vector {
    let relu = |x: Vector| -> Vector { x.into_iter().map(activation("relu")).collect() };
    let weighted = |name: &str, x: &Vector| {
        let hidden = relu(dense(p, &format!("{path}.{name}_hidden"), x, true));
        product(&softmax(&dense(p, &format!("{path}.{name}_score"), &hidden, false)), x)
    };
    match form {
        "product" => product(x, h),
        "sum" => sum([x, h], x.len()),
        "concatenation" => relu(dense(p, &format!("{path}.joined"), &[x.clone(), h.clone()].concat(), true)),
        _ => sum([&weighted("first", x), &weighted("second", h)], x.len()),
    }
}

/// [ĝ_1 e_1; ...; ĝ_F e_F] with ĝ = softmax(g / τ) of one of two networks, and LN if it is there.
pub fn regulated(p: &Parameters, path: &str, temperature: f64, network: usize, e: &[f64]) -> Vector {
    let gates: Vector = p.matrix(&format!("{path}.gates"))[network].iter().map(|g| g / temperature).collect();
    let k = e.len() / gates.len();
    let weighted: Vector = e.chunks(k).zip(softmax(&gates)).flat_map(|(e, g)| e.iter().map(move |e| g * e)).collect();
    let norm = format!("{path}.{}", ["first_norm", "second_norm"][network]);
    match p.has(&format!("{norm}.gamma")) {
        true => layer_norm(p, &norm, &vec![weighted]).concat(),
        false => weighted,
    }
}

/// [Σ_n (α_{m,n} + β_n) W_V e_n for all heads] + W_R e_m, if there is one, for each field m.
pub fn disentangled(p: &Parameters, path: &str, heads: usize, e: &Matrix) -> Matrix {
    let project = |name: &str| -> Matrix { e.iter().map(|e| dense(p, &format!("{path}.{name}"), e, false)).collect() };
    let without_mean = |x: Matrix| -> Matrix {
        let total = sum(&x, x[0].len());
        x.iter().map(|x| x.iter().zip(&total).map(|(x, total)| x - total / e.len() as f64).collect()).collect()
    };
    let [queries, keys] = ["query", "key"].map(|name| without_mean(project(name)));
    let [values, importance] = ["value", "unary"].map(project);
    let d = values[0].len() / heads;
    let of_field = |m: usize| {
        let mut out = vec![];
        for h in 0..heads {
            let head = h * d..(h + 1) * d;
            let scores: Vector = keys.iter().map(|key| dot(&queries[m][head.clone()], &key[head.clone()])).collect();
            let (pairs, fields) =
                (softmax(&scores), softmax(&importance.iter().map(|scores| scores[h]).collect::<Vector>()));
            out.extend(head.map(|i| (0..e.len()).map(|n| (pairs[n] + fields[n]) * values[n][i]).sum::<f64>()));
        }
        match p.has(&format!("{path}.residual.weight")) {
            true => sum([&out, &dense(p, &format!("{path}.residual"), &e[m], false)], heads * d),
            false => out,
        }
    };
    (0..e.len()).map(of_field).collect()
}
