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
    match scene.has_hidden_layers() {
        true => add([explicit, scene.output("output", &scene.dnn(flat(&fields)))]),
        false => explicit,
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
            let blocks = scene.options["hidden_units"].as_array().unwrap().len();
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
    let second = scene.dnn_under("second_dnn", "second_hidden_units", gated(1));
    let heads = scene.size("fusion_heads");
    let fused = first.iter().zip(&second).map(|(a, b)| bilinear_fusion(&scene.p, "fusion", heads, a, b));
    add([scene.bias(), fused.collect()])
}

/// The formula of DCN V2 with c_{l+1} = c_0 ⊙ (W_l c_l + b_l) ⊙ σ(G_l c_l) + c_l
pub fn gdcn(scene: &Scene) -> Vector {
    crossed(scene, |path, c0, c| gated_cross(&scene.p, path, c0, c))
}
