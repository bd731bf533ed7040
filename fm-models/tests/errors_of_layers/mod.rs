//! What layers by themselves refuse.

use super::*;

/// A layer of one tensor: its name, an input that it takes, and which sizes of it are fixed.
type Layer = (&'static str, [i64; 3], [bool; 3], Forward);
type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// Layers of 4 fields in 6 slots; k is 2.
fn layers(store: &VarStore) -> Vec<Layer> {
    let (schema, root) = (schema(&[1, 1, 3, 0]), store.root());
    let dnn_config = DnnConfig { hidden_batch_norm: BatchNormMode::Standard, ..DnnConfig::default() };
    let dnn = Dnn::new(&root / "dnn", 5, &dnn_config).unwrap();
    let [dense_fm, linear_terms, pair_interactions] = [(); 3].map(|_| DenseFm::new(&root / "fm", 5, 2, 3).unwrap());
    let [attention, weights] = [(); 2].map(|_| AttentionPooling::new(&(&root / "attention"), 2, 3, false).unwrap());
    let norm = BatchNorm::new(&root / "norm", 5, BatchNormMode::Standard).unwrap().unwrap();
    let cin = Cin::new(&root / "cin", 4, &CinConfig::default()).unwrap();
    let ffm = FfmInteraction::new(&schema, 2);
    let summed_ffm = SummedFfmInteraction { fields: 4, k: 2 };
    let products = PairwiseProduct::new(4).unwrap();
    let crosses = [CrossForm::Vector, CrossForm::Matrix, CrossForm::Mixture { experts: 2, rank: 3 }, CrossForm::Gated]
        .map(|form| CrossNetwork::new(&(&root / format!("{form:?}")), 5, 2, form).unwrap());
    let [vector, matrix, mixture, gated] = crosses;
    let heads = InteractingConfig { attention_layers: 1, heads: 2, head_dim: 3 };
    let disentangled = DisentangledLayer::new(&(&root / "disentangled"), [4, 2], &heads, true).unwrap();
    let [interacting, attention_weights] =
        [(); 2].map(|_| InteractingLayer::new(&(&root / "interacting"), [4, 2], &heads).unwrap());
    let weighted = FieldWeightedInteraction::new(&root / "weighted", 4).unwrap();
    let matrixed = FieldMatrixedInteraction::new(&root / "matrixed", 4, 2).unwrap();
    let senet = Senet::new(&(&root / "senet"), 4, 3).unwrap();
    let [all, each, interaction] = [Bilinear::All, Bilinear::Each, Bilinear::Interaction]
        .map(|form| BilinearPairs::new(&root / format!("{form:?}"), 4, 2, form).unwrap());
    let norm_of_fields = LayerNorm::new(&root / "layer_norm", &[4, 2]).unwrap();
    let block = MaskBlock::new(&(&root / "block"), 5, [5, 3], 2, &DnnConfig::default()).unwrap();
    let gate = FeatureGate::new(&(&root / "gate"), 5, 3, 4).unwrap();
    let fusion = BilinearFusion::new(&(&root / "fusion"), [4, 4], 2).unwrap();
    let anova = AnovaKernel::new(3).unwrap();
    let sizes = WukongSizes { fmb_vectors: 2, lcb_vectors: 3, rank: 2 };
    let wukong = WukongLayer::new(&(&root / "wukong"), [4, 2], &sizes, &DnnConfig::default()).unwrap();
    let factorized = FactorizedInteraction::new(&root / "factorized", 5, 4).unwrap();
    let norm_of_powers = (BatchNormMode::Standard, 0.99);
    let powers = LogarithmicLayer::new(&(&root / "powers"), [4, 2], 3, norm_of_powers).unwrap();
    let bridge = Bridge::new(&(&root / "bridge"), 5, BridgeForm::Attention).unwrap();
    let regulation = Regulation::new(&(&root / "regulation"), [4, 2], 1.0, true).unwrap();
    let step = VectorCross::new(&root / "step", 5, 1).unwrap();
    let none = [false; 3];
    vec![
        ("AttentionPooling", [2, 6, 2], [false, false, true], Box::new(move |x| attention.forward(x))),
        ("AttentionPooling", [2, 6, 2], [false, false, true], Box::new(move |x| weights.weights(x))),
        ("BiInteraction", [2, 6, 2], none, Box::new(|x| BiInteraction.forward(x))),
        ("FmInteraction", [2, 6, 2], none, Box::new(|x| FmInteraction.forward(x))),
        ("Cin", [2, 4, 2], [false, true, false], Box::new(move |x| cin.forward(x))),
        ("FfmInteraction", [2, 4, 8], [false, true, true], Box::new(move |x| ffm.forward(x, None))),
        ("SummedFfmInteraction", [2, 8, 0], [false, true, false], Box::new(move |x| summed_ffm.forward(x))),
        ("PairwiseProduct", [2, 4, 2], [false, true, false], Box::new(move |x| products.forward(x))),
        ("DenseFm", [2, 5, 0], [false, true, false], Box::new(move |x| dense_fm.forward(x))),
        ("DenseFm", [2, 5, 0], [false, true, false], Box::new(move |x| linear_terms.linear_terms(x))),
        ("DenseFm", [2, 5, 0], [false, true, false], Box::new(move |x| pair_interactions.pair_interactions(x))),
        ("Dnn", [2, 5, 0], [false, true, false], Box::new(move |x| dnn.forward(x, false))),
        ("BatchNorm", [2, 5, 0], [false, true, false], Box::new(move |x| norm.forward(x, false))),
        ("AnovaKernel", [2, 4, 2], none, Box::new(move |x| anova.forward(x))),
        ("WukongLayer", [2, 4, 2], [false, true, true], Box::new(move |x| wukong.forward(x, false))),
        ("LogarithmicLayer", [2, 4, 2], [false, true, true], Box::new(move |x| powers.forward(x, false))),
        ("LayerNorm", [2, 4, 2], [false, true, true], Box::new(move |x| norm_of_fields.forward(x))),
        ("MaskBlock", [2, 5, 0], [false, true, false], Box::new(move |x| block.forward(x, x, false))),
        ("FactorizedInteraction", [2, 5, 0], [false, true, false], Box::new(move |x| factorized.forward(x))),
        ("FeatureGate", [2, 5, 0], [false, true, false], Box::new(move |x| gate.forward(x))),
        ("BilinearFusion", [2, 4, 0], [false, true, false], Box::new(move |x| fusion.forward(x, x))),
        ("VectorCross", [2, 5, 0], [false, true, false], Box::new(move |x| vector.forward(x))),
        ("MatrixCross", [2, 5, 0], [false, true, false], Box::new(move |x| matrix.forward(x))),
        ("MixtureCross", [2, 5, 0], [false, true, false], Box::new(move |x| mixture.forward(x))),
        ("GatedCross", [2, 5, 0], [false, true, false], Box::new(move |x| gated.forward(x))),
        ("VectorCross", [2, 5, 0], [false, true, false], Box::new(move |x| step.step(x, x))),
        ("Bridge", [2, 5, 0], [false, true, false], Box::new(move |x| bridge.forward(x, x))),
        ("Regulation", [2, 8, 0], [false, true, false], Box::new(move |x| regulation.forward(x).map(|[x, _]| x))),
        ("InteractingLayer", [2, 4, 2], [false, true, true], Box::new(move |x| interacting.forward(x))),
        ("InteractingLayer", [2, 4, 2], [false, true, true], Box::new(move |x| attention_weights.weights(x))),
        ("DisentangledLayer", [2, 4, 2], [false, true, true], Box::new(move |x| disentangled.forward(x))),
        ("FieldWeightedInteraction", [2, 4, 2], [false, true, false], Box::new(move |x| weighted.forward(x))),
        ("FieldMatrixedInteraction", [2, 4, 2], [false, true, true], Box::new(move |x| matrixed.forward(x))),
        ("InnerProducts", [2, 4, 2], none, Box::new(|x| InnerProducts.forward(x))),
        ("OuterProduct", [2, 4, 2], none, Box::new(|x| OuterProduct.forward(x))),
        ("Senet", [2, 4, 2], [false, true, false], Box::new(move |x| senet.forward(x))),
        ("BilinearPairs", [2, 4, 2], [false, true, true], Box::new(move |x| all.forward(x))),
        ("BilinearPairs", [2, 4, 2], [false, true, true], Box::new(move |x| each.forward(x))),
        ("BilinearPairs", [2, 4, 2], [false, true, true], Box::new(move |x| interaction.forward(x))),
    ]
}

/// Sizes up to the first 0.
fn sizes(shape: [i64; 3]) -> Vec<i64> {
    shape.into_iter().take_while(|size| *size > 0).collect()
}

const OTHER_KINDS: [Kind; 5] = [Kind::Double, Kind::Half, Kind::Int64, Kind::Bool, Kind::ComplexFloat];

#[test]
fn layers_refuse_other_ranks_sizes_and_kinds() {
    let store = VarStore::new(Device::Cpu);
    for (name, shape, fixed, forward) in layers(&store) {
        let shape = sizes(shape);
        let refuses = |shape: &[i64], kind| {
            let found = format!("found {kind:?} of shape {shape:?}");
            assert_says(forward(&zeros(shape, kind)), &[name, "expected float32 of shape [B", &found]);
        };
        let _ = forward(&zeros(&shape, Kind::Float)).unwrap();
        refuses(&[], Kind::Float);
        refuses(&shape[1..], Kind::Float);
        refuses(&[&[1], &shape[..]].concat(), Kind::Float);
        for (dimension, _) in fixed.iter().enumerate().filter(|(_, fixed)| **fixed) {
            for size in [0, shape[dimension] - 1, shape[dimension] + 1] {
                let mut other = shape.clone();
                other[dimension] = size;
                refuses(&other, Kind::Float);
            }
        }
        OTHER_KINDS.into_iter().for_each(|kind| refuses(&shape, kind));
    }
}

#[test]
fn layers_of_any_rank_refuse_other_widths_and_kinds() {
    let store = VarStore::new(Device::Cpu);
    let dense = Dense::new(store.root(), 3, 2, true).unwrap();
    for shape in [&[][..], &[2], &[3, 4], &[3, 0]] {
        let found = format!("found Float of shape {shape:?}");
        assert_says(dense.forward(&zeros(shape, Kind::Float)), &["Dense: expected float32 of shape [..., 3]", &found]);
    }
    let dropout = Dropout::new("Dnn", "dropout", 0.5).unwrap();
    for kind in OTHER_KINDS {
        let found = format!("found {kind:?} of shape [2, 3]");
        let input = || zeros(&[2, 3], kind);
        assert_says(dense.forward(&input()), &["Dense: expected float32", &found]);
        assert_says(dropout.forward(input(), true), &["Dropout: expected float32", &found]);
        for activation in [Activation::Linear, Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            assert_says(activation.apply(input()), &["Activation: expected float32", &found]);
        }
    }
}

#[test]
fn layers_take_no_row_and_no_slot_to_pair_and_any_layout_in_memory() {
    let store = VarStore::new(Device::Cpu);
    for (name, shape, fixed, forward) in layers(&store) {
        let shape = sizes(shape);
        let empty = forward(&zeros(&[&[0], &shape[1..]].concat(), Kind::Float)).unwrap();
        assert_eq!(empty.size()[0], 0, "{name}");
        for dimension in (1..shape.len()).filter(|dimension| !fixed[*dimension]) {
            let mut without = shape.clone();
            without[dimension] = 0;
            assert_eq!(forward(&zeros(&without, Kind::Float)).unwrap().size()[0], 2, "{name} {without:?}");
        }
        let input = Tensor::randn(&shape, (Kind::Float, Device::Cpu));
        let backwards: Vec<i64> = (0..shape.len() as i64).rev().collect();
        let strided = input.permute(&backwards).contiguous().permute(&backwards);
        assert!(!strided.is_contiguous());
        let [plain, strided] = [input, strided].map(|input| forward(&input).unwrap());
        assert!(plain.allclose(&strided, 1e-5, 1e-6, false), "{name}");
    }
}

#[test]
fn batch_norm_refuses_to_train_on_fewer_than_two_rows() {
    let store = VarStore::new(Device::Cpu);
    for mode in [BatchNormMode::Standard, BatchNormMode::AlwaysBatch] {
        let norm = BatchNorm::new(store.root() / "norm", 3, mode).unwrap().unwrap();
        let config = DnnConfig { hidden_units: vec![3], hidden_batch_norm: mode, ..DnnConfig::default() };
        let dnn = Dnn::new(store.root() / "dnn", 3, &config).unwrap();
        for rows in [0, 1] {
            let input = zeros(&[rows, 3], Kind::Float);
            let found = format!(
                "BatchNorm: expected at least 2 rows in a training batch (use a larger batch size), found {rows}"
            );
            assert_says(norm.forward(&input, true), &[&found]);
            assert_says(dnn.forward(&input, true), &[&found]);
            assert_eq!(norm.forward(&input, false).unwrap().size(), [rows, 3]);
            assert_eq!(dnn.forward(&input, false).unwrap().size(), [rows, 3]);
        }
    }
}

#[test]
fn fm_over_embeddings_refuses_other_embeddings() {
    let schema = schema(&[1, 3]);
    let store = VarStore::new(Device::Cpu);
    let layer = FmOverEmbeddings::new(&store.root(), &schema).unwrap();
    let features = features(&schema, &Draw(1).rows(&schema, 2));
    for shape in [&[][..], &[2, 3], &[2, 3, 4, 5]] {
        assert_says(layer.forward(&features, &zeros(shape, Kind::Float), false), &["FmInteraction: expected float32"]);
    }
    let other_rows = layer.forward(&features, &zeros(&[3, 2, 4], Kind::Float), false);
    assert_says(other_rows, &["FmOverEmbeddings: expected embeddings of 2 rows", "found [3, 2, 4]"]);
}

#[test]
fn layers_of_two_inputs_refuse_another_number_of_rows() {
    let store = VarStore::new(Device::Cpu);
    let root = store.root();
    let [two, three] = [2, 3].map(|rows| zeros(&[rows, 4], Kind::Float));
    let cross = MatrixCross::new(&root / "cross", 4).unwrap();
    let block = MaskBlock::new(&(&root / "block"), 4, [4, 3], 2, &DnnConfig::default()).unwrap();
    let fusion = BilinearFusion::new(&(&root / "fusion"), [4, 4], 1).unwrap();
    let bridge = Bridge::new(&(&root / "bridge"), 4, BridgeForm::Sum).unwrap();
    let said = ["expected inputs of as many rows as [2, 4], found [3, 4]"];
    assert_says(cross.forward(&two, &three), &[&["MatrixCross: "], &said[..]].concat());
    assert_says(block.forward(&two, &three, false), &[&["MaskBlock: "], &said[..]].concat());
    assert_says(bridge.forward(&two, &three), &[&["Bridge: "], &said[..]].concat());
    assert_says(fusion.forward(&two, &three), &[&["BilinearFusion: "], &said[..]].concat());
}

#[test]
fn sizes_that_layers_cannot_have_are_refused() {
    let store = VarStore::new(Device::Cpu);
    let (root, schema) = (store.root(), schema(&[1, 3]));
    for size in [0, -1, i64::MIN, 65537, i64::MAX] {
        let path = || &root / "layer";
        let says = |layer: &str, name: &str| format!("{layer}: {name} is {size}: it must be ");
        let embedding = EmbeddingConfig { embedding_dim: size, ..EmbeddingConfig::default() };
        let k = says("Embedding", "embedding_dim");
        assert_says(Embedding::new(path(), &schema, &embedding), &[&k]);
        assert_says(Fm::new(&path(), &schema, &embedding), &[&k]);
        for form in [FfmForm::FieldAware, FfmForm::Summed] {
            let ffm = Ffm::new(&path(), &schema, &embedding, form);
            assert_says(ffm, &[&says("Ffm", "embedding_dim")]);
        }
        let ffm = FfmInteraction::new(&schema, size).forward(&zeros(&[2, 2, 6], Kind::Float), None);
        assert_says(ffm, &[&says("FfmInteraction", "k")]);
        for (fields, k, name) in [(size, 1, "fields"), (1, size, "k")] {
            let ffm = SummedFfmInteraction { fields, k }.forward(&zeros(&[2, 6], Kind::Float));
            assert_says(ffm, &[&says("SummedFfmInteraction", name)]);
        }
        let attention = AttentionPooling::new(&path(), 2, size, false);
        assert_says(attention, &[&says("AttentionPooling", "attention_dim")]);
        assert_says(
            BatchNorm::new(path(), size, BatchNormMode::Standard),
            &[&says("BatchNorm", "the number of columns")],
        );
        assert_says(Cin::new(path(), size, &CinConfig::default()), &[&says("Cin", "the number of fields")]);
        let cin = Cin::new(path(), 3, &CinConfig { cin_size: vec![2, size], ..CinConfig::default() });
        assert_says(cin, &[&says("Cin", "an element of cin_size")]);
        assert_says(Dense::new(path(), 2, size, true), &[&says("Dense", "the number of outputs")]);
        assert_says(DenseFm::new(path(), 2, size, 2), &[&says("DenseFm", "units")]);
        assert_says(DenseFm::new(path(), 2, 2, size), &[&says("DenseFm", "k")]);
        assert_says(CrossNetwork::new(&path(), 2, size, CrossForm::Matrix), &[&says("CrossNetwork", "cross_layers")]);
        assert_says(MixtureCross::new(&path(), 2, size, 1), &[&says("MixtureCross", "cross_experts")]);
        assert_says(MixtureCross::new(&path(), 2, 1, size), &[&says("MixtureCross", "cross_rank")]);
        for (heads, head_dim, name) in [(size, 1, "heads"), (1, size, "head_dim")] {
            let config = InteractingConfig { attention_layers: 1, heads, head_dim };
            assert_says(InteractingLayer::new(&path(), [2, 2], &config), &[&says("InteractingLayer", name)]);
            let disentangled = DisentangledLayer::new(&path(), [2, 2], &config, false);
            assert_says(disentangled, &[&says("DisentangledLayer", name)]);
        }
        let block = |sizes, reduction| MaskBlock::new(&path(), 2, sizes, reduction, &DnnConfig::default());
        assert_says(block([2, size], 2), &[&says("MaskBlock", "the number of units")]);
        assert_says(block([2, 2], size), &[&says("MaskBlock", "mask_reduction")]);
        assert_says(FeatureGate::new(&path(), 2, size, 2), &[&says("FeatureGate", "gate_units")]);
        assert_says(BilinearFusion::new(&path(), [2, 2], size), &[&says("BilinearFusion", "fusion_heads")]);
        assert_says(Senet::new(&path(), 2, size), &[&says("Senet", "senet_reduction")]);
        for field_layer in
            [FieldWeightedInteraction::new(path(), size).err(), FieldMatrixedInteraction::new(path(), size, 2).err()]
        {
            assert!(field_layer.unwrap().to_string().contains(&format!("the number of fields is {size}")));
        }
        let dnn = Dnn::new(path(), 2, &DnnConfig { hidden_units: vec![2, size], ..DnnConfig::default() });
        assert_says(dnn, &[&says("Dnn", "an element of hidden_units")]);
        if size < 1 {
            assert_says(Dense::new(path(), size, 2, true), &[&says("Dense", "the number of inputs")]);
            assert_says(DenseFm::new(path(), size, 2, 2), &[&says("DenseFm", "the number of features")]);
            assert_says(AttentionPooling::new(&path(), size, 2, false), &["Dense: the number of inputs"]);
            assert_says(PairwiseProduct::new(size), &["PairwiseProduct: expected at least 2 fields, found"]);
        }
    }
    assert_says(PairwiseProduct::new(1), &["PairwiseProduct: expected at least 2 fields, found 1"]);
}

#[test]
fn rates_and_deviations_out_of_range_are_refused() {
    let store = VarStore::new(Device::Cpu);
    for rate in [1.0, 1.5, -0.1, f64::NAN, f64::INFINITY] {
        let line = format!("dropout is {rate}: it must be at least 0 and less than 1");
        assert_says(Dropout::new("Afm", "dropout", rate), &["Afm: ", &line]);
        let config = DnnConfig { dropout: rate, ..DnnConfig::default() };
        assert_says(Dnn::new(store.root(), 2, &config), &["Dnn: ", &line]);
        let norm = BatchNorm::new(store.root(), 2, BatchNormMode::Standard).unwrap().unwrap();
        let line = format!("BatchNorm: the momentum is {rate}: it must be at least 0 and below 1");
        assert_says(norm.with_momentum(rate), &[&line]);
    }
    for temperature in [0.0, -1.0, 1001.0, f64::NAN, f64::INFINITY] {
        let line = format!("Regulation: gate_temperature is {temperature}: it must be 0.001 to 1000");
        assert_says(Regulation::new(&store.root(), [2, 2], temperature, false), &[&line]);
    }
    for init_std in [-0.1, f64::NAN, f64::INFINITY] {
        let config = EmbeddingConfig { embedding_dim: 2, init_std };
        let line = format!("Embedding: init_std is {init_std}: it must be a number of at least 0");
        assert_says(Embedding::new(store.root(), &schema(&[1]), &config), &[&line]);
    }
    for init_std in [0.0, f64::MAX] {
        Embedding::new(store.root(), &schema(&[1]), &EmbeddingConfig { embedding_dim: 2, init_std }).unwrap();
    }
}

#[test]
fn a_cin_that_cannot_be_split_or_has_no_layer_is_refused() {
    let store = VarStore::new(Device::Cpu);
    let cin = |cin_size: &[i64]| {
        Cin::new(store.root(), 3, &CinConfig { cin_size: cin_size.into(), cin_split: true, ..CinConfig::default() })
    };
    assert_says(cin(&[]), &["Cin: cin_size is empty"]);
    assert_says(cin(&[4, 3, 2]), &["Cin: cin_size contains 3: an odd number of maps cannot be split"]);
    assert_eq!(cin(&[4, 2, 3]).unwrap().output(), 2 + 1 + 3);
}

#[test]
fn more_than_memory_holds_is_an_error_of_one_line() {
    let store = VarStore::new(Device::Cpu);
    let refused = [
        Cin::new(store.root(), 65536, &CinConfig { cin_size: vec![65536], ..CinConfig::default() }).err(),
        Dense::new(store.root(), 1 << 50, 2, false).err(),
        Dense::new(store.root(), i64::MAX, 2, false).err(),
        DenseFm::new(store.root(), 1 << 50, 2, 2).err(),
        DenseFm::new(store.root(), i64::MAX, 2, 2).err(),
    ];
    for error in refused {
        let line = error.unwrap().to_string();
        assert!(line.starts_with("libtorch: ") && !line.contains('\n') && !line.contains("frame #"), "{line}");
    }
}

#[test]
fn pooling_refuses_what_are_no_pairs() {
    let store = VarStore::new(Device::Cpu);
    let attention = AttentionPooling::new(&store.root(), 16, 4, false).unwrap();
    for pooling in [PairPooling::Attention(attention), PairPooling::Mean, PairPooling::Max, PairPooling::Sum] {
        assert_eq!(pooling.forward(&zeros(&[2, 3, 16], Kind::Float)).unwrap().size(), [2, 16]);
        assert_eq!(pooling.forward(&zeros(&[0, 3, 16], Kind::Float)).unwrap().size(), [0, 16]);
        for shape in [&[][..], &[2], &[3, 16], &[2, 3, 16, 1]] {
            let found = format!("found Float of shape {shape:?}");
            assert_says(
                pooling.forward(&zeros(shape, Kind::Float)),
                &["PairPooling: expected float32 of shape", &found],
            );
        }
        let none = pooling.forward(&zeros(&[2, 0, 16], Kind::Float));
        assert_says(none, &["PairPooling: expected at least one pair, found shape [2, 0, 16]"]);
    }
}
