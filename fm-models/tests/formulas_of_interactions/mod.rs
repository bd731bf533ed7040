//! The formulas of the models that came after xDeepFM.

use super::*;

/// ŷ = w₀ + ⟨c, x_L⟩ + ⟨h, DNN(x_0)⟩ with x_{l+1} = x_0 x_lᵀ w_l + b_l + x_l
pub fn dcn(scene: &Scene) -> Vector {
    parallel(scene, |x0| vector_cross(&scene.p, "cross", x0))
}

/// The same with x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l or a mixture of experts; or, stacked, w₀ + ⟨h, DNN(x_L)⟩.
pub fn dcn_v2(scene: &Scene) -> Vector {
    crossed(scene, |path, x0, x| match scene.text("cross") {
        "mixture" => mixture_cross(&scene.p, path, scene.size("cross_experts"), x0, x),
        _ => matrix_cross(&scene.p, path, x0, x),
    })
}

/// A cross network of layers of one form.
fn crossed(scene: &Scene, layer: impl Fn(&str, &Vector, &Vector) -> Vector) -> Vector {
    let layers = 0..scene.size("cross_layers");
    let cross = |x0: &Vector| layers.clone().fold(x0.clone(), |x, l| layer(&format!("cross.layer_{l}"), x0, &x));
    match scene.text("structure") {
        "stacked" => {
            let crossed = flat(&scene.fields("embedding")).iter().map(cross).collect();
            add([scene.bias(), scene.output("output", &scene.dnn(crossed))])
        }
        _ => parallel(scene, cross),
    }
}

fn parallel(scene: &Scene, cross: impl Fn(&Vector) -> Vector) -> Vector {
    let x0 = flat(&scene.fields("embedding"));
    let crossed = scene.output("cross_output", &x0.iter().map(cross).collect());
    add([scene.bias(), crossed, scene.output("output", &scene.dnn(x0))])
}

/// ŷ = w₀ + ⟨a, [ê_1; ...; ê_F]⟩, and for AutoInt+ ⟨h, DNN([e_1; ...; e_F])⟩
pub fn autoint(scene: &Scene) -> Vector {
    let fields = scene.fields("embedding");
    let attended = |fields: &Matrix| {
        (0..scene.size("attention_layers")).fold(fields.clone(), |fields, layer| {
            interacting(&scene.p, &format!("attention.layer_{layer}"), scene.size("heads"), &fields)
        })
    };
    let attended = flat(&fields.iter().map(attended).collect::<Vec<_>>());
    let explicit = add([scene.bias(), scene.output("attention_output", &attended)]);
    match scene.length("hidden_units") {
        1.. => add([explicit, scene.output("output", &scene.dnn(flat(&fields)))]),
        0 => explicit,
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨a, relu([ê_1; ...; ê_F])⟩ + ⟨h, DNN([e_1; ...; e_F])⟩, where the last layer or each
/// one adds a projection.
pub fn destine(scene: &Scene) -> Vector {
    let fields = scene.fields("embedding");
    let attended = |fields: &Matrix| -> Vector {
        let last = (0..scene.size("attention_layers")).fold(fields.clone(), |fields, layer| {
            disentangled(&scene.p, &format!("attention.layer_{layer}"), scene.size("heads"), &fields)
        });
        let residual: Vector = match scene.text("residual") {
            "last-layer" => fields.iter().flat_map(|e| dense(&scene.p, "residual", e, false)).collect(),
            _ => vec![0.0; last.concat().len()],
        };
        sum([&last.concat(), &residual], residual.len()).into_iter().map(activation("relu")).collect()
    };
    let attended = scene.output("attention_output", &fields.iter().map(attended).collect());
    let explicit = add([scene.bias(), scene.first_order(), attended]);
    match scene.length("hidden_units") {
        1.. => add([explicit, scene.output("output", &scene.dnn(flat(&fields)))]),
        0 => explicit,
    }
}

/// Σ_f ⟨e_f, w_f⟩ or Σ_s w_{id_s} x_s
fn first_order_in_form(scene: &Scene) -> Vector {
    match scene.text("first_order") {
        "fields" => scene.output("linear_of_fields", &flat(&scene.fields("embedding"))),
        _ => scene.first_order(),
    }
}

/// ŷ = w₀ + Σ_f ⟨e_f, w_f⟩ + Σ_{f<g} r_{f,g} ⟨e_f, e_g⟩
pub fn fwfm_model(scene: &Scene) -> Vector {
    let pairs = scene.fields("embedding").iter().map(|fields| fwfm(&scene.p, "interaction", fields)).collect();
    add([scene.bias(), first_order_in_form(scene), pairs])
}

/// ŷ = w₀ + Σ_f ⟨e_f, w_f⟩ + Σ_{f<g} ⟨M_{f,g}ᵀ e_f, e_g⟩
pub fn fmfm_model(scene: &Scene) -> Vector {
    let pairs = scene.fields("embedding").iter().map(|fields| fmfm(&scene.p, "interaction", fields)).collect();
    add([scene.bias(), first_order_in_form(scene), pairs])
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_F; p])⟩
pub fn pnn(scene: &Scene) -> Vector {
    let input = |fields: &Matrix| match scene.text("product") {
        "inner" => [fields.concat(), inner_products(fields)].concat(),
        "outer" => [fields.concat(), outer_product(fields)].concat(),
        _ => [fields.concat(), inner_products(fields), outer_product(fields)].concat(),
    };
    let input = scene.fields("embedding").iter().map(input).collect();
    add([scene.bias(), scene.output("output", &scene.dnn(input))])
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨h, DNN([p; q])⟩
pub fn fibinet(scene: &Scene) -> Vector {
    let form = scene.text("bilinear");
    let input = |fields: &Matrix| {
        let weighted = senet(&scene.p, "senet", fields);
        let pairs = bilinear(&scene.p, "pairs", fields, form);
        [pairs, bilinear(&scene.p, "weighted_pairs", &weighted, form)].concat().concat()
    };
    let input = scene.fields("embedding").iter().map(input).collect();
    add([scene.bias(), scene.first_order(), scene.output("output", &scene.dnn(input))])
}

/// ŷ = w₀ + ⟨h, x_L⟩ with blocks one after another, or w₀ + ⟨h, DNN([x_1; ...; x_n])⟩ with blocks side by side.
pub fn masknet(scene: &Scene) -> Vector {
    let fields = scene.fields("embedding");
    let first: Vec<Matrix> = fields.iter().map(|fields| layer_norm(&scene.p, "norm", fields)).collect();
    let (v, first) = (flat(&fields), flat(&first));
    let block = |number: usize, x: &Matrix| {
        let (path, act) = (format!("blocks.block_{number}"), activation(scene.text("activation")));
        let block = v.iter().zip(x).map(|(v, x)| mask_block(&scene.p, &path, v, x, act)).collect();
        scene.dropped(block, "dropout")
    };
    let hidden = match scene.text("blocks") {
        "serial" => {
            let blocks = scene.length("hidden_units");
            (0..blocks).fold(first, |x, number| block(number, &x))
        }
        _ => {
            let blocks: Vec<Matrix> = (0..scene.size("parallel_blocks")).map(|number| block(number, &first)).collect();
            let row = |row: usize| blocks.iter().flat_map(|block| block[row].clone()).collect();
            scene.dnn((0..first.len()).map(row).collect())
        }
    };
    add([scene.bias(), scene.output("output", &hidden)])
}

/// ŷ = w₀ + ⟨w_1, o_1⟩ + ⟨w_2, o_2⟩ + Σ_h o_{1,h}ᵀ W_h o_{2,h} with o_i = DNN_i(g_i ⊙ [e_1; ...; e_F])
pub fn finalmlp(scene: &Scene) -> Vector {
    let x = flat(&scene.fields("embedding"));
    let slots = scene.slots("embedding");
    let gated = |stream: usize| -> Matrix {
        let gate = ["gate", "second_gate"][stream];
        let context = |row: usize| match scene.text("gates") {
            "learned" => scene.p.matrix("contexts")[stream].clone(),
            _ => side_vectors(&scene.schema, &slots[row])[stream].clone(),
        };
        let gated = |row: usize| match scene.text("gates") {
            "off" => x[row].clone(),
            _ => product(&x[row], &feature_gate(&scene.p, gate, &context(row))),
        };
        (0..x.len()).map(gated).collect()
    };
    let first = scene.dnn(gated(0));
    let second = scene.dnn_of_layers("second_dnn", scene.length("second_hidden_units"), gated(1));
    let heads = scene.size("fusion_heads");
    let fused = first.iter().zip(&second).map(|(a, b)| bilinear_fusion(&scene.p, "fusion", heads, a, b));
    add([scene.bias(), fused.collect()])
}

/// The formula of DCN V2 with c_{l+1} = c_0 ⊙ (W_l c_l + b_l) ⊙ σ(G_l c_l) + c_l
pub fn gdcn(scene: &Scene) -> Vector {
    crossed(scene, |path, c0, c| gated_cross(&scene.p, path, c0, c))
}

/// ŷ = w₀ + ⟨h, [x_L; h_L; f_L]⟩ with a cross layer x, a deep layer h and a bridge f in each layer.
pub fn edcn(scene: &Scene) -> Vector {
    let temperature = scene.options["gate_temperature"].as_f64().unwrap();
    let mut shared = flat(&scene.fields("embedding"));
    let (mut first, mut last): (Option<Matrix>, Matrix) = (None, vec![]);
    for l in 0..scene.size("cross_layers") {
        let of = |name: &str| format!("layers.layer_{l}.{name}");
        let [x, h] = [0, 1].map(|network| -> Matrix {
            shared.iter().map(|f| regulated(&scene.p, &of("regulation"), temperature, network, f)).collect()
        });
        let x0 = first.get_or_insert_with(|| x.clone());
        let cross: Matrix =
            x0.iter().zip(&x).map(|(x0, x)| vector_cross_step(&scene.p, &of("cross"), 0, x0, x)).collect();
        let act = activation(scene.text("activation"));
        let hidden = |h: &Vector| dense(&scene.p, &of("deep.linear_0"), h, true).into_iter().map(act).collect();
        let deep = scene.dropped(h.iter().map(hidden).collect(), "dropout");
        let both = || cross.iter().zip(&deep);
        shared = both().map(|(x, h)| bridge(&scene.p, &of("bridge"), scene.text("bridge"), x, h)).collect();
        last = both().map(|(x, h)| [x.clone(), h.clone()].concat()).collect();
    }
    let last = last.iter().zip(&shared).map(|(last, f)| [last.clone(), f.clone()].concat()).collect();
    add([scene.bias(), scene.output("output", &last)])
}

/// ŷ = w₀ + ⟨h, DNN([y_1; ...; y_n])⟩ with y_j = N(exp(Σ_f w_{j,f} N(ln |e_f|))), and for AFN+ another deep part.
pub fn afn(scene: &Scene) -> Vector {
    let exponents = scene.p.matrix("products.exponents");
    let fields = scene.fields("embedding");
    let elementwise = |x: &Matrix, e: &Matrix, f: fn(f64, f64) -> f64| -> Matrix {
        x.iter()
            .zip(e)
            .map(|(x, e)| x.iter().zip(e).map(|(&x, &e)| if e == 0.0 { 0.0 } else { f(x, e) }).collect())
            .collect()
    };
    let logarithms = fields.iter().map(|e| elementwise(e, e, |_, e| e.abs().max(1e-5).ln())).collect();
    let logarithms = scene.normed_vectors("products.log_norm", logarithms, "log_batch_norm");
    let logarithms = logarithms.iter().zip(&fields).map(|(x, e)| elementwise(x, e, |x, _| x));
    let products = |logarithms: Matrix| -> Matrix {
        let sum = |w: &Vector, d: usize| (0..w.len()).map(|f| w[f] * logarithms[f][d]).sum::<f64>();
        exponents.iter().map(|w| (0..logarithms[0].len()).map(|d| sum(w, d).exp()).collect()).collect()
    };
    let products = scene.normed_vectors("products.exp_norm", logarithms.map(products).collect(), "log_batch_norm");
    let explicit = add([scene.bias(), scene.output("output", &scene.dnn(flat(&products)))]);
    match scene.length("deep_hidden_units") {
        0 => explicit,
        layers => {
            let fields = flat(&scene.fields("deep.embedding"));
            add([explicit, scene.output("deep.output", &scene.dnn_of_layers("deep.dnn", layers, fields))])
        }
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} Σ_d e²_{f,d} e²_{g,d} + Σ_{f<g<h} Σ_d e³_{f,d} e³_{g,d} e³_{h,d} + ...
pub fn hofm(scene: &Scene) -> Vector {
    let order = |order: usize| -> Vector {
        let fields = scene.fields(&format!("order_{order}.embedding"));
        fields.iter().map(|fields| anova(fields, order)).collect()
    };
    (2..=scene.size("order")).fold(add([scene.bias(), scene.first_order()]), |sum, m| add([sum, order(m)]))
}

/// ŷ = w₀ + ⟨h, DNN([z; p])⟩ with z = DNN_x(x) and the inner products p of z and the vectors of the other fields.
pub fn dlrm(scene: &Scene) -> Vector {
    let (mut vectors, numbers) = (scene.sparse_fields(), scene.numbers());
    let mut input = vec![vec![]; vectors.len()];
    if !numbers[0].is_empty() {
        input = scene.dnn_of_layers("bottom", scene.length("bottom_units") + 1, numbers);
        vectors.iter_mut().zip(&input).for_each(|(vectors, z)| vectors.insert(0, z.clone()));
    }
    input.iter_mut().zip(&vectors).for_each(|(input, vectors)| input.extend(inner_products(vectors)));
    add([scene.bias(), scene.output("output", &scene.dnn(input))])
}

/// ŷ = w₀ + ⟨h, DNN(X_L)⟩ with X' = LN([MLP(LN(X Xᵀ Y)); W_L X] + W_R X)
pub fn wukong_model(scene: &Scene) -> Vector {
    let layer = |vectors: Vec<Matrix>, number: usize| -> Vec<Matrix> {
        let path = format!("layers.layer_{number}");
        let products = vectors.iter().map(|x| wukong_products(&scene.p, &path, x)).collect();
        let hidden = scene.dnn_of_layers(&format!("{path}.dnn"), scene.length("fmb_units"), products);
        vectors.iter().zip(&hidden).map(|(x, hidden)| wukong(&scene.p, &path, x, hidden)).collect()
    };
    let last = (0..scene.size("wukong_layers")).fold(scene.fields("embedding"), layer);
    add([scene.bias(), scene.output("output", &scene.dnn(flat(&last)))])
}

/// ŷ = w₀ + ⟨h, x_L⟩ with x_{l+1} = [a; a ⊙ b] of [a; b] = W_l x_l + c_l
pub fn finalnet(scene: &Scene) -> Vector {
    let layer = |x: Matrix, l: usize| {
        let x = x.iter().map(|x| factorized(&scene.p, &format!("block.layer_{l}"), x)).collect();
        let mut x = scene.hidden_norm("block", l, x);
        x.iter_mut().flatten().for_each(|x| *x = activation(scene.text("activation"))(*x));
        scene.dropped(x, "dropout")
    };
    let last = (0..scene.length("hidden_units")).fold(flat(&scene.fields("embedding")), layer);
    add([scene.bias(), scene.output("output", &last)])
}
